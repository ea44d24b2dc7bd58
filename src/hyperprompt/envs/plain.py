"""The plain family: ids of Gymnasium and of EnvPool, without a prefix of ours."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from hyperprompt.envs.catalogue import Backend, EnvInfo, ObservationKind, describe_spaces, info
from hyperprompt.errors import HyperPromptError, MissingDependency, UnknownName

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

EXTRA = "envs"


class _Row(NamedTuple):
    name: str
    action: str
    action_size: int
    shape: tuple[int, ...]
    observation: ObservationKind = "vector"
    needs: tuple[str, ...] | None = ()
    """Modules that Gymnasium needs for it; None where only EnvPool has it."""


BOX2D = ("Box2D", "pygame")
MUJOCO = ("mujoco", "imageio")  # rendering libraries included: Gymnasium imports them in any case

# A table instead of a look at the environments: the listing must not cost a second. A test holds it to the real spaces.
CURATED: tuple[_Row, ...] = (
    _Row("CartPole-v1", "discrete", 2, (4,)),
    _Row("Acrobot-v1", "discrete", 3, (6,)),
    _Row("MountainCar-v0", "discrete", 3, (2,)),
    _Row("MountainCarContinuous-v0", "continuous", 1, (2,)),
    _Row("Pendulum-v1", "continuous", 1, (3,)),
    _Row("LunarLander-v3", "discrete", 4, (8,), needs=BOX2D),
    _Row("LunarLanderContinuous-v3", "continuous", 2, (8,), needs=BOX2D),
    _Row("BipedalWalker-v3", "continuous", 4, (24,), needs=BOX2D),
    _Row("BipedalWalkerHardcore-v3", "continuous", 4, (24,), needs=BOX2D),
    _Row("CarRacing-v3", "continuous", 3, (96, 96, 3), "image", needs=BOX2D),
    _Row("Ant-v5", "continuous", 8, (105,), needs=MUJOCO),
    _Row("HalfCheetah-v5", "continuous", 6, (17,), needs=MUJOCO),
    _Row("Hopper-v5", "continuous", 3, (11,), needs=MUJOCO),
    _Row("Humanoid-v5", "continuous", 17, (348,), needs=MUJOCO),
    _Row("InvertedPendulum-v5", "continuous", 1, (4,), needs=MUJOCO),
    _Row("InvertedDoublePendulum-v5", "continuous", 1, (9,), needs=MUJOCO),
    _Row("Reacher-v5", "continuous", 2, (10,), needs=MUJOCO),
    _Row("Swimmer-v5", "continuous", 2, (8,), needs=MUJOCO),
    _Row("Walker2d-v5", "continuous", 6, (17,), needs=MUJOCO),
    _Row("Catch-v0", "discrete", 3, (10, 5), needs=None),
    _Row("Breakout-v5", "discrete", 4, (4, 84, 84), "image", needs=None),
    _Row("Pong-v5", "discrete", 6, (4, 84, 84), "image", needs=None),
)


def make(name: str, n_envs: int, seed: int, backend: Backend, options: Mapping[str, Any]) -> VecEnv:
    """See `hyperprompt.envs.make.make`. A task that EnvPool lists but cannot build here falls back to Gymnasium."""
    if backend == "envpool" and not _envpool_installed():
        raise MissingDependency("the EnvPool backend", EXTRA)
    if backend == "envpool" and name not in _envpool_names():
        raise UnknownName("EnvPool task", name, _suggestions(name, _envpool_names()))
    gymnasium_has_it = _in_gymnasium(name)
    if backend != "gymnasium" and name in _envpool_names():
        from hyperprompt.envs.envpool import EnvPoolVecEnv

        try:
            return EnvPoolVecEnv(name, n_envs, seed)
        except HyperPromptError as error:
            if backend == "envpool" or not gymnasium_has_it:
                raise
            logging.getLogger(__name__).warning("%s; taking Gymnasium's, which is slower", error)
    if not gymnasium_has_it:
        if backend == "auto" and name in _curated():
            raise MissingDependency(f"the task {name!r}", EXTRA)
        kind, known = ("task", _known()) if backend == "auto" else ("Gymnasium task", _gymnasium_names())
        raise UnknownName(kind, name, _suggestions(name, known))
    from hyperprompt.envs.gymnasium import make_gymnasium

    return make_gymnasium(name, n_envs, seed)


def exists(name: str, options: Mapping[str, Any]) -> None:
    """Raises UnknownName, for any option too: plain tasks have none.

    EnvPool's list (about 2 s to import) is asked only about names nobody else knows.
    """
    if name not in _curated() and not _in_gymnasium(name) and name not in _envpool_names():
        raise UnknownName("task", name, _suggestions(name, _known()))
    for option in options:
        raise UnknownName(f"option of {name}", option, ())


def list_envs() -> list[EnvInfo]:
    """The curated tasks, with the backend that `make` would take in this installation."""
    return [info(r.name, "plain", _backend(r), r.action, r.action_size, r.observation, r.shape) for r in CURATED]


def describe(name: str, options: Mapping[str, Any]) -> EnvInfo:
    """From the table, or from a single environment built for the purpose."""
    if name in _curated():
        return next(entry for entry in list_envs() if entry.name == name)
    exists(name, options)
    env = make(name, 1, 0, "auto", options)
    from hyperprompt.envs.gymnasium import GymnasiumVecEnv

    try:
        backend = "gymnasium" if isinstance(env, GymnasiumVecEnv) else "envpool"
        return describe_spaces(name, "plain", backend, env.observation_space, env.action_space)
    finally:
        env.close()


def _backend(row: _Row) -> str:
    if _envpool_installed():
        return "envpool"
    if row.needs is None or any(find_spec(module) is None for module in row.needs):
        return ""
    return "gymnasium"


def _curated() -> frozenset[str]:
    return frozenset(row.name for row in CURATED)


def _envpool_installed() -> bool:
    return find_spec("envpool") is not None


@cache
def _list_envpool() -> frozenset[str]:
    import envpool

    return frozenset(envpool.list_all_envs())


def _envpool_names() -> frozenset[str]:
    return _list_envpool() if _envpool_installed() else frozenset()


def _in_gymnasium(name: str) -> bool:
    import gymnasium

    try:
        gymnasium.spec(name)
    except (gymnasium.error.Error, ImportError):  # ImportError: a 'module:id' whose module is not there
        return False
    return True


def _gymnasium_names() -> frozenset[str]:
    import gymnasium

    return frozenset(gymnasium.registry)


def _known() -> frozenset[str]:
    return _gymnasium_names() | _envpool_names() | _curated()


def _suggestions(name: str, known: frozenset[str]) -> set[str]:
    """The curated names and the ones nearest to `name`: all 1,700 would bury the message."""
    return {*(known & _curated()), *difflib.get_close_matches(name, sorted(known), n=5)}

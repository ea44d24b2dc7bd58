"""The plain family: ids of Gymnasium and of EnvPool, without a prefix of ours."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from hyperprompt.envs.catalogue import Algorithm, Backend, EnvInfo, describe_spaces, info
from hyperprompt.errors import HyperPromptError, MissingDependency, UnknownName, install_command

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

EXTRA = "envs"


class _Row(NamedTuple):
    name: str
    action: str
    action_size: int
    shape: tuple[int, ...]
    steps: int
    why: str
    """What the task adds to the diet: horizon, sparsity, scale."""
    needs: tuple[str, ...] | None = ()
    """Modules that Gymnasium needs for it; None where only EnvPool has it."""
    algorithm: Algorithm | None = None


BOX2D = ("Box2D", "pygame")
MINIGRID = "MiniGrid-"
"""The prefix of tasks whose observations are codes (`hyperprompt.envs.minigrid`)."""
MUJOCO = ("mujoco", "imageio")  # rendering libraries included: Gymnasium imports them in any case

# Cheap tasks chosen for variety; budgets are what a CPU core does in a minute or a few. A table instead of a look at the
# environments: the listing must not cost a second. A test holds it to the real spaces.
CURATED: tuple[_Row, ...] = (
    _Row("CartPole-v1", "discrete", 2, (4,), 100_000, "dense +1 a step; the horizon grows with skill, to 500"),
    _Row("Acrobot-v1", "discrete", 3, (6,), 200_000, "-1 a step until the goal: no signal before it is first reached"),
    _Row("MountainCar-v0", "discrete", 3, (2,), 200_000, "the same, but random actions never reach the goal"),
    _Row("LunarLander-v3", "discrete", 4, (8,), 300_000, "shaped, of both signs, +-100 at the end; several phases", BOX2D),
    _Row("Catch-v0", "discrete", 3, (10, 5), 50_000, "nine steps, one reward of +-1 at the end", None),
    _Row("Taxi-v3", "discrete", 6, (), 300_000, "500 one-hot states, penalties of -10 against one +20", ()),
    _Row("MiniGrid-Empty-8x8-v0", "discrete", 7, (1033,), 100_000, "sparse, partial view, easy to stumble upon", None),
    _Row("MiniGrid-DoorKey-5x5-v0", "discrete", 7, (1033,), 200_000, "sparse, partial view, three things in order", None),
    _Row(
        "Swimmer-v5", "continuous", 2, (8,), 300_000, "a fixed horizon of 1,000; rewards the longest discount", MUJOCO, "ppo"
    ),
    _Row("HalfCheetah-v5", "continuous", 6, (17,), 300_000, "never ends early; the scale grows to thousands", MUJOCO, "ppo"),
    _Row("Pendulum-v1", "continuous", 1, (3,), 20_000, "dense costs, -1,600 to -150; SAC learns it within minutes"),
    _Row("MountainCarContinuous-v0", "continuous", 1, (2,), 30_000, "deceptive: costs of acting before one reward of 100"),
    _Row("InvertedDoublePendulum-v5", "continuous", 1, (9,), 30_000, "dense; returns from 50 to 9,000", MUJOCO),
    _Row("Reacher-v5", "continuous", 2, (10,), 30_000, "fifty steps, a new target each, small negative costs", MUJOCO),
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
            env = EnvPoolVecEnv(name, n_envs, seed)
            if not name.startswith(MINIGRID):
                return env
            from hyperprompt.envs.minigrid import MiniGridVector

            return MiniGridVector(env)
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
    return [_info(row) for row in CURATED]


def describe(name: str, options: Mapping[str, Any]) -> EnvInfo:
    """From the table, or from a single environment built for the purpose."""
    exists(name, options)
    if name in _curated():
        return next(entry for entry in list_envs() if entry.name == name)
    env = make(name, 1, 0, "auto", options)
    from hyperprompt.envs.gymnasium import GymnasiumVecEnv

    try:
        backend = "gymnasium" if isinstance(env, GymnasiumVecEnv) else "envpool"
        return describe_spaces(name, "plain", backend, env.observation_space, env.action_space)
    finally:
        env.close()


def _info(row: _Row) -> EnvInfo:
    backend = _backend(row)
    install = "" if backend else install_command(EXTRA)
    kind, size = row.action, row.action_size
    return info(row.name, "plain", backend, kind, size, "vector", row.shape, row.steps, install, row.algorithm)


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

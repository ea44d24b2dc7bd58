"""One function for every task: a name becomes a fast, vectorised environment that Stable-Baselines3 can train on.

Families stand behind prefixes (`<family>/<task>`); a name without a known prefix is a plain Gymnasium or EnvPool id. A
family is a module with the four functions of `Family`; it is imported when one of its names is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast, get_args

from hyperprompt.envs.catalogue import Backend, EnvInfo
from hyperprompt.errors import InvalidValue, UnknownName

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

PLAIN = "plain"
FAMILIES: dict[str, str] = {PLAIN: "hyperprompt.envs.plain"}
"""Family name, which is also the prefix of its tasks -> module. Only `plain` has tasks without a prefix."""


class Family(Protocol):
    """What the module of a family offers. Names arrive whole, prefix included."""

    def make(self, name: str, n_envs: int, seed: int, backend: Backend) -> VecEnv: ...

    def exists(self, name: str) -> None:
        """Raises UnknownName. Must be cheap: no torch, no environment built."""
        ...

    def list_envs(self) -> list[EnvInfo]:
        """The tasks worth listing. Must be cheap."""
        ...

    def describe(self, name: str) -> EnvInfo: ...


def make(name: str, n_envs: int, seed: int, backend: Backend = "auto") -> VecEnv:
    """`n_envs` copies of the task `name` behind Stable-Baselines3's `VecEnv`.

    Finished environments are reset within the step that ends them; `infos` then carry `terminal_observation`,
    `TimeLimit.truncated` (a time limit and not a terminal state) and `episode` (r: undiscounted return, l: steps,
    t: seconds). Floating-point observations, (n_envs, ...), and rewards, (n_envs,), are float32. Two calls with equal
    arguments give equal trajectories; different seeds give unrelated ones.

    `backend="auto"` takes EnvPool where it is installed and has the task, otherwise Gymnasium.

    Raises UnknownName, MissingDependency, or InvalidValue (n_envs < 1, seed < 0, spaces that SB3 cannot train on).
    """
    if backend not in get_args(Backend):
        raise UnknownName("backend", str(backend), get_args(Backend))
    if n_envs < 1:
        raise InvalidValue(f"n_envs must be at least 1, got {n_envs}")
    if seed < 0:
        raise InvalidValue(f"seed must not be negative, got {seed}")
    return _module(name).make(name, n_envs, seed, backend)


def exists(name: str) -> None:
    """Raises UnknownName if no task has this name. Imports neither torch nor SB3 and builds nothing."""
    _module(name).exists(name)


def family(name: str) -> str:
    """The family that a name belongs to, by its prefix alone."""
    prefix = name.split("/", 1)[0] if "/" in name else PLAIN
    return prefix if prefix in FAMILIES else PLAIN


def list_envs() -> list[EnvInfo]:
    """The curated tasks of every family, cheaply; `make` knows many more names."""
    return [info for name in FAMILIES for info in _load(name).list_envs()]


def describe(name: str) -> EnvInfo:
    """Spaces, backend and default algorithm of a task. One that is not in the curated list is built once to look at it."""
    return _module(name).describe(name)


def _module(name: str) -> Family:
    return _load(family(name))


def _load(name: str) -> Family:
    return cast(Family, import_module(FAMILIES[name]))

"""One function for every task: a name becomes a fast, vectorised environment that Stable-Baselines3 can train on.

Families stand behind prefixes (`<family>/<task>`); a name without a known prefix is a plain Gymnasium or EnvPool id. A
family is a module with the four functions of `Family`; it is imported when one of its names is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast, get_args

from hyperprompt.envs.catalogue import Backend, EnvInfo
from hyperprompt.errors import InvalidValue, UnknownName

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

PLAIN = "plain"
FAMILIES: dict[str, str] = {
    PLAIN: "hyperprompt.envs.plain",
    "procgen": "hyperprompt.envs.procgen",
    "nethack": "hyperprompt.envs.nethack",
    "ant": "hyperprompt.envs.ant",
}
"""Family name, which is also the prefix of its tasks -> module. Only `plain` has tasks without a prefix."""


class Family(Protocol):
    """What the module of a family offers. Names arrive whole, prefix included; `options` are the family's own."""

    def make(self, name: str, n_envs: int, seed: int, backend: Backend, options: Mapping[str, Any]) -> VecEnv:
        """See `make` below, which has asked `exists` before."""
        ...

    def exists(self, name: str, options: Mapping[str, Any]) -> None:
        """Raises UnknownName or InvalidValue. Must be cheap: no torch, no environment built."""
        ...

    def list_envs(self) -> list[EnvInfo]:
        """The tasks worth listing. Must be cheap."""
        ...

    def describe(self, name: str, options: Mapping[str, Any]) -> EnvInfo: ...


def make(name: str, n_envs: int, seed: int, backend: Backend = "auto", **options: Any) -> VecEnv:
    """`n_envs` copies of the task `name` behind Stable-Baselines3's `VecEnv`.

    Finished environments are reset within the step that ends them; `infos` then carry `terminal_observation`,
    `TimeLimit.truncated` (a time limit and not a terminal state) and `episode` (r: undiscounted return, l: steps,
    t: seconds). Floating-point observations, (n_envs, ...), and rewards, (n_envs,), are float32. Two calls with equal
    arguments give equal trajectories; different seeds give unrelated ones.

    `backend="auto"` takes EnvPool where it is installed and has the task, otherwise Gymnasium. `options` are the family's
    own (`mode` and `levels` of Procgen, for example).

    Raises UnknownName, MissingDependency, or InvalidValue (n_envs < 1, seed < 0, an option's value, spaces that SB3 cannot
    train on).
    """
    if backend not in get_args(Backend):
        raise UnknownName("backend", str(backend), get_args(Backend))
    if n_envs < 1:
        raise InvalidValue(f"n_envs must be at least 1, got {n_envs}")
    if seed < 0:
        raise InvalidValue(f"seed must not be negative, got {seed}")
    _module(name).exists(name, options)
    return _module(name).make(name, n_envs, seed, backend, options)


def exists(name: str, **options: Any) -> None:
    """Raises UnknownName if no task has this name or an option's, InvalidValue if an option's value cannot be.

    Imports neither torch nor SB3 and builds nothing.
    """
    _module(name).exists(name, options)


def family(name: str) -> str:
    """The family that a name belongs to, by its prefix alone."""
    prefix = name.split("/", 1)[0] if "/" in name else PLAIN
    return prefix if prefix in FAMILIES else PLAIN


def unseen(name: str) -> Mapping[str, Any]:
    """The options under which a family's tasks show what no run trains on (Procgen's test levels); empty without such."""
    return getattr(_module(name), "TEST_OPTIONS", {})


def list_envs() -> list[EnvInfo]:
    """The curated tasks of every family, cheaply; `make` knows many more names."""
    return [info for name in FAMILIES for info in _load(name).list_envs()]


def describe(name: str, **options: Any) -> EnvInfo:
    """Spaces, backend, default algorithm and budget of a task. One that is not listed is built once to look at it."""
    return _module(name).describe(name, options)


def _module(name: str) -> Family:
    return _load(family(name))


def _load(name: str) -> Family:
    return cast(Family, import_module(FAMILIES[name]))

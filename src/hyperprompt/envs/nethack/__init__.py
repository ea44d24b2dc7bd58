"""The NetHack family: `nethack/score`, `nethack/staircase`, `nethack/eat`, `nethack/challenge`, through NLE.

Options:
    character: role-race-alignment-gender such as "mon-hum-neu-mal" or "val-dwa-law-fem", or "@" for a random one in each
        episode. By default NLE's own: "mon-hum-neu-mal", and "@" in the challenge.
    max_episode_steps: after so many steps an episode is truncated. NLE's own: 5,000, and a million in the challenge.

Nothing here imports NLE before an environment is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hyperprompt.envs.catalogue import Backend, EnvInfo, info
from hyperprompt.envs.nethack.tasks import TASKS, Task, characters
from hyperprompt.errors import InvalidValue, MissingDependency, UnknownName, install_command

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

EXTRA = "nethack"
STEPS = 983_040
"""T: 24 decisions of 40,960 environment steps, each of five updates of the preset `short` (64 environments x 128 steps)."""
_OPTIONS = ("character", "max_episode_steps")


def make(name: str, n_envs: int, seed: int, backend: Backend, options: Mapping[str, Any]) -> VecEnv:
    """See `hyperprompt.envs.make.make`. Raises MissingDependency without NLE, InvalidValue for EnvPool, which lacks it."""
    task, character, limit = _resolve(name, options)
    if backend == "envpool":
        raise InvalidValue(f"EnvPool has no {name!r}; leave out backend='envpool'")
    if not _installed():
        raise MissingDependency(f"the task {name!r}", EXTRA)
    from hyperprompt.envs.nethack.vector import NetHackVecEnv

    return NetHackVecEnv(task, n_envs, seed, character, limit)


def exists(name: str, options: Mapping[str, Any]) -> None:
    """Raises UnknownName (task or option) or InvalidValue (an option's value)."""
    _resolve(name, options)


def list_envs() -> list[EnvInfo]:
    """All four tasks."""
    return [_info(name, task) for name, task in TASKS.items()]


def describe(name: str, options: Mapping[str, Any]) -> EnvInfo:
    """From the table; no option changes what a task looks like."""
    return _info(name, _resolve(name, options)[0])


def _info(name: str, task: Task) -> EnvInfo:
    backend, install = ("gymnasium", "") if _installed() else ("", install_command(EXTRA))
    return info(name, "nethack", backend, "discrete", task.actions, "mixed", (), STEPS, install)


def _resolve(name: str, options: Mapping[str, Any]) -> tuple[Task, str, int]:
    """The task, the character and the limit of an episode's steps that `name` and `options` ask for."""
    if name not in TASKS:
        raise UnknownName("NetHack task", name, TASKS)
    for key in options:
        if key not in _OPTIONS:
            raise UnknownName("NetHack option", str(key), _OPTIONS)
    task = TASKS[name]
    character = options.get("character", task.character)
    limit = options.get("max_episode_steps", task.max_episode_steps)
    if character not in characters():
        raise InvalidValue(f"character {character!r} cannot be; valid: {', '.join(characters())}")
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidValue(f"max_episode_steps must be a whole number of at least 1, got {limit!r}")
    return task, character, limit


def _installed() -> bool:
    return find_spec("nle") is not None

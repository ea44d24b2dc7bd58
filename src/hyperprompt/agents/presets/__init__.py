"""Shipped agent configurations: one YAML file per family of tasks, one entry per preset and algorithm.

    default: short                     # what a run takes that names none
    published:
      ppo: {n_envs: 64, encoder: impala, normalize: {reward: true}, agent: {n_steps: 256, ...}}
      tasks:                           # exceptions
        LunarLander-v3:
          ppo: {...}

`sb3-default`, the library's own arguments, exists for every family and algorithm.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from hyperprompt.errors import InvalidValue, UnknownName

SB3_DEFAULT = "sb3-default"
N_ENVS = {"ppo": 16, "a2c": 16, "sac": 1, "td3": 1, "dqn": 1}
"""Environments by default."""
AGENT: dict[str, dict[str, Any]] = {
    # 16 environments x 128 steps: SB3's own 2,048 steps an update, collected in parallel.
    "ppo": {"n_steps": 128},
}
"""Arguments by default, where they differ from the library's."""


class Normalize(BaseModel):
    """Running normalisation of what the agent sees (SB3's `VecNormalize`); reported returns stay raw."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    observation: bool = False
    reward: bool = False
    clip_observation: float = 10.0
    clip_reward: float = 10.0


class Preset(BaseModel):
    """One agent configuration: everything about the agent that a run's own configuration does not say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_envs: int
    encoder: str | None = None
    normalize: Normalize = Normalize()
    agent: dict[str, Any] = {}


def names(family: str) -> list[str]:
    """The presets of a family."""
    return sorted({SB3_DEFAULT, *(name for name, value in _file(family).items() if isinstance(value, dict))})


def find(family: str, task: str, algo: str, name: str | None = None) -> tuple[str, Preset]:
    """The preset of that name, or the family's default one; `sb3-default` where the default one lacks the algorithm.

    Raises:
        UnknownName: no such preset.
        InvalidValue: the named preset has no settings for this algorithm on this task.
    """
    wanted = name or _file(family).get("default", SB3_DEFAULT)
    if wanted not in names(family):
        raise UnknownName(f"preset of {family} tasks", wanted, names(family))
    presets = _file(family).get(wanted, {})
    found = presets.get("tasks", {}).get(task, {}).get(algo) or presets.get(algo)
    if found is not None:
        return wanted, Preset(**found)
    algorithm = algo.removeprefix("sbx-")
    if name is None or wanted == SB3_DEFAULT:
        return SB3_DEFAULT, Preset(n_envs=N_ENVS[algorithm], agent=AGENT.get(algorithm, {}))
    raise InvalidValue(f"preset {wanted!r} has no settings of {algo} for {task}; take another preset or algorithm")


@cache
def _file(family: str) -> dict[str, Any]:
    path = files(__name__) / f"{family}.yaml"
    return dict(yaml.safe_load(path.read_text())) if path.is_file() else {}

"""The fixed scale of a task: the random policy's return is 0, what static defaults end with at T is 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from hyperprompt.errors import InvalidValue, UnknownName

RANDOM_EPISODES = 256
"""Episodes of random actions behind the zero."""
CLEARLY = 3.0
"""Standard errors of the zero by which static defaults must end above it."""


@dataclass(frozen=True)
class TaskScale:
    """Two returns measured once, under seeds that serve nothing else (`hyperprompt constants`)."""

    random: float
    static: float

    def score(self, value: float) -> float:
        """(R - R_random) / (R_static - R_random), never by a run's own range: that can be farmed by oscillating."""
        return (value - self.random) / (self.static - self.random)


def task_scale(task: str) -> TaskScale:
    """The scale of a listed task.

    Raises:
        UnknownName: it has not been measured; lists the tasks that have.
        InvalidValue: static defaults do not end clearly better than random actions there, so that it has no unit.
    """
    table = _table()
    if task not in table:
        raise UnknownName("task with a measured scale", task, table)
    scale = TaskScale(table[task]["random"], table[task]["static"])
    error = random_error(table[task]["random_std"])
    # A unit within the noise of its own zero would turn that noise into scores.
    if scale.static - scale.random <= CLEARLY * error:
        raise InvalidValue(
            f"{task} has no scale: static defaults end at {scale.static:.3g}, random actions at "
            f"{scale.random:.3g} +- {error:.2g}"
        )
    return scale


def measured_under(task: str) -> dict[str, Any]:
    """Preset, algorithm and steps of the static runs behind a task's scale, which is no unit for others; empty where there are
    none."""
    row = _table().get(task, {})
    return {key: row[key] for key in ("preset", "algo", "steps") if key in row}


def random_return(task: str) -> tuple[float, float] | None:
    """Mean return of random actions and its standard error, where they are measured; a task needs no unit for that."""
    row = _table().get(task)
    return None if row is None else (row["random"], random_error(row["random_std"]))


def random_error(deviation: float) -> float:
    """Standard error of the mean return of random actions, from the deviation over RANDOM_EPISODES."""
    return float(deviation) / math.sqrt(RANDOM_EPISODES)


@cache
def _table() -> dict[str, Any]:
    return dict(yaml.safe_load((files("hyperprompt.envs") / "constants.yaml").read_text()))

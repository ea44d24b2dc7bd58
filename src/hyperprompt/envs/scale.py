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
    table = _measured(task)
    scale = TaskScale(table["random"], table["static"])
    error = table["random_std"] / math.sqrt(RANDOM_EPISODES)
    # A unit within the noise of its own zero would turn that noise into scores.
    if scale.static - scale.random <= CLEARLY * error:
        raise InvalidValue(
            f"{task} has no scale: static defaults end at {scale.static:.3g}, random actions at "
            f"{scale.random:.3g} +- {error:.2g}"
        )
    return scale


def measured_random(task: str) -> tuple[float, float]:
    """Mean and standard deviation of the returns of RANDOM_EPISODES episodes of random actions on a listed task.

    Raises:
        UnknownName: it has not been measured.
    """
    return _measured(task)["random"], _measured(task)["random_std"]


def measured_under(task: str) -> tuple[str, int]:
    """The algorithm and the budget T of the static runs behind a task's scale: their unit is no other budget's.

    Raises:
        UnknownName: it has not been measured.
    """
    return _measured(task)["algo"], _measured(task)["steps"]


def _measured(task: str) -> dict[str, Any]:
    if task not in (table := _table()):
        raise UnknownName("task with a measured scale", task, table)
    return dict(table[task])


@cache
def _table() -> dict[str, Any]:
    return dict(yaml.safe_load((files("hyperprompt.envs") / "constants.yaml").read_text()))

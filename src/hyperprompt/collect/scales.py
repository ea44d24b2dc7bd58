"""The fixed scale of whatever decisions are collected from: random actions are 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from hyperprompt.collect.sources import full, is_compiled
from hyperprompt.envs.scale import TaskScale, task_scale
from hyperprompt.errors import UnknownName


def scale_of(task: str) -> TaskScale:
    """Static defaults at T are 1 on live tasks. On compiled ones, whose runs are too short for defaults, it is the end of the
    best fixed setting of a grid (`python -m hyperprompt.collect grid`).

    Raises:
        UnknownName: it has not been measured; lists the tasks that have.
        InvalidValue: a live task without a scale.
    """
    if not is_compiled(task):
        return task_scale(task)
    if task not in _table():
        raise UnknownName("compiled task with a measured scale", task, _table())
    return TaskScale(_table()[task]["random"], _table()[task]["best"])


@cache
def _table() -> dict[str, Any]:
    return dict(yaml.safe_load((files("hyperprompt.collect") / "scales.yaml").read_text()))


def table(rows: Sequence[Mapping[str, Any]], units: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """What scales.yaml holds, from the rows of a grid and their `gonogo.units`: task -> random and best."""
    plain = {row["task"]: row["random"] for row in rows if ":" not in row["task"]}
    return {full(task): {"random": random, "best": random + units[task]} for task, random in sorted(plain.items())}

"""Which tasks meta-training may learn from, choose by, and be judged on; and the count of looks at the last."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from hyperprompt.collect.sources import ENVPOOL
from hyperprompt.durable import append_line, from_json, read_lines, to_json
from hyperprompt.envs.ant import family as ant
from hyperprompt.errors import InvalidValue

Part = Literal["source", "validation", "test"]
LOOKS = Path("results/looks.jsonl")


@cache
def split() -> dict[Part, tuple[str, ...]]:
    """The tasks of each part."""
    data = yaml.safe_load((files("hyperprompt.collect") / "split.yaml").read_text())
    return {part: tuple(tasks) for part, tasks in data.items()}


def part_of(task: str) -> Part | None:
    """The part of a task, under whatever learner, version or name of EnvPool's; None for one that the split does not know."""
    bare = _bare(task)
    return next((part for part, tasks in split().items() if bare in map(_bare, tasks)), None)


def _bare(task: str) -> str:
    task = task.removeprefix(f"{ENVPOOL}/")
    if game := re.fullmatch(r"([A-Z][a-z]+)(Easy|Hard|Extreme|Memory|Exploration)-v\d+", task):
        return f"procgen/{game[1].lower()}"
    bare = re.sub(r"-v\d+$", "", task)
    return "LunarLander" if bare == "LunarLanderContinuous" else bare  # one task, its actions as thrust or as four choices


def known_as(task: str, options: Mapping[str, Any]) -> str:
    """The split's name of a task: an Ant of one's own that has the body of one of its tasks is that task."""
    if task != ant.CUSTOM:
        return task
    body, tasks = ant.morphology(task, options), (task for part in split().values() for task in part)
    return next((name for name in tasks if name.startswith("ant/") and ant.morphology(name) == body), task)


def check(task: str, options: Mapping[str, Any], validation: bool = False) -> None:
    """Whether decisions may be collected from a task; `validation` says that they are for offline scores only.

    Raises:
        InvalidValue: a test task, always; a validation task, unless `validation`.
    """
    task = known_as(task, options)
    part = part_of(task)
    if part == "test":
        raise InvalidValue(f"{task} is a sealed test task: nothing may be collected from it (docs/split.md)")
    if part == "validation" and not validation:
        raise InvalidValue(
            f"{task} is a validation task: decisions from it may be scored, never trained on; "
            "a collection of its own with 'validation: true' does that"
        )


def look(suite: str, tasks: Iterable[str], path: Path = LOOKS) -> int:
    """Note that test tasks among `tasks` were evaluated, as one line of `path`; returns how often any has been, this included.

    Whoever evaluates calls it before results are seen. Nothing is written where there is no test task among them.
    """
    seen = sorted(task for task in set(tasks) if part_of(task) == "test")
    if seen:
        path.parent.mkdir(parents=True, exist_ok=True)
        append_line(path, to_json({"time": datetime.now(UTC).isoformat(timespec="seconds"), "suite": suite, "tasks": seen}))
    return len(looks(path))


def looks(path: Path = LOOKS) -> list[dict[str, Any]]:
    """Every look so far: time, suite and test tasks."""
    return read_lines(path, from_json)[0]

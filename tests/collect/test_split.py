"""The split: parts that do not meet, refusals, and the count of looks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from hyperprompt.collect import split
from hyperprompt.collect.sources import SOURCES
from hyperprompt.envs import make as envs
from hyperprompt.envs.ant import family as ant
from hyperprompt.errors import InvalidValue


def test_no_task_is_in_two_parts_and_each_exists() -> None:
    parts = split.split()
    tasks = [task for part in parts.values() for task in part]
    assert len(tasks) == len(set(tasks))
    for task in tasks:
        if task.startswith("gymnax/"):
            assert task.removeprefix("gymnax/") in SOURCES
        else:
            envs.exists(task)


def test_the_sealed_part_is_what_the_bars_ask_for() -> None:
    sealed = split.split()["test"]
    assert sum(task.startswith("procgen/") for task in sealed) >= 2
    assert sum(task.startswith("nethack/") for task in sealed) >= 1
    ants = [task for task in sealed if task.startswith("ant/")]
    assert len(ants) == 2
    assert all(envs.describe(ant).algorithm == "sbx-sac" for ant in ants)
    assert sum("/" not in task for task in sealed) == 3
    assert "LunarLander-v3" in split.split()["validation"]


def test_every_listed_task_has_its_part() -> None:
    # Reacher-v5 has no part: it is held back; ant/test-0 has none any more, for want of a scale.
    free = {"ant/custom", "ant/test-0", "Reacher-v5"}
    assert {entry.name for entry in envs.list_envs() if split.part_of(entry.name) is None} == free


def test_test_tasks_are_always_refused_and_validation_tasks_unless_asked_for() -> None:
    split.check("CartPole-v1", {})
    split.check("a task of the user's", {})
    split.check("procgen/ninja", {}, validation=True)
    with pytest.raises(InvalidValue, match="validation task"):
        split.check("procgen/ninja", {})
    for validation in (False, True):
        with pytest.raises(InvalidValue, match="sealed"):
            split.check("procgen/coinrun", {}, validation)


@pytest.mark.parametrize(
    ("task", "part"),
    [
        ("HalfCheetah-v4", "test"),
        ("envpool/HalfCheetah-v4", "test"),
        ("CoinrunEasy-v0", "test"),
        ("StarpilotHard-v0", "test"),
        ("LunarLander-v2", "validation"),
        ("LunarLanderContinuous-v3", "validation"),
        ("NinjaMemory-v0", "validation"),
        ("CartPole-v0", "source"),
        ("MiniGrid-Empty-5x5-v0", None),
    ],
)
def test_a_task_is_the_same_one_under_another_version_or_name(task: str, part: str | None) -> None:
    assert split.part_of(task) == part


def test_looks_at_sealed_tasks_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "results" / "looks.jsonl"
    assert split.look("first", ["CartPole-v1", "LunarLander-v3"], path) == 0
    assert not path.exists()
    assert split.look("final", ["nethack/score", "CartPole-v1", "ant/test-1"], path) == 1
    assert split.look("final", ["ant/test-1"], path) == 2
    assert [(look["suite"], look["tasks"]) for look in split.looks(path)] == [
        ("final", ["ant/test-1", "nethack/score"]),
        ("final", ["ant/test-1"]),
    ]


def test_a_sealed_body_stays_sealed_under_another_name() -> None:
    sealed = asdict(ant.morphology("ant/test-1"))
    with pytest.raises(InvalidValue, match="ant/test-1 is a sealed"):
        split.check("ant/custom", sealed)
    split.check("ant/custom", {**sealed, "legs": sealed["legs"] + 1})
    split.check("ant/custom", asdict(ant.morphology("ant/train-0")))

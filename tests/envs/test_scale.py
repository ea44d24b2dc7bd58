"""The shipped task constants: two fixed points, and what they rest on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hyperprompt.envs import make as envs
from hyperprompt.envs.scale import TaskScale, _table, task_scale
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.pipeline.constants import SEEDS

CURVES = Path(__file__).parents[2] / "results" / "static"


def test_random_is_0_and_static_is_1() -> None:
    scale = TaskScale(random=-200.0, static=-100.0)
    assert [scale.score(r) for r in (-200.0, -150.0, -100.0, 0.0)] == [0.0, 0.5, 1.0, 2.0]
    assert task_scale("CartPole-v1").score(500.0) == pytest.approx(1.0)


def test_what_was_not_measured_or_not_learned_has_no_scale() -> None:
    with pytest.raises(UnknownName, match="CartPole-v1"):
        task_scale("CartPole-v0")
    unlearned = [name for name, row in _table().items() if row["static"] <= row["random"]]
    assert unlearned
    # Better than random actions by less than the noise of their mean: no unit either.
    for name in (*unlearned, "procgen/chaser"):
        with pytest.raises(InvalidValue, match=f"{name} has no scale"):
            task_scale(name)


@pytest.mark.parametrize("task", sorted(_table()))
def test_constants_follow_from_the_committed_runs(task: str) -> None:
    row = _table()[task]
    runs = [json.loads(path.read_text()) for path in sorted(CURVES.glob(f"{task.replace('/', '_')}-s*.json"))]
    assert [run["seed"] for run in runs] == row["seeds"]
    assert set(row["seeds"]) <= set(SEEDS)
    assert row["static"] == pytest.approx(np.mean([run["result"]["final_return"] for run in runs]))
    assert all(run["versions"]["stable_baselines3"] for run in runs)
    assert all(run["result"]["steps"] >= row["steps"] for run in runs)
    info = envs.describe(task)
    assert (row["steps"], row["algo"]) == (info.steps, info.algorithm), "measured at the task's own budget and agent"

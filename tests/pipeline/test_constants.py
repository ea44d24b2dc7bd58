"""The fixed task scale: measured once, resumed, refused where runs differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from hyperprompt.errors import HyperPromptError
from hyperprompt.pipeline import constants
from hyperprompt.runs import RunFolder

TASK = "Catch-v0"


def record(curves: Path, seed: int, final: float, preset: str = "sb3-default") -> None:
    curves.mkdir(exist_ok=True)
    config = {"preset": preset, "algo": "ppo", "steps": 50_000, "env_options": {}}
    data = {"task": TASK, "seed": seed, "result": {"final_return": final}, "config": config}
    (curves / f"{TASK}-s{seed}.json").write_text(json.dumps(data))


def test_the_table(tmp_path: Path) -> None:
    record(tmp_path / "curves", 9001, 0.5)
    record(tmp_path / "curves", 9002, 0.9)
    constants.write_table([TASK, "CartPole-v1"], tmp_path / "curves", tmp_path / "constants.yaml")
    table = yaml.safe_load((tmp_path / "constants.yaml").read_text())
    assert list(table) == [TASK], "a task without runs has no constants"
    assert table[TASK]["static"] == pytest.approx(0.7)
    assert table[TASK]["seeds"] == [9001, 9002]
    assert -0.9 < table[TASK]["random"] < -0.2, "random play catches about one ball in five to three"


def test_runs_that_differ_are_refused(tmp_path: Path) -> None:
    record(tmp_path, 9001, 0.5)
    record(tmp_path, 9002, 0.5, preset="published")
    with pytest.raises(HyperPromptError, match=TASK):
        constants.table([TASK], tmp_path)


def test_finished_runs_are_not_repeated_and_failures_do_not_stop_the_rest(tmp_path: Path) -> None:
    record(tmp_path / "curves", 9001, 0.5)
    failures = constants.measure([TASK, "no-such-task"], [9001], 2, tmp_path / "curves", tmp_path / "runs")
    assert len(failures) == 1
    assert "no-such-task" in failures[0]
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_real_run_leaves_its_curve(tmp_path: Path) -> None:
    assert not constants.measure([TASK], [9001], 1, tmp_path / "curves", tmp_path / "runs")
    stored = json.loads((tmp_path / "curves" / f"{TASK}-s9001.json").read_text())
    assert stored["curve"]["step"][-1] >= 50_000
    assert stored["result"] == RunFolder.open(tmp_path / "runs" / f"{TASK}-s9001", readonly=True).result()

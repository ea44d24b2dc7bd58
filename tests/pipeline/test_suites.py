"""One short run of every family under the language model and under static settings, through the whole pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hyperprompt.config import parse
from hyperprompt.errors import RunFolderError
from hyperprompt.pipeline.deploy import train
from hyperprompt.pipeline.evaluate import evaluate
from hyperprompt.pipeline.resolve import resolve
from hyperprompt.runs import RunFolder

TINY_PPO = {"n_envs": 4, "agent": {"n_steps": 16, "batch_size": 32, "n_epochs": 1}}
RUNS: dict[str, dict[str, Any]] = {
    "procgen/starpilot": {**TINY_PPO, "evaluate": 2, "encoder": "nature"},
    "nethack/score": TINY_PPO,
    "ant/train-0": {"n_envs": 4, "agent": {"learning_starts": 64, "buffer_size": 1000}},
    "MiniGrid-DoorKey-5x5-v0": TINY_PPO,
}


@pytest.mark.parametrize("controller", ["static", "llm"])
@pytest.mark.parametrize("task", RUNS)
def test_a_short_run(task: str, controller: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = train(parse({"env": task, "controller": controller, "steps": 256, "every": 64, **RUNS[task]}), out)
    assert result["steps"] >= 256
    assert result["gradient_updates"] > 0
    run = RunFolder.open(out, readonly=True)
    assert len(run.decisions()) >= 4
    assert all(d.status != "rejected" for d in run.decisions())
    assert run.config["env"] == task
    if controller == "llm":
        assert all(d.probabilities for d in run.decisions())
    assert (out / "evaluation.json").exists() == task.startswith("procgen/")
    assert (out / "report.html").exists()


def test_the_generalisation_gap_is_reported(tmp_path: Path) -> None:
    config = resolve(parse({"env": "procgen/starpilot", "controller": "static", "steps": 64, **RUNS["procgen/starpilot"]}))
    train(config, tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert stored["generalisation_gap"] == pytest.approx(stored["train"]["return_mean"] - stored["test"]["return_mean"])
    again = evaluate(tmp_path / "run", config, episodes=2)
    assert again == stored, "the checkpoint holds the same policy, and the seeds are fixed"


def test_nothing_is_evaluated_without_a_checkpoint(tmp_path: Path) -> None:
    config = resolve(parse({"env": "CartPole-v1", "controller": "static", "steps": 64, "checkpoints": False, **TINY_PPO}))
    train(config, tmp_path / "run")
    with pytest.raises(RunFolderError, match="checkpoint"):
        evaluate(tmp_path / "run", config)

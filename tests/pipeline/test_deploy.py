from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperprompt.callback import Report
from hyperprompt.config import RunConfig
from hyperprompt.errors import InvalidValue, ModelUnavailable, RunFolderError
from hyperprompt.pipeline import deploy
from hyperprompt.pipeline.export import schedule_yaml
from hyperprompt.runs import RunFolder

PPO = RunConfig(
    env="CartPole-v1",
    controller="random",
    steps=2048,
    every=256,
    n_envs=4,
    agent={"n_steps": 32, "n_epochs": 2, "batch_size": 64},
)
SAC = RunConfig(
    env="Pendulum-v1",
    algo="sac",
    controller="random",
    steps=400,
    every=80,
    tune=("learning_rate", "tau"),
    agent={"learning_starts": 50, "buffer_size": 150, "batch_size": 16, "policy_kwargs": {"net_arch": [8]}},
)


class Killed(Exception):
    """Stands for the end of the process: nothing of the run is closed or finished in its wake."""


def killer(at: int) -> Any:
    def listen(report: Report) -> None:
        if report.step >= at:
            raise Killed

    return listen


def contiguous(folder: RunFolder, config: RunConfig) -> None:
    decisions, progress = folder.decisions(), folder.progress()
    assert [d.index for d in decisions] == list(range(len(decisions)))
    steps = [d.step for d in decisions]
    assert steps == sorted(set(steps))
    assert progress["step"][:-1] == steps[1:]
    assert progress["step"][-1] >= config.steps
    for before, after in pairwise(decisions):
        assert after.theta_before == before.theta_after


@pytest.mark.parametrize("config", [PPO, SAC], ids=["ppo", "sac"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_a_killed_run_goes_on_where_it_was(config: RunConfig, share: float, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        deploy.train(config, tmp_path / "run", killer(int(share * config.steps)))
    before = RunFolder.open(tmp_path / "run", readonly=True)
    kept = before.decisions()
    assert before.result() is None
    result = deploy.resume(tmp_path / "run")
    after = RunFolder.open(tmp_path / "run", readonly=True)
    assert after.decisions()[: len(kept)] == kept
    contiguous(after, config)
    assert result["steps"] >= config.steps
    assert result["gradient_updates"] > 0


def test_interrupted_twice_it_takes_the_same_decisions_as_undisturbed(tmp_path: Path) -> None:
    """Random's steps depend on (seed, index) alone, so theta must follow the same path."""
    deploy.train(PPO, tmp_path / "whole")
    for at in (500, 1200):
        with pytest.raises(Killed):
            deploy.train(PPO, tmp_path / "cut", killer(at)) if at == 500 else deploy.resume(tmp_path / "cut", killer(at))
    deploy.resume(tmp_path / "cut")
    thetas = [[d.theta_after for d in RunFolder.open(tmp_path / n, readonly=True).decisions()] for n in ("whole", "cut")]
    assert thetas[0] == thetas[1]


def test_killed_before_the_first_checkpoint_it_starts_again(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        deploy.train(SAC, tmp_path / "run", killer(0))
    for step in (tmp_path / "run" / "checkpoints").glob("0*"):
        for file in step.iterdir():
            file.unlink()
        step.rmdir()
    assert deploy.resume(tmp_path / "run")["steps"] == SAC.steps


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    first = deploy.train(PPO, tmp_path / "run")
    journal = (tmp_path / "run" / "decisions.jsonl").read_bytes()
    assert deploy.resume(tmp_path / "run") == first
    assert (tmp_path / "run" / "decisions.jsonl").read_bytes() == journal
    with pytest.raises(RunFolderError, match="--resume"):
        deploy.train(PPO, tmp_path / "run")


def test_equal_configurations_give_equal_runs(tmp_path: Path) -> None:
    a, b = (deploy.train(PPO, tmp_path / name) for name in "ab")
    assert a["auc"] == b["auc"]
    other = deploy.train(PPO.model_copy(update={"seed": 1}), tmp_path / "c")
    assert other["auc"] != a["auc"]


def test_an_exported_schedule_replays_the_run(tmp_path: Path) -> None:
    deploy.train(PPO, tmp_path / "found")
    file = tmp_path / "schedule.yaml"
    file.write_text(schedule_yaml(tmp_path / "found"))
    deploy.train(PPO.model_copy(update={"controller": f"schedule:{file}"}), tmp_path / "replayed")
    a, b = (RunFolder.open(tmp_path / name, readonly=True) for name in ("found", "replayed"))
    for x, y in zip(a.decisions(), b.decisions(), strict=True):
        assert y.theta_after == pytest.approx(x.theta_after, rel=1e-6)
    assert np.allclose(a.progress()["return_mean"], b.progress()["return_mean"], rtol=0.2, equal_nan=True)


def test_the_stored_configuration_is_whole_and_binding(tmp_path: Path) -> None:
    deploy.train(PPO, tmp_path / "run")
    config = RunFolder.open(tmp_path / "run", readonly=True).config
    assert config["agent"]["gamma"] == 0.99
    assert config["agent"]["n_steps"] == 32
    assert deploy.stored(tmp_path / "run", {"env": "CartPole-v1"}).n_envs == 4
    with pytest.raises(InvalidValue, match="steps is 2048"):
        deploy.stored(tmp_path / "run", {"steps": 4096})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"env": "Pendulum-v1", "algo": "dqn"}, "DQN cannot be built"),
        ({"algo": "sac"}, "SAC cannot be built"),
        ({"agent": {"learning_rate": "fast"}}, "learning_rate: expected a number"),
        ({"tune": ("tau",)}, "tau"),
        ({"controller": "kl-adaptive", "algo": "a2c", "agent": {}}, "ppo only"),
    ],
)
def test_what_cannot_work_leaves_no_folder(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    config = RunConfig(**{**PPO.model_dump(), "agent": {}, **changes})
    with pytest.raises((InvalidValue, LookupError), match=says):
        deploy.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_start_that_fails_takes_no_other_run_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "runs" / "b"

    def fail(*arguments: Any) -> Any:
        other.mkdir(parents=True)
        (other / "decisions.jsonl").write_text("hours of work")
        raise ModelUnavailable("no weights here")

    monkeypatch.setattr(deploy, "agent", fail)
    with pytest.raises(ModelUnavailable):
        deploy.train(PPO, tmp_path / "runs" / "nested" / "a")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["b"]
    assert (other / "decisions.jsonl").exists()

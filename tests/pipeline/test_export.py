from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyperprompt.config import RunConfig
from hyperprompt.controllers.fixed import Schedule
from hyperprompt.core import Decision
from hyperprompt.errors import InvalidValue
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, for_algorithm
from hyperprompt.pipeline import deploy
from hyperprompt.pipeline.export import mean_schedule_yaml
from hyperprompt.runs import RunFolder

PPO = for_algorithm("ppo").subset(TUNED_BY_DEFAULT["ppo"])
CARTPOLE = RunConfig(
    env="CartPole-v1",
    controller="random",
    steps=512,
    every=64,
    checkpoints=False,
    n_envs=4,
    agent={"n_steps": 16, "n_epochs": 2, "batch_size": 64},
)
Thetas = Sequence[tuple[int, Mapping[str, float]]]


def run_folder(path: Path, thetas: Thetas, steps: int = 1000, finished: bool = True, **config: Any) -> Path:
    """A run folder without a run: its decisions are (step, theta in force from there on)."""
    settings = {"env": "T", "algo": "ppo", "controller": "c", "seed": 0, "steps": steps, "bounds": {}, **config}
    with RunFolder.create(path, settings) as folder:
        for index, (step, theta) in enumerate(thetas):
            folder.append_decision(Decision(index, step, "c", dict(theta), dict(theta), {}, {}, "applied", "", 0.0, ""))
        if finished:
            folder.write_result({"auc": 1.0})
    return path


def schedule(text: str) -> list[tuple[float, dict[str, float]]]:
    return [(point["progress"], point["theta"]) for point in yaml.safe_load(text)["schedule"]]


def test_the_mean_is_taken_on_each_own_scale(tmp_path: Path) -> None:
    a = {"learning_rate": 1e-4, "n_epochs": 4.0, "clip_range": 0.1, "gamma": 0.99, "ent_coef": 0.0}
    b = {"learning_rate": 1e-2, "n_epochs": 9.0, "clip_range": 0.4, "gamma": 0.9999, "ent_coef": 1e-2}
    folders = [run_folder(tmp_path / "a", [(0, a)]), run_folder(tmp_path / "b", [(0, b)])]
    ((progress, theta),) = schedule(mean_schedule_yaml(folders))
    assert progress == 0.0
    assert theta == pytest.approx(
        {"learning_rate": 1e-3, "n_epochs": 6.0, "clip_range": 0.25, "gamma": 0.999, "ent_coef": 1e-3}
    ), "an entropy bonus of 0 reads as its floor of 1e-4"
    assert schedule(mean_schedule_yaml([folders[0]] * 2)) == [(0.0, a)], "what all runs agree on stays as it is"


def test_runs_of_different_budgets_meet_at_their_shares_of_it(tmp_path: Path) -> None:
    def lr(value: float) -> dict[str, float]:
        return {"learning_rate": value}

    short = run_folder(tmp_path / "short", [(0, lr(1e-3)), (500, lr(1e-4)), (750, lr(1e-4))])
    long = run_folder(tmp_path / "long", [(0, lr(1e-3)), (300, lr(1e-5)), (1500, lr(1e-5))], steps=3000)
    points = schedule(mean_schedule_yaml([short, long]))
    assert [progress for progress, _ in points] == [0.0, 0.1, 0.5], "a point per change"
    assert [theta["learning_rate"] for _, theta in points] == pytest.approx([1e-3, 1e-4, 10**-4.5])


def test_the_runs_own_bounds_hold(tmp_path: Path) -> None:
    wide = {"learning_rate": [1e-6, 1.0]}
    a = run_folder(tmp_path / "a", [(0, {"learning_rate": 1e-6})], bounds=wide)
    b = run_folder(tmp_path / "b", [(0, {"learning_rate": 1.0})], bounds=wide)
    assert schedule(mean_schedule_yaml([a, b]))[0][1]["learning_rate"] == pytest.approx(1e-3)


def test_what_has_no_mean_schedule(tmp_path: Path) -> None:
    lr = {"learning_rate": 1e-3}
    a = run_folder(tmp_path / "a", [(0, lr)])
    others = {
        "has not finished": run_folder(tmp_path / "b", [(0, lr)], finished=False),
        "ppo and sac": run_folder(tmp_path / "c", [(0, lr)], algo="sbx-sac"),
        "not all tune gamma": run_folder(tmp_path / "d", [(0, {**lr, "gamma": 0.9})]),
        "no decision": run_folder(tmp_path / "e", []),
    }
    for says, folder in others.items():
        with pytest.raises(InvalidValue, match=says):
            mean_schedule_yaml([a, folder])
    with pytest.raises(InvalidValue, match="at least one"):
        mean_schedule_yaml([])


def test_the_mean_of_real_runs_is_replayed(tmp_path: Path) -> None:
    """Two random runs and a static one."""
    folders = [tmp_path / f"random{seed}" for seed in (1, 2)]
    for seed, folder in enumerate(folders, start=1):
        deploy.train(CARTPOLE.model_copy(update={"seed": seed}), folder)
    static = CARTPOLE.model_copy(update={"controller": "static"})
    folders.append(tmp_path / "static")
    deploy.train(static, folders[-1])
    file = tmp_path / "mean.yaml"
    file.write_text(mean_schedule_yaml(folders))
    assert [run["controller"] for run in yaml.safe_load(file.read_text())["origin"]["mean_of"]] == ["random"] * 2 + ["static"]

    deploy.train(CARTPOLE.model_copy(update={"controller": f"schedule:{file}"}), tmp_path / "replayed")
    journals = [RunFolder.open(folder, readonly=True).decisions() for folder in folders]
    replayed = RunFolder.open(tmp_path / "replayed", readonly=True).decisions()
    for *originals, decision in zip(*journals, replayed, strict=True):
        assert {d.step for d in originals} == {decision.step}
        for h in PPO:
            values = [d.theta_after[h.name] for d in originals]
            means = {
                "linear": sum(values) / 3,
                "one_minus_log": 1.0 - math.prod(1.0 - h.clip(value) for value in values) ** (1 / 3),
            }
            mean = means.get(h.scale, math.prod(map(h.clip, values)) ** (1 / 3))
            assert h.clip(decision.theta_after[h.name]) == pytest.approx(h.value(mean))

    same = tmp_path / "same.yaml"
    same.write_text(mean_schedule_yaml([folders[-1]]))
    result = deploy.train(static.model_copy(update={"controller": f"schedule:{same}"}), tmp_path / "again")
    original = RunFolder.open(folders[-1], readonly=True).result()
    assert original is not None
    assert result["auc"] == original["auc"], "a static run, replayed, is the same run"


def test_one_point_at_the_start_sets_fixed_values(tmp_path: Path) -> None:
    """What an offline tuner found is run as a schedule of one point: in force from the first update on."""
    theta = {"learning_rate": 2e-3, "n_epochs": 3.0, "ent_coef": 0.01, "clip_range": 0.3}
    file = tmp_path / "fixed.yaml"
    file.write_text(yaml.safe_dump({"schedule": [{"progress": 0.0, "theta": theta}]}))
    controller = f"schedule:{file}"
    deploy.train(CARTPOLE.model_copy(update={"controller": controller}), tmp_path / "run")
    run = RunFolder.open(tmp_path / "run", readonly=True)
    assert run.decisions()[0].step == 0
    assert all(d.theta_after == pytest.approx({**theta, "gamma": 0.99}) for d in run.decisions())
    assert run.progress()["theta/learning_rate"][0] == pytest.approx(2e-3)
    result = run.result()
    assert result is not None
    assert result["gradient_updates"] == 8 * 3, "3 epochs in each of 8 updates, the first among them"
    assert set(Schedule(file).requires) == set(theta)

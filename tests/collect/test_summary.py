"""Best fixed settings, units and bootstrap intervals, from figures written by hand."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("gymnax")

from hyperprompt.collect.gonogo import Config, Replay, best_fixed, mean_path, mean_schedule, run, units
from hyperprompt.collect.grid import load, scale, split
from hyperprompt.collect.summary import difference, scores, summarise
from hyperprompt.durable import append_line, to_json
from hyperprompt.errors import HyperPromptError, InvalidValue, UnknownName


def row(task, random, auc, final=None):
    """Learning rate -> AUC, ten epochs."""
    final = final or auc
    points = [{"n_epochs": 10, "learning_rate": r, "seed": 0, "auc": a, "final": final[r]} for r, a in auc.items()]
    return {"task": task, "random": random, "points": points}


ROWS = [
    row("cartpole", 20, {3e-4: 120, 1e-2: 220}),
    row("cartpole:hot", 20, {3e-4: 420, 1e-2: 320}),
    row("catch", -1, {3e-4: 0.0, 1e-2: 1.0}),
]


def test_the_best_fixed_setting_weighs_variants_alike():
    # In units of each variant's best: 3e-4 has 0.5 + 1 + 0.5, 1e-2 has 1 + 0.75 + 1.
    assert best_fixed(ROWS) == (1e-2, 10)
    assert best_fixed([row("lake", 0, {3e-4: 1, 1e-2: 0})]) == (3e-4, 10)
    with pytest.raises(InvalidValue, match="grid of at least one task"):
        best_fixed([])


def test_a_mean_schedule_is_replayed_at_the_same_shares_of_another_budget(tmp_path):
    from hyperprompt.collect.ppo import SPACE
    from hyperprompt.controllers.fixed import Schedule

    low, high = ({**SPACE.defaults, "learning_rate": rate} for rate in (1e-4, 1e-2))
    # A run of six updates has as many intervals, one update each.
    lines = [{"task": "lake", "path": [low] * 6}, {"task": "lake:hot", "path": [low] * 3 + [high] * 3}]
    points = mean_schedule(lines, updates=6)
    assert [p["progress"] for p in points] == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    # The mean on a scale of logarithms.
    assert [p["theta"]["learning_rate"] for p in points] == pytest.approx([1e-4] * 3 + [1e-3] * 3)
    (tmp_path / "mean.yaml").write_text(to_json({"schedule": points}))
    assert Schedule(tmp_path / "mean.yaml").points[3][1] == pytest.approx(points[3]["theta"])
    with pytest.raises(InvalidValue, match="64 updates"):
        mean_schedule(lines, updates=64)
    with pytest.raises(InvalidValue, match="needs runs"):
        mean_schedule([], updates=64)
    with pytest.raises(InvalidValue, match="PPO or of SAC"):
        mean_schedule([*lines, {"task": "hill", "path": []}], updates=6)


def test_units_are_the_width_of_what_fixed_settings_reach():
    assert units(ROWS) == {"cartpole": 400, "catch": 2}
    assert scale(ROWS[0]).score(120) == 1.0


def test_scales_of_other_tasks_stay_and_both_algorithms_have_some(tmp_path):
    import yaml

    from hyperprompt.collect.__main__ import scales

    ppo, sac, out = tmp_path / "ppo.jsonl", tmp_path / "sac.jsonl", tmp_path / "scales.yaml"
    for line in ROWS:
        append_line(ppo, to_json(line))
    points = [{"gradient_steps": n, "learning_rate": 3e-4, "seed": 0, "auc": 0.0, "final": 10.0 * n} for n in (1, 2)]
    append_line(sac, to_json({"task": "point", "random": 5.0, "points": points}))
    for path in (ppo, sac, sac):
        scales([path], out)
    assert yaml.safe_load(out.read_text()) == {
        "gymnax/cartpole": {"best": 420.0, "random": 20},
        "gymnax/catch": {"best": 1.0, "random": -1},
        "gymnax/point": {"best": 20.0, "random": 5.0},
    }
    assert [line.split("/")[-1] for line in out.read_text().splitlines()[:2]] == ["ppo.jsonl", "sac.jsonl"]


def test_scores_and_differences(tmp_path):
    lines = [
        {"task": "cartpole", "arm": "static", "tag": "", "auc": [120.0, 120.0], "final": [1.0, 1.0]},
        {"task": "cartpole", "arm": "student", "tag": "x", "auc": [220.0, 220.0], "final": [1.0, 1.0]},
    ]
    table = scores(lines, ROWS, "auc")
    np.testing.assert_allclose(table["cartpole", "student/x"], 0.5)
    assert difference(table, ["cartpole"], "student/x", "static") == {"mean": 0.25, "low": 0.25, "high": 0.25}
    for line in lines:
        append_line(tmp_path / "runs.jsonl", to_json(line))
    for line in ROWS:
        append_line(tmp_path / "grid.jsonl", to_json(line))
    result = summarise(tmp_path / "runs.jsonl", tmp_path / "grid.jsonl")
    found = result["auc_differences"]["student/x - static"]
    assert found["by_task"] == {"cartpole": {"mean": 0.25, "low": 0.25, "high": 0.25}}
    assert (found["mean"], found["tasks"], found["won"]) == (0.25, 1, 1)
    assert result["auc"]["cartpole"] == {"oracle_grid": 0.5, "static": 0.25, "student/x": 0.5}


def test_the_interval_covers_a_true_difference():
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        table = {("t", "a"): rng.normal(1.0, 1.0, 30), ("t", "b"): rng.normal(0.0, 1.0, 30)}
        found = difference(table, ["t"], "a", "b", seed)
        covered += found["low"] < 1.0 < found["high"]
    assert covered >= 88


def test_unknown_arms_are_named(tmp_path):
    append_line(tmp_path / "grid.jsonl", to_json(ROWS[0]))
    for arm, message in (("statik", "kl-adaptive"), ("replay", "student")):
        config = Config(("cartpole",), (), (arm,))
        with pytest.raises(HyperPromptError, match=message):
            run(config, [tmp_path], [tmp_path / "grid.jsonl"], tmp_path / "out.jsonl")


def test_unknown_tasks_and_variants_are_named():
    assert split("lake")[1].observation_scale == 1.0
    assert split("lake:hot")[1].gain == 10.0
    with pytest.raises(UnknownName, match="cartpole"):
        split("cartpol")
    with pytest.raises(UnknownName, match="hot"):
        split("cartpole:hod")


def test_a_mean_path_replays_to_the_same_values():
    from types import SimpleNamespace

    from hyperprompt.collect.ppo import SPACE
    from hyperprompt.core import MetaState

    low, high = SPACE.clip(SPACE.defaults), SPACE.clip(SPACE.defaults) | {"learning_rate": 3e-2}
    runs = [
        SimpleNamespace(meta=SimpleNamespace(space=SPACE, intervals=[SimpleNamespace(theta=theta)])) for theta in (low, high)
    ]
    path = mean_path(runs)  # type: ignore[arg-type]
    assert path[0]["learning_rate"] == pytest.approx(3e-3)
    state = MetaState("r", None, SPACE, 0, SPACE.defaults)  # type: ignore[arg-type]
    (answer,) = Replay(path).decide([state])
    moved = SPACE.shift(state.theta, answer.delta)
    assert SPACE.clip(moved) == pytest.approx(path[0])


def test_a_first_value_and_what_is_tuned_are_those_of_every_run(tmp_path):
    append_line(tmp_path / "grid.jsonl", to_json(ROWS[0]))
    grids, out = [tmp_path / "grid.jsonl"], tmp_path / "out.jsonl"
    config = Config(
        ("lake",),
        (),
        ("static",),
        (1, 2),
        updates=3,
        tune=("learning_rate", "gae_lambda"),
        first={"gae_lambda": 0.9},
        tag="0.9",
    )
    run(config, [], grids, out)
    (line,) = load(out)
    assert line["tag"] == "0.9"
    assert [point.keys() for point in line["path"]] == [{"learning_rate", "gae_lambda"}] * 3
    assert {point["gae_lambda"] for point in line["path"]} == {0.9}
    with pytest.raises(InvalidValue, match=r"seeds \[1, 2\], not \[2\]: name another file"):
        run(replace(config, seeds=(2,)), [], grids, out)
    with pytest.raises(InvalidValue, match="updates 3, not 4"):
        run(replace(config, updates=4), [], grids, out)
    with pytest.raises(UnknownName, match="gae_lambda"):
        run(Config(("lake",), (), ("static",), (1,), first={"gae_lambda": 0.9}, tag="untuned"), [], grids, out)

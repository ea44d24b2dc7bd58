"""Collection files: what they say, and how every kind of mistake is refused before anything runs."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyperprompt import cli
from hyperprompt.collect import config, split
from hyperprompt.collect.scales import scale_of
from hyperprompt.errors import HyperPromptError, InvalidValue
from hyperprompt.sft.controls import NumericModel
from hyperprompt.testing import lessons

SHIPPED = sorted((Path(__file__).parents[2] / "collections").glob("*.yaml"))


def write(folder: Path, values: Any) -> Path:
    path = folder / "collection.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump({"tasks": ["CartPole-v1"], **values}))
    return path


BAD: dict[str, tuple[Any, list[str]]] = {
    "key": ({"roundz": 3}, ["'roundz'", "'rounds'"]),
    "key of a task": ({"tasks": [{"env": "CartPole-v1", "action": 9}]}, ["tasks.0.action", "'actions'"]),
    "key of a family": ({"families": {"procgen": {"horizon": 9}}}, ["families.procgen.horizon", "horizon_updates"]),
    "key of one task in a family": ({"families": {"plain": {"env": "CartPole-v1"}}}, ["families.plain.env", "one task"]),
    "family": ({"families": {"prokgen": {"rounds": 9}}}, ["'prokgen'", "'procgen'"]),
    "value": ({"rounds": 0}, ["rounds", "greater than or equal to 1"]),
    "value of a task": ({"tasks": [{"env": "CartPole-v1", "actions": 2}]}, ["tasks.0.actions", "3"]),
    "task": ({"tasks": ["CartPol-v1"]}, ["CartPol-v1", "'CartPole-v1'"]),
    "compiled task": ({"tasks": ["gymnax/cartpol"]}, ["gymnax/cartpol", "'gymnax/cartpole'"]),
    "task without a scale": ({"tasks": ["MountainCar-v0"]}, ["MountainCar-v0", "no scale"]),
    "scale that is upside down": ({"tasks": [{"env": "MountainCar-v0", "scale": [1, 0]}]}, ["tasks.0.scale", "not below"]),
    "task named twice": ({"tasks": ["CartPole-v1", {"env": "CartPole-v1"}]}, ["CartPole-v1", "rounds"]),
    "no task": ({"tasks": []}, ["tasks", "at least one"]),
    "validation task": ({"tasks": ["LunarLander-v3"]}, ["LunarLander-v3", "validation: true"]),
    "test task": ({"tasks": ["procgen/coinrun"], "validation": True}, ["procgen/coinrun", "sealed"]),
    "key of a run": ({"set": {"agnet.n_steps": 8}}, ["set", "'agent'"]),
    "argument of the agent": ({"set": {"agent.n_step": 8}}, ["CartPole-v1", "'n_steps'"]),
    "what a recipe decides": ({"set": {"seed": 8}}, ["set", "seed"]),
    "mode": ({"mode": "brunch"}, ["mode", "branch"]),
    "tuner": ({"mode": "bayes", "tuner": "tpee"}, ["'tpe'"]),
    "mode of a compiled task": ({"tasks": [{"env": "gymnax/catch", "mode": "bayes"}]}, ["gymnax/catch", "branch and roll"]),
    "key of a live task": ({"tasks": [{"env": "gymnax/catch", "every": 9}]}, ["gymnax/catch", "every"]),
    "horizon of live SAC": ({"tasks": [{"env": "gymnax/catch", "horizon_steps": 9}]}, ["gymnax/catch", "horizon_steps"]),
    "horizon of PPO": ({"tasks": [{"env": "gymnax/swingup", "horizon_updates": 9}]}, ["gymnax/swingup", "horizon_updates"]),
    "horizon of SAC, which has a twin": (
        {"tasks": [{"env": "gymnax/swingup-ppo", "horizon_steps": 9}]},
        ["gymnax/swingup-ppo", "horizon_steps"],
    ),
    "argument of a compiled task": (
        {"tasks": [{"env": "gymnax/catch", "set": {"agent.gamma": 0.9}}]},
        ["gymnax/catch", "agent.gamma"],
    ),
    "rollout of SAC": (
        {"tasks": [{"env": "gymnax/swingup", "set": {"agent.n_steps": 64}}]},
        ["gymnax/swingup", "agent.n_steps"],
    ),
    "tune what the learner has not": (
        {"tasks": [{"env": "gymnax/catch", "set": {"tune": ["gamma", "batch_size"]}}]},
        ["gymnax/catch", "batch_size", "gae_lambda"],
    ),
    "tune what SAC has not": (
        {"tasks": [{"env": "gymnax/swingup", "set": {"tune": ["clip_range"]}}]},
        ["gymnax/swingup", "clip_range", "target_entropy"],
    ),
    "tune without a list": ({"tasks": [{"env": "gymnax/catch", "set": {"tune": "gamma"}}]}, ["gymnax/catch", "a list"]),
    "tune twice": ({"tasks": [{"env": "gymnax/catch", "set": {"tune": ["gamma", "gamma"]}}]}, ["gymnax/catch", "once"]),
    "rollout of no whole minibatches": (
        {"tasks": [{"env": "gymnax/catch", "set": {"agent.n_steps": 30}}]},
        ["gymnax/catch", "multiple of 4"],
    ),
    "live branches to the end": ({"horizon_updates": 0}, ["CartPole-v1", "horizon_updates", "compiled"]),
    "live branches under a controller": ({"controller": "random"}, ["CartPole-v1", "controller", "compiled"]),
    "negative horizon": ({"horizon_updates": -1}, ["horizon_updates", "greater than or equal to 0"]),
    "no evaluation of a compiled task": ({"tasks": ["gymnax/catch"], "episodes": 0}, ["gymnax/catch", "episodes"]),
    "no YAML": ("tasks: [", ["collection.yaml", "YAML"]),
    "no keys": ("- CartPole-v1", ["keys and values"]),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_end_with_one_line_and_code_2(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values, said = BAD[case]
    arguments = ["hyperprompt", "collect", str(write(tmp_path, values)), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    for part in said:
        assert part in error
    assert not (tmp_path / "out").exists()


def test_a_task_s_own_keys_win_over_its_family_s_and_those_over_the_top(tmp_path: Path) -> None:
    values = {
        "rounds": 2,
        "episodes": 7,
        "families": {"plain": {"rounds": 3, "set": {"agent.gamma": 0.95}}, "procgen": {"rounds": 9}},
        "tasks": ["CartPole-v1", {"env": "Acrobot-v1", "rounds": 4, "set": {"agent.n_steps": 32}}, "gymnax/catch"],
    }
    cart, acrobot, catch = config.load(write(tmp_path, values)).tasks
    assert [task.rounds for task in (cart, acrobot, catch)] == [3, 4, 2]
    assert {task.episodes for task in (cart, acrobot, catch)} == {7}
    assert acrobot.run_config(5).agent == {**cart.run_config(5).agent, "n_steps": 32}
    assert cart.run_config(5).agent["gamma"] == 0.95


def test_validation_tasks_may_be_collected_from_where_the_file_says_so(tmp_path: Path) -> None:
    (recipe,) = config.load(write(tmp_path, {"tasks": ["LunarLander-v3"], "validation": True})).tasks
    assert recipe.task_scale().random < recipe.task_scale().static


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_collections_can_be_read(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to(SHIPPED[0].parents[1] / "results")  # of schedules
    assert config.load(path).tasks


def test_a_roll_under_a_control_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, {"mode": "roll", "controller": "horizon over numeric:first", "rounds": 1})
    with pytest.raises(InvalidValue, match="no control of 'hyperprompt sft'"):
        config.load(path)
    NumericModel.of("mlp", [lessons.example(0)], 0).save(Path("first"))
    assert config.load(path).tasks


def test_the_source_collections_are_large_and_take_every_source_task_that_has_a_scale() -> None:
    paths = [path for path in SHIPPED if path.stem in ("source", "sac", "continuous")]
    recipes = [recipe for path in paths for recipe in config.load(path).tasks]
    decisions: dict[str, int] = {}
    for recipe in recipes:
        checkpoints = 8 if recipe.compiled else recipe.checkpoints
        decisions[recipe.family] = (
            decisions.get(recipe.family, 0) + recipe.rounds * checkpoints * recipe.actions * recipe.seeds
        )
    assert min(decisions.values()) >= 200
    assert sum(decisions.values()) >= 8000
    scaled = set()
    for task in split.split()["source"]:
        with contextlib.suppress(HyperPromptError):
            scaled |= {task} if scale_of(task) else set()
    assert {recipe.env for recipe in recipes} == scaled
    assert len(scaled) >= 12

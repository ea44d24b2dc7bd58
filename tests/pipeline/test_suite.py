"""Suite files: what they say, and how every kind of mistake is refused before anything runs."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyperprompt import cli
from hyperprompt.errors import InvalidValue
from hyperprompt.hyperparameters import Theta
from hyperprompt.pipeline import methods
from hyperprompt.pipeline import suite as suites
from hyperprompt.pipeline.constants import SEEDS
from hyperprompt.pipeline.entries import KINDS
from hyperprompt.search.base import Search

STATIC = {"static": {"controller": "static"}}
GOOD: dict[str, Any] = {"tasks": ["CartPole-v1"], "methods": STATIC}


def write(folder: Path, values: Any) -> Path:
    path = folder / "suite.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump({**GOOD, **values}, sort_keys=False))
    return path


def method(**settings: Any) -> dict[str, Any]:
    return {"methods": {**STATIC, "mine": settings}}


BAD: dict[str, tuple[Any, list[str]]] = {
    "key": ({"seedz": 3}, ["'seedz'", "'seeds'"]),
    "key that is none": ({"text": "x"}, ["'text'", "tasks"]),
    "name that is a path": ({"name": "../x"}, ["name", "../x"]),
    "truth for a number": ({"jobs": True}, ["jobs", "whole number", "true"]),
    "truth for a number of steps": ({"tasks": [{"env": "CartPole-v1", "steps": True}]}, ["tasks.0.steps", "true"]),
    "key of a task": ({"tasks": [{"env": "CartPole-v1", "step": 9}]}, ["tasks.0.step", "'steps'"]),
    "more seeds than its tasks have": (method(controller="random", seeds=6), ["methods.mine.seeds", "6", "at most 5"]),
    "no seeds of a method": (method(controller="random", seeds=0), ["methods.mine.seeds"]),
    "seeds of the baseline": (
        {"methods": {"static": {"controller": "static", "seeds": 1}}},
        ["methods.static.seeds", "the baseline runs on all"],
    ),
    "key of a method": (method(tuner="random", trails=3), ["methods.mine.trails", "'trials'"]),
    "key of the target": ({"target": {"shares": 0.5}}, ["target.shares", "'share'"]),
    "key of a run": (method(controller="random", set={"agnet.n_steps": 8}), ["methods.mine.set", "'agent'"]),
    "argument of the agent": (method(controller="random", set={"agent.n_step": 8}), ["mine on CartPole-v1", "'n_steps'"]),
    "what the suite decides": (method(controller="random", set={"steps": 9}), ["methods.mine.set", "steps"]),
    "argument that is not finite": (
        method(controller="random", set={"agent.gamma": math.nan}),
        ["mine on CartPole-v1", "finite"],
    ),
    "argument that is no number": (
        method(controller="random", set={"agent.gamma": "nan"}),
        ["mine on CartPole-v1", "number", "nan"],
    ),
    "task": ({"tasks": ["CartPol-v1"]}, ["CartPol-v1", "'CartPole-v1'"]),
    "option of a task": ({"tasks": [{"env": "CartPole-v1", "options": {"legs": 3}}]}, ["legs"]),
    "task named twice": ({"tasks": ["CartPole-v1", {"env": "CartPole-v1"}]}, ["CartPole-v1", "name:"]),
    "controller": (method(controller="statik"), ["methods.mine", "'statik'", "'static'"]),
    "options of a controller": (method(controller="random", options={"model": "x"}), ["methods.mine", "model"]),
    "schedule": (method(controller="schedule:absent.yaml"), ["methods.mine", "absent.yaml"]),
    "tuner": (method(tuner="tpee", trials=2), ["methods.mine", "'tpe'"]),
    "no trials": (method(tuner="random", trials=0), ["methods.mine.trials", "greater than or equal to 1"]),
    "trials left out": (method(tuner="random"), ["methods.mine.trials is missing"]),
    "a kind misspelt": (method(controler="static"), ["methods.mine", "Did you mean 'controller'"]),
    "two kinds": (method(tuner="random", trials=1, controller="static"), ["methods.mine", "exactly one"]),
    "no kind": (method(preset="published"), ["methods.mine", "controller, tuner, population"]),
    "population of one": (method(population=1), ["methods.mine.population", "1"]),
    "preset a task lacks": ({"tasks": ["Catch-v0"], **method(controller="random", preset="published")}, ["published"]),
    "preset": (method(controller="random", preset="publihsed"), ["'published'"]),
    "algorithm the controller cannot steer": (
        {"tasks": ["Pendulum-v1"], **method(controller="kl-adaptive")},
        ["kl-adaptive", "ppo only"],
    ),
    "algorithm for other actions": ({"set": {"algo": "sac"}}, ["sac needs continuous"]),
    "hyperparameter that is no setting": (
        {"set": {"algo": "dqn"}, **method(tuner="random", trials=1, set={"tune": ["exploration_rate"]})},
        ["exploration_rate"],
    ),
    "seeds that tune": ({"seeds": [1, 7], "tuning_seeds": [7]}, ["seeds: 7", "tuning_seeds"]),
    "seeds of the target": ({"seeds": [1, 7], "target": {"seeds": [7]}}, ["seeds: 7", "target.seeds"]),
    "seeds of one task that tune": (
        {"tasks": ["Acrobot-v1", {"env": "CartPole-v1", "seeds": [7]}], "tuning_seeds": [7]},
        ["tasks.1.seeds: 7", "tuning_seeds"],
    ),
    "zero seeds that no task takes": ({"seeds": 0, "tasks": [{"env": "CartPole-v1", "seeds": 1}]}, ["seeds: ", "between 1"]),
    "seeds: true": ({"seeds": True}, [" seeds: expected", "True"]),
    "seeds of one task: true": ({"tasks": [{"env": "CartPole-v1", "seeds": True}]}, [" tasks.0.seeds: expected", "True"]),
    "seed that is a word": ({"target": {"seeds": ["one"]}}, [" target.seeds: expected", "'one'"]),
    "no seeds of one task": ({"tasks": [{"env": "CartPole-v1", "seeds": 0}]}, ["tasks.0.seeds", "between 1"]),
    "seeds of the scale": ({"seeds": [SEEDS[0]]}, ["fixed task scale"]),
    "seeds twice": ({"seeds": [1, 2, 1]}, ["seeds: named twice: 1"]),
    "no seeds": ({"seeds": []}, ["seeds is empty"]),
    "zero seeds": ({"seeds": 0}, ["seeds", "between 1"]),
    "seed below zero": ({"seeds": [-1]}, ["seeds"]),
    "no tasks": ({"tasks": []}, ["tasks is empty"]),
    "no methods": ({"methods": {}}, ["methods is empty"]),
    "steps": ({"tasks": [{"env": "CartPole-v1", "steps": -5}]}, ["tasks.0.steps", "-5"]),
    "share": ({"target": {"share": 1.5}}, ["target.share", "1.5"]),
    "score": ({"score": "final"}, ["score", "'auc'"]),
    "account": ({"accounts": ["sum"]}, ["accounts", "'total'"]),
    "account twice": ({"accounts": ["total", "total"]}, ["accounts", "named twice"]),
    "jobs": ({"jobs": 0}, ["jobs"]),
    "time limit": ({"time_limit": 0}, ["time_limit", "greater than 0"]),
    "baseline": ({"baseline": "statik"}, ["baseline", "'static'"]),
    "baseline that steers": ({"baseline": "mine", **method(controller="random")}, ["baseline", "static"]),
    "meta-training of nobody": ({"meta_training_steps": {"llm": 5}}, ["meta_training_steps", "'llm'"]),
    "tasks of a method": (
        method(controller="random", tasks=["CartPol"]),
        ["methods.mine.tasks", "'CartPol'", "'CartPole-v1'"],
    ),
    "no tasks of a method": (method(controller="random", tasks=[]), ["methods.mine.tasks is empty"]),
    "tasks of the baseline": ({"methods": {"static": {"controller": "static", "tasks": ["CartPole-v1"]}}}, ["static.tasks"]),
    "name of the zero line": (
        {"methods": {**STATIC, "static, other seeds": {"controller": "random"}}},
        ["other seeds", "call"],
    ),
    "trials that look at nothing": (method(tuner="tpe", trials=4), ["methods.mine", "trials must be above 4"]),
    "learning rate": (method(controller="random", set={"agent.learning_rate": -1}), ["mine on CartPole-v1", "positive"]),
    "epochs": ({"set": {"agent": {"n_epochs": "ten"}}}, ["static on CartPole-v1", "agent.n_epochs", "'ten'"]),
    "language model": (method(controller="llm:no-such-model"), ["mine on CartPole-v1", "'no-such-model'"]),
    "a key twice": ("methods:\n  a: {tuner: tpe}\n  a: {population: 4}", ["line 3", "'a' stands there twice"]),
    "YAML": ("tasks: [CartPole-v1", ["suite.yaml, line", "YAML"]),
    "a list": ("- 1", ["suite.yaml", "list"]),
}


@pytest.mark.parametrize(("values", "says"), BAD.values(), ids=BAD)
def test_a_bad_suite_ends_with_code_2_before_anything_runs(
    values: Any, says: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, values)
    monkeypatch.setattr(sys, "argv", ["hyperprompt", "benchmark", "suite.yaml"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert all(part in said for part in says), said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["suite.yaml"]


def test_a_missing_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["hyperprompt", "benchmark", str(tmp_path / "absent.yaml")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "absent.yaml" in capsys.readouterr().err


def test_counts_become_seeds_that_never_meet(tmp_path: Path) -> None:
    suite = suites.load(write(tmp_path, {"seeds": 1000, "tuning_seeds": 1000, "target": {"seeds": 1000}}))
    assert suite.tests == {"test": tuple(range(1000))}
    assert len({*suite.tests["test"], *suite.searches, *suite.references}) == 3000


def test_a_task_may_have_test_seeds_of_its_own(tmp_path: Path) -> None:
    tasks: list[Any] = [{"env": "CartPole-v1", "seeds": 2}, {"env": "Acrobot-v1", "seeds": [5, 4]}, "Pendulum-v1"]
    suite = suites.load(write(tmp_path, {"tasks": tasks, "seeds": 3}))
    assert [task.tests for task in suite.tasks] == [(0, 1), (5, 4), (0, 1, 2)]
    assert suite.tests == {"test, CartPole-v1": (0, 1), "test, Acrobot-v1": (5, 4), "test, Pendulum-v1": (0, 1, 2)}
    sizes = [case.size for case in methods.cases(suite)]
    assert sizes == [2, 2, 3]


def test_a_method_may_be_kept_to_some_tasks(tmp_path: Path) -> None:
    """So that a preset which only some of them have can stand in one table with the rest."""
    tasks = [{"env": "CartPole-v1", "name": "cart"}, "Catch-v0"]
    suite = suites.load(write(tmp_path, {"tasks": tasks, **method(controller="static", preset="published", tasks=["cart"])}))
    assert [(case.task.label, case.name) for case in methods.cases(suite)] == [
        *(("cart", "static"), ("cart", "mine"), ("Catch-v0", "static"))
    ]
    methods.check(suite)


def test_the_methods_settings_win_over_the_tasks_and_those_over_the_suites(tmp_path: Path) -> None:
    suite = suites.load(
        write(
            tmp_path,
            {
                "tasks": [{"env": "CartPole-v1", "every": 500}],
                "set": {"n_envs": 2, "every": 100, "agent": {"n_steps": 32, "n_epochs": 3}},
                **method(controller="random", set={"agent.n_epochs": 5, "agent.learning_rate": "1e-3"}),
            },
        )
    )
    found = suites.settings(suite, suite.tasks[0], suite.methods["mine"])
    assert found["agent"] == {"n_steps": 32, "n_epochs": 5, "learning_rate": 1e-3}
    assert (found["every"], found["n_envs"]) == (500, 2)
    assert suite.set["agent"] == {"n_steps": 32, "n_epochs": 3}, "the suite's own settings are not changed"


def test_settings_that_hold_nothing_take_nothing_away(tmp_path: Path) -> None:
    suite = suites.load(write(tmp_path, {"set": {"agent": {"n_steps": 32}}, **method(controller="random", set={"agent": {}})}))
    assert suites.settings(suite, suite.tasks[0], suite.methods["mine"])["agent"] == {"n_steps": 32}


class Particular:
    """A tuner that cannot be made for the second search."""

    name = "particular"

    def __init__(self, search: Search) -> None:
        if search.seed == 8:
            raise ValueError("not 8")

    def ask(self) -> Theta:
        return {}

    def tell(self, theta: Theta, score: float | None) -> None: ...


def test_a_tuner_that_cannot_be_made_for_one_of_its_searches_is_refused(tmp_path: Path) -> None:
    tuner = method(tuner=f"{__name__}:Particular", trials=2)
    methods.check(suites.load(write(tmp_path, {**tuner, "tuning_seeds": [7]})))
    with pytest.raises(InvalidValue, match=r"methods\.mine on .*not 8"):
        methods.check(suites.load(write(tmp_path, {**tuner, "tuning_seeds": [7, 8]})))


ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "suites").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_every_shipped_suite_is_a_good_one(path: Path) -> None:
    methods.check(suites.load(path))


def test_the_suite_of_the_documentation_is_a_good_one(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "benchmark.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        methods.check(suites.load(write(tmp_path, block)))


def test_the_tiny_suite_has_every_kind_of_method() -> None:
    found = suites.load(ROOT / "suites" / "tiny.yaml").methods.values()
    assert {type(method) for method in found} == set(KINDS.values())

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from hyperprompt.core import MetaAction, Signals, Task
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.hyperparameters import HyperparameterSpace, Theta, for_algorithm
from hyperprompt.meta.arguments import check_names, tuned_space
from hyperprompt.meta.run import MetaRun


class FakeAgent:
    """Holds values and counts what is set; no learner behind it."""

    algorithm, library = "ppo", "sb3"
    model: Any = None

    def __init__(self, refused: Mapping[str, str] | None = None, **values: float) -> None:
        self.values = {**for_algorithm("ppo").defaults, **values}
        self.refused: Mapping[str, str] = refused or {}
        kept = tuple(h for h in for_algorithm("ppo") if h.name not in self.refused)
        self.space = HyperparameterSpace(kept).starting_at(self.values)
        self.sets: list[dict[str, float]] = []

    def get(self) -> dict[str, float]:
        return {name: self.values[name] for name in self.space.names}

    def set(self, values: Theta) -> None:
        self.sets.append(dict(values))
        self.values |= values


def begin(agent: FakeAgent, **arguments: Any) -> MetaRun:
    task = Task("CartPole-v1", "ppo", "discrete", "vector", 4, 2, 1, 1_000)
    return MetaRun(agent, task, tuned_space(agent), **arguments)  # type: ignore[arg-type]


def take(run: MetaRun, step: int, **delta: float) -> Any:
    return run.apply(run.state(step), MetaAction(delta), "test", 0.0)


def test_keeping_touches_nothing() -> None:
    agent = FakeAgent(ent_coef=0.0)
    decision = take(begin(agent), 0, ent_coef=0.0)
    assert decision.status == "kept"
    assert not any(agent.sets)
    assert agent.values["ent_coef"] == 0.0


def test_only_what_changes_is_set() -> None:
    agent = FakeAgent()
    take(begin(agent), 0, learning_rate=1.0, n_epochs=0.0)
    assert agent.sets[-1] == {"learning_rate": pytest.approx(6e-4)}


def test_a_latent_integer_survives_until_another_changes_the_value() -> None:
    agent = FakeAgent(n_epochs=2.0)
    run = begin(agent)
    take(run, 0, n_epochs=-0.4)
    assert agent.values["n_epochs"] == 2.0
    run.observe(10, Signals())
    take(run, 10, n_epochs=-0.4)
    assert agent.values["n_epochs"] == 1.0
    agent.values["n_epochs"] = 7.0
    assert run.theta()["n_epochs"] == 7.0


def test_an_interval_tells_the_step_that_was_really_taken() -> None:
    agent = FakeAgent(clip_range=0.39)
    run = begin(agent)
    take(run, 0, clip_range=2.0)
    interval = run.observe(10, Signals({"return_mean": 1.0}))
    assert interval.theta["clip_range"] == 0.4
    assert interval.delta["clip_range"] == pytest.approx(0.01 / 0.035)
    assert run.state(10).index == 1


def test_first_values_are_brought_within_the_users_bounds_alone() -> None:
    agent = FakeAgent(learning_rate=1e-2, ent_coef=0.0)
    space = tuned_space(agent, bounds={"learning_rate": (1e-4, 1e-3)})  # type: ignore[arg-type]
    task = Task("CartPole-v1", "ppo", "discrete", "vector", 4, 2, 1, 1_000)
    run = MetaRun(agent, task, space, enforce=["learning_rate"])  # type: ignore[arg-type]
    assert agent.values["learning_rate"] == 1e-3
    assert run.space["learning_rate"].default == 1e-3
    assert agent.values["ent_coef"] == 0.0


def test_epochs_go_no_higher_than_the_user_set_them_unless_told_so() -> None:
    agent: Any = FakeAgent(n_epochs=3.0)
    take(begin(agent), 0, n_epochs=2.0)
    assert agent.values["n_epochs"] == 3.0
    take(begin(agent), 0, n_epochs=-0.6)
    assert agent.values["n_epochs"] == 2.0
    for free in (tuned_space(agent, ["n_epochs"]), tuned_space(agent, bounds={"n_epochs": (1, 8)})):
        assert free["n_epochs"].high >= 8
    assert tuned_space(agent, requires=["n_epochs"])["n_epochs"].high == 10


def test_epochs_that_begin_at_their_lowest_are_left_alone() -> None:
    agent: Any = FakeAgent(n_epochs=1.0)
    assert "n_epochs" not in tuned_space(agent).names
    assert tuned_space(agent, requires=["n_epochs"])["n_epochs"].high == 10


def test_a_first_value_above_the_range_does_not_widen_it() -> None:
    agent: Any = FakeAgent(n_epochs=20.0)
    assert tuned_space(agent)["n_epochs"].high == 10


def test_a_run_goes_on_from_its_own_record() -> None:
    agent = FakeAgent()
    run = begin(agent)
    take(run, 0, learning_rate=2.0, n_epochs=0.5)
    run.observe(10, Signals({"return_mean": 1.0}, 3))
    stored = json.loads(json.dumps(run.to_dict(10)))
    fresh = FakeAgent()
    again = begin(fresh)
    again.load(stored)
    assert again.state(10) == run.state(10)
    assert fresh.values == agent.values


def test_names_that_cannot_be_tuned_say_why() -> None:
    agent: Any = FakeAgent({"learning_rate": "target_kl overrides it"})
    assert "learning_rate" not in tuned_space(agent).names
    with pytest.raises(InvalidValue, match="target_kl overrides it"):
        tuned_space(agent, ["learning_rate"])
    with pytest.raises(InvalidValue, match="the controller sets n_epochs"):
        tuned_space(agent, ["ent_coef"], requires=["n_epochs"])
    assert "gamma" in tuned_space(agent, requires=["gamma"]).names
    with pytest.raises(UnknownName, match="clip_range"):
        check_names("ppo", ["clip_rang"], {})

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hyperprompt.controllers.guard import ask, constrain
from hyperprompt.core import STEPS, MetaAction, MetaState
from hyperprompt.errors import ModelUnavailable
from hyperprompt.hyperparameters import AVAILABLE, for_algorithm

States = Callable[..., MetaState]


class Answers:
    name = "answers"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def decide(self, states: Sequence[MetaState]) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("answer", [ValueError("no"), RuntimeError("out of memory"), None, [], [MetaAction()] * 3, 7])
def test_a_controller_that_fails_is_an_answer(state: States, answer: Any) -> None:
    start = state(1)
    (given,) = ask(Answers(answer), [start])
    verdict = constrain(start.space, start.theta, given)
    assert verdict.status == "rejected"
    assert verdict.theta == start.theta
    assert verdict.reason


def test_a_model_that_can_never_answer_stops_the_run(state: States) -> None:
    with pytest.raises(ModelUnavailable):
        ask(Answers(ModelUnavailable("gone")), [state(0)])


@pytest.mark.parametrize(
    "action",
    [
        MetaAction({"learning_rate": math.nan}),
        MetaAction({"learning_rate": math.inf}),
        MetaAction({"no_such": 1.0}),
        MetaAction({"learning_rate": 1.0}, {"learning_rate": (0.5, 0.5)}),
        MetaAction({"learning_rate": 1.0}, {"learning_rate": (math.nan,) * 7}),
        MetaAction({"learning_rate": 1.0}, {"learning_rate": (-1.0, 2.0, 0, 0, 0, 0, 0)}),
        MetaAction({"learning_rate": "one"}),  # type: ignore[dict-item]
        MetaAction(None),  # type: ignore[arg-type]
        MetaAction(["learning_rate"]),  # type: ignore[arg-type]
        MetaAction({"learning_rate": 10**400}),
        MetaAction({"learning_rate": 1.0}, {"learning_rate": (0.5,) * 7}),
        MetaAction({"learning_rate": 1.0}, 7),  # type: ignore[arg-type]
        "learning_rate up",
    ],
)
def test_an_unsound_answer_changes_nothing(state: States, action: Any) -> None:
    start = state(1)
    verdict = constrain(start.space, start.theta, action)
    assert (verdict.status, verdict.theta) == ("rejected", dict(start.theta))


def test_steps_at_the_bound_are_clamped_and_said_to_be(state: States) -> None:
    start = state(1)
    high = replace(start, theta={**start.theta, "learning_rate": start.space["learning_rate"].high})
    verdict = constrain(high.space, high.theta, MetaAction({"learning_rate": 2.0}))
    assert verdict.status == "clamped"
    assert verdict.theta["learning_rate"] == high.space["learning_rate"].high
    assert "learning_rate" in verdict.reason


@pytest.mark.parametrize("algorithm", AVAILABLE)
def test_ten_thousand_random_answers_never_leave_the_bounds(algorithm: str) -> None:
    rng = np.random.default_rng(0)
    space = for_algorithm(algorithm, 3)
    odd = [math.nan, math.inf, -math.inf, 0.0, 1e300, -1e300, 1e-300]
    recorded = dict.fromkeys(("kept", "applied", "clamped", "rejected"), 0)
    for _ in range(2_000):  # 5 algorithms
        theta = {
            h.name: float(rng.choice([h.low, h.high, h.default, h.at(rng.random()), h.low - 1, h.high + 1])) for h in space
        }
        wild = rng.random() < 0.5
        delta = {n: float(rng.choice(odd) if wild and rng.random() < 0.3 else rng.choice(STEPS)) for n in space.names}
        verdict = constrain(space, theta, MetaAction(delta))
        recorded[verdict.status] += 1
        for h in space:
            after = verdict.theta[h.name]
            assert after == theta[h.name] or h.low <= after <= h.high
        if any(not math.isfinite(d) for d in delta.values()):
            assert verdict.status == "rejected"
            assert verdict.theta == theta
    assert recorded["rejected"]
    assert recorded["clamped"]


def test_numbers_of_any_kind_become_plain_ones(state: States) -> None:
    start = state(1)
    odd = MetaAction({"learning_rate": np.float32(0.5)}, {"learning_rate": np.full(7, 1 / 7)})  # type: ignore[dict-item]
    verdict = constrain(start.space, start.theta, odd)
    assert verdict.status == "applied"
    assert type(verdict.action.delta["learning_rate"]) is float
    assert type(verdict.action.probabilities["learning_rate"]) is tuple

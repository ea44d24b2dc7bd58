"""The guard between a controller and a run: on any doubt theta is kept, the doubt is recorded, and training goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hyperprompt.core import STEPS, Controller, MetaAction, MetaState
from hyperprompt.errors import MissingDependency, ModelUnavailable
from hyperprompt.hyperparameters import HyperparameterSpace, Theta


@dataclass(frozen=True)
class Verdict:
    """theta after the guard, and what became of the action."""

    theta: dict[str, float]
    status: Literal["kept", "applied", "clamped", "rejected"]
    reason: str


def ask(controller: Controller, states: Sequence[MetaState]) -> list[MetaAction | Exception]:
    """One answer per state. A controller that raises is an answer too: the exception.

    Raises:
        MissingDependency, ModelUnavailable: the controller can never answer, so the run must not go on without it.
    """
    answers: list[MetaAction | Exception]
    try:
        answers = list(controller.decide(states))
        if len(answers) != len(states):
            raise ValueError(f"{len(answers)} meta-actions for {len(states)} meta-states")
    except (MissingDependency, ModelUnavailable):
        raise
    except Exception as error:
        answers = [error] * len(states)
    return answers


def constrain(space: HyperparameterSpace, theta: Theta, answer: object) -> Verdict:
    """theta_{t+1} = clip(theta_t (+) delta_t), or theta_t where the answer is not sound."""
    kept = dict(theta)
    fault = _fault(space, answer)
    if fault or not isinstance(answer, MetaAction):
        return Verdict(kept, "rejected", fault)
    if not any(answer.delta.values()):
        return Verdict(kept, "kept", answer.note)
    after = space.shift(theta, answer.delta)
    # Clamped: the bound took away part of the step that was asked for.
    clamped = [
        name
        for name, delta in answer.delta.items()
        if delta and not math.isclose(space[name].delta(theta[name], after[name]), delta, rel_tol=1e-6, abs_tol=1e-9)
    ]
    if clamped:
        return Verdict(after, "clamped", f"at its bound: {', '.join(clamped)}")
    return Verdict(after, "applied", answer.note)


def _fault(space: HyperparameterSpace, answer: object) -> str:
    if isinstance(answer, Exception):
        return f"{type(answer).__name__}: {answer}"
    if not isinstance(answer, MetaAction):
        return f"the controller answered with a {type(answer).__name__}, not a MetaAction"
    unknown = [name for name in (*answer.delta, *answer.probabilities) if name not in space.names]
    if unknown:
        return f"unknown hyperparameter {unknown[0]!r}"
    try:
        for name, delta in answer.delta.items():
            if not math.isfinite(delta):
                return f"the step of {name} is not finite"
        for name, row in answer.probabilities.items():
            if len(row) != len(STEPS) or not all(math.isfinite(p) and p >= 0 for p in row):
                return f"the distribution of {name} is not one over {len(STEPS)} steps"
    except TypeError:
        return "a step or probability is not a number"
    return ""

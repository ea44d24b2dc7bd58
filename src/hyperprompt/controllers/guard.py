"""The guard between a controller and a run: on any doubt theta is kept, the doubt is recorded, and training goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hyperprompt.core import STEPS, Controller, MetaAction, MetaState
from hyperprompt.errors import InvalidValue, MissingDependency, ModelUnavailable
from hyperprompt.hyperparameters import HyperparameterSpace, Theta


@dataclass(frozen=True)
class Verdict:
    """theta after the guard, what became of the action, and the action as plain numbers (empty if rejected)."""

    theta: dict[str, float]
    status: Literal["kept", "applied", "clamped", "rejected"]
    reason: str
    action: MetaAction


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
        return [error] * len(states)
    return answers


def sound(space: HyperparameterSpace, answer: object) -> MetaAction:
    """The answer with every number a plain float.

    Raises:
        InvalidValue: what makes the answer unsound. Whatever a controller of the user's may answer ends here.
    """
    if isinstance(answer, Exception):
        raise InvalidValue(f"{type(answer).__name__}: {answer}")
    if not isinstance(answer, MetaAction):
        raise InvalidValue(f"the controller answered with a {type(answer).__name__}, not a MetaAction")
    try:
        delta = {str(name): float(step) for name, step in answer.delta.items()}
        probabilities = {str(name): tuple(map(float, row)) for name, row in answer.probabilities.items()}
    except Exception as error:
        raise InvalidValue(f"a step or probability is not a number: {error}") from error
    unknown = [name for name in (*delta, *probabilities) if name not in space.names]
    if unknown:
        raise InvalidValue(f"unknown hyperparameter {unknown[0]!r}")
    for name, step in delta.items():
        if not math.isfinite(step):
            raise InvalidValue(f"the step of {name} is not finite")
    for name, row in probabilities.items():
        if len(row) != len(STEPS) or not all(p >= 0 for p in row) or not math.isclose(sum(row), 1.0, abs_tol=1e-3):
            raise InvalidValue(f"the distribution of {name} is not one over {len(STEPS)} steps")
    return MetaAction(delta, probabilities, str(answer.prompt_sha256), str(answer.note))


def constrain(space: HyperparameterSpace, theta: Theta, answer: object) -> Verdict:
    """theta_{t+1} = clip(theta_t (+) delta_t), or theta_t where the answer is not sound."""
    try:
        action = sound(space, answer)
    except InvalidValue as fault:
        return Verdict(dict(theta), "rejected", str(fault), MetaAction())
    if not any(action.delta.values()):
        return Verdict(dict(theta), "kept", action.note, action)
    after = space.shift(theta, action.delta)
    # Clamped: the bound took away part of the step that was asked for.
    clamped = [
        name
        for name, delta in action.delta.items()
        if delta and not math.isclose(space[name].delta(theta[name], after[name]), delta, rel_tol=1e-6, abs_tol=1e-9)
    ]
    if clamped:
        return Verdict(after, "clamped", f"at its bound: {', '.join(clamped)}", action)
    return Verdict(after, "applied", action.note, action)

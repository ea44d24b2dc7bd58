"""A controller within what the signals of the run allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hyperprompt.controllers.limits import least_bonus, longest_discount, trusted_rate
from hyperprompt.core import Controller, MetaAction, MetaState

Bound = Callable[[MetaState], float | None]
CEILINGS: Mapping[str, Bound] = {"learning_rate": trusted_rate, "gamma": longest_discount}
FLOORS: Mapping[str, Bound] = {"ent_coef": least_bonus}
"""Hyperparameter -> the highest, or lowest, value that the signals allow; None: any."""


class Bounded:
    """What the controller below asks for, no higher than CEILINGS and no lower than FLOORS: the learning rate stays within a
    trust region of the policy, no horizon is longer than an episode, and a policy of discrete actions does not lose all its
    entropy. A value that is beyond its bound already goes to it.

    Args:
        lower: any controller. What it says not to know (`knows`) is left as it is.
    """

    def __init__(self, lower: Controller) -> None:
        self.lower = lower
        self.requires: tuple[str, ...] = tuple(getattr(lower, "requires", ()))
        self.name = f"bounded:{lower.name}"

    def prepare(self, states: Sequence[MetaState] = ()) -> None:
        """What cannot work is known before a run begins; see the controllers."""
        if prepare := getattr(self.lower, "prepare", None):
            prepare(states)

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        knows = getattr(self.lower, "knows", lambda state: True)
        answers = zip(states, self.lower.decide(states), strict=True)
        return [_within(state, action) if knows(state) else action for state, action in answers]


def _within(state: MetaState, action: MetaAction) -> MetaAction:
    held = {}
    for bounds, sign in ((CEILINGS, 1.0), (FLOORS, -1.0)):
        for name, bound in bounds.items():
            if name not in state.space.names or (limit := bound(state)) is None:
                continue
            scale, value = state.space[name], state.theta[name]
            if sign * (scale.shift(value, action.delta.get(name, 0.0)) - limit) > 0.0:
                held[name] = scale.delta(value, limit)
    if not held:
        return action
    notes = (action.note, f"at its bound: {', '.join(held)}")
    return replace(action, delta={**action.delta, **held}, note="; ".join(filter(None, notes)))

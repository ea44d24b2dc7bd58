"""A controller within what two signals of the run allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hyperprompt.controllers.fixed import episode_discount, trusted_rate
from hyperprompt.core import Controller, MetaAction, MetaState

CEILINGS: Mapping[str, Callable[[MetaState], float | None]] = {"learning_rate": trusted_rate, "gamma": episode_discount}
"""Hyperparameter -> the highest value that the last interval's signals allow; None: any."""


class Bounded:
    """What the controller below asks for, no higher than CEILINGS: the learning rate stays within a trust region of the
    policy, and no horizon is longer than an episode. A value that is above its ceiling already goes down to it.

    Args:
        lower: any controller.
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
        return [_within(state, action) for state, action in zip(states, self.lower.decide(states), strict=True)]


def _within(state: MetaState, action: MetaAction) -> MetaAction:
    capped = {}
    for name, ceiling in CEILINGS.items():
        if name not in state.space.names or (most := ceiling(state)) is None:
            continue
        scale, value = state.space[name], state.theta[name]
        if scale.shift(value, action.delta.get(name, 0.0)) > most:
            capped[name] = scale.delta(value, most)
    if not capped:
        return action
    notes = (action.note, f"at its ceiling: {', '.join(capped)}")
    return replace(action, delta={**action.delta, **capped}, note="; ".join(filter(None, notes)))

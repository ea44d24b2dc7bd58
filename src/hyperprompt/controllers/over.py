"""One controller over another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hyperprompt.core import Controller, MetaAction, MetaState
from hyperprompt.errors import InvalidValue


class Over:
    """What the upper controller requires is its own to move; the lower one sees the run without it, and moves the rest.

    Args:
        upper: with the names it moves as `requires`.
        lower: any controller.

    Raises:
        InvalidValue: an upper controller that names nothing as its own.
    """

    def __init__(self, upper: Controller, lower: Controller) -> None:
        self.upper, self.lower = upper, lower
        self.own: tuple[str, ...] = tuple(getattr(upper, "requires", ()))
        if not self.own:
            raise InvalidValue(f"controller {upper.name!r} requires no hyperparameter of its own and cannot go over another")
        self.requires = (*self.own, *getattr(lower, "requires", ()))
        self.name = f"{upper.name} over {lower.name}"

    def prepare(self, states: Sequence[MetaState] = ()) -> None:
        """What cannot work is known before a run begins; see the controllers."""
        if prepare := getattr(self.upper, "prepare", None):
            prepare(states)
        left = [state for state in map(self._rest, states) if len(state.space)]
        if (prepare := getattr(self.lower, "prepare", None)) and (left or not states):
            prepare(left)

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        rest = [self._rest(state) for state in states]
        left = [state for state in rest if len(state.space)]
        answers = iter(self.lower.decide(left) if left else ())
        below = [next(answers) if len(state.space) else MetaAction() for state in rest]
        return [self._joined(u, w) for u, w in zip(self.upper.decide(states), below, strict=True)]

    def _rest(self, state: MetaState) -> MetaState:
        return replace(state, space=state.space.subset(name for name in state.space.names if name not in self.own))

    def _joined(self, upper: MetaAction, lower: MetaAction) -> MetaAction:
        own = {name: step for name, step in upper.delta.items() if name in self.own}
        notes = "; ".join(note for note in (upper.note, lower.note) if note)
        return replace(lower, delta={**lower.delta, **own}, note=notes)

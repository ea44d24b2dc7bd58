"""When decisions fall: at step 0, after short intervals at first, then every U environment steps."""

from __future__ import annotations

from dataclasses import dataclass

from hyperprompt.errors import InvalidValue

FIRST_LENGTHS = (0.25, 0.25, 0.5, 0.5)
"""The first intervals as shares of U: a run that starts badly should not wait for U steps."""
DEFAULT_DECISIONS = 24
"""Intervals of a run by default; with the short first ones a run has at least 16 decisions if it has 16 updates."""


@dataclass(frozen=True)
class IntervalSchedule:
    """Lengths of the intervals in environment steps, whole updates each.

    Args:
        total_steps: the budget T.
        update: environment steps of one update (a rollout of all environments), the smallest interval.
        every: U; by default T / 24.

    Raises:
        InvalidValue: `every` is not positive.
    """

    total_steps: int
    update: int
    every: int | None = None

    def __post_init__(self) -> None:
        if self.every is not None and self.every <= 0:
            raise InvalidValue(f"every must be a positive number of environment steps, not {self.every}")

    @property
    def interval(self) -> int:
        """U in whole updates."""
        return self._whole_updates(self.every or self.total_steps / DEFAULT_DECISIONS)

    def length(self, index: int) -> int:
        """Length of interval `index`, counted from 0."""
        share = FIRST_LENGTHS[index] if index < len(FIRST_LENGTHS) else 1.0
        return self._whole_updates(share * self.interval)

    def starts(self) -> list[int]:
        """Where the intervals of a run begin, in environment steps: a decision falls at each."""
        found = [0]
        while (following := found[-1] + self.length(len(found) - 1)) < self.total_steps:
            found.append(following)
        return found

    def _whole_updates(self, steps: float) -> int:
        return max(1, round(steps / self.update)) * self.update

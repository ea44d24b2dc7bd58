"""How much of a collection is done, and how long the rest may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hyperprompt.collect.config import Collection, Recipe
from hyperprompt.collect.dataset import Checkpoint, Part
from hyperprompt.progress import clock


@dataclass
class Outlook:
    """Rounds that are left by task, and the seconds that finished ones took."""

    rounds: int
    left: dict[str, int]
    jobs: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, collection: Collection, todo: Sequence[tuple[Recipe, int]], parts: Sequence[Part], jobs: int) -> Outlook:
        """`todo`: the rounds that have none of the `parts`."""
        left = {recipe.env: sum(r.env == recipe.env for r, _ in todo) for recipe in collection.tasks}
        outlook = cls(sum(recipe.rounds for recipe in collection.tasks), left, jobs)
        for part in parts:
            outlook._timed(str(part.config.get("env")), part.spent)
        return outlook

    @property
    def done(self) -> int:
        return self.rounds - sum(self.left.values())

    @property
    def seconds_left(self) -> float:
        """Wall seconds, at the pace of the finished rounds of each task, or of all where it has none; NaN before the first."""
        known = [s for seconds in self.seconds.values() for s in seconds]
        mean = sum(known) / len(known) if known else float("nan")
        paces = {task: sum(s) / len(s) for task, s in self.seconds.items()}
        return sum(n * paces.get(task, mean) for task, n in self.left.items() if n) / self.jobs

    def begun(self) -> str:
        """One line before anything runs."""
        return f"[{self.done}/{self.rounds}] rounds are there; about {clock(self.seconds_left)} for the rest"

    def ended(self, recipe: Recipe, round_: int, found: Sequence[Checkpoint], spent: Mapping[str, float], error: str) -> str:
        """Takes note of a round that has ended, and says so in a line."""
        self.left[recipe.env] -= 1
        if error:
            said = f"FAILED: {error}"
        else:
            self._timed(recipe.env, spent)
            decisions = sum(len(c.seeds) for c in found)
            said = f"{len(found)} checkpoints, {decisions} scored decisions, {spent['seconds']:.0f} s"
        return f"[{self.done}/{self.rounds}] {recipe.env} round {round_}: {said}; about {clock(self.seconds_left)} left"

    def _timed(self, task: str, spent: Mapping[str, float]) -> None:
        if "seconds" in spent:
            self.seconds.setdefault(task, []).append(spent["seconds"])

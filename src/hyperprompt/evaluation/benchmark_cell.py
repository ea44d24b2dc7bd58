"""One method on one task, in the two accounts of `benchmark`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hyperprompt.evaluation.censoring import Spending, censored
from hyperprompt.evaluation.metrics import final_return, steps_to
from hyperprompt.evaluation.outcomes import Outcome, Record, members, steps_spent
from hyperprompt.evaluation.statistics import FEWEST_GROUPS, Array


@dataclass(frozen=True)
class Cell:
    """One method on one task. Arrays hold one number a test seed, NaN for a failed run or one in which no episode ended."""

    outcomes: tuple[Outcome, ...]
    total_steps: float
    """T."""
    target: float
    """R*, NaN where the task has none."""
    score: str = "auc"
    """By what number of a trial's result its search chose."""

    def figure(self, name: str) -> Array:
        """A number of the runs' results by its key: auc, final_return, wall_seconds, adapt_seconds, gradient_updates, ..."""
        values = [None if o.failed else o.run["result"].get(name) for o in self.outcomes]
        return np.array([math.nan if v is None else float(v) for v in values])

    @property
    def failed(self) -> int:
        return sum(o.failed for o in self.outcomes)

    @cached_property
    def single(self) -> Array:
        """Steps to R* of each final run, (2, n_seeds) as `censoring.censored`; a failed run did not reach it."""
        return censored([self._reached(o.run) for o in self.outcomes], self.total_steps)

    @cached_property
    def total(self) -> Array:
        """Steps to R* of each search and the first final run after it, (2, n_searches); all members' steps of a population.

        A trial that holds R* counts as well; a tuner's first one has the settings of static.
        What does not hold R* did not reach it up to the end of the longest sequence: one that failed early has not been lost
        from sight.
        """
        sequences = [self._sequence(o) for o in self.searches]
        longest = max(self.total_steps, *(spent for _, spent in sequences))
        return censored([reached for reached, _ in sequences], longest)

    @property
    def tuned(self) -> bool:
        return any(o.tuning_seed is not None for o in self.outcomes)

    @property
    def searches(self) -> list[Outcome]:
        """The first outcome of every search; every outcome without one."""
        if not self.tuned:
            return list(self.outcomes)
        first: dict[int | None, Outcome] = {}
        for outcome in self.outcomes:
            first.setdefault(outcome.tuning_seed, outcome)
        return list(first.values())

    @property
    def beside(self) -> float:
        """Environment steps beside those of one run: of a search before it, of a population's other members; the mean."""
        own = [steps_spent(o.run) / members(o.run) for o in self.searches]
        return self.spent - float(np.mean(own))

    @property
    def spent(self) -> float:
        """Environment steps of a search and the final run after it, mean over searches."""
        return float(np.mean([self._sequence(o)[1] for o in self.searches]))

    def groups(self, account: str = "single") -> list[int] | None:
        """Which search each column of a sample comes from; None where every test seed has what it runs under to itself.

        Account 2 has one column a search, all else one a test seed.
        """
        if not self.tuned or len(self.searches) == len(self.outcomes):
            return None
        seeds = [o.tuning_seed for o in self.searches]
        return [seeds.index(o.tuning_seed) for o in (self.searches if account == "total" else self.outcomes)]

    @property
    def few(self) -> str:
        """What the cell has too few of for an interval, or nothing."""
        if self.groups() and len(self.searches) < FEWEST_GROUPS:
            return f"{len(self.searches)} search{'es' * (len(self.searches) > 1)}"
        return "one seed" if len(self.outcomes) < 2 else ""

    def spending(self, search: Outcome, budget: float = 0.0) -> Spending:
        """What a run under the settings of one of `searches` costs: the search before it, and all members."""
        searched = float(sum(map(steps_spent, search.trials)))
        return Spending(self.total_steps, max(members(o.run) for o in self.outcomes), searched, budget)

    @property
    def least(self) -> float:
        """Environment steps of the dearest search and one whole run."""
        return max(self.spending(search).least for search in self.searches)

    def expected(self, budget: float) -> Array:
        """Expected steps to R* by each search, (n_searches,): its own steps, then runs under what it found alone."""
        seeds = np.array([o.tuning_seed for o in self.outcomes])
        steps = [self.spending(o, budget).steps(self.single[:, seeds == o.tuning_seed]) for o in self.searches]
        return np.array(steps, dtype=np.float64)

    def held(self, outcome: Outcome, steps: float) -> float:
        """Final return of what a user holds once a search and its run have made `steps` environment steps in all.

        During the search the best trial that has ended, after it the run; before either has ended, the run that goes on, up
        to there. NaN where all of that failed, or no episode ended.
        """
        left, best, held = steps, -math.inf, math.nan
        for record in (*outcome.trials, outcome.run):
            whole = min(steps_spent(record), members(record) * self.total_steps)  # the last rollout may go beyond T
            made = min(left, whole)
            left -= made
            if made < whole and not math.isnan(held):
                break
            curve = record["curve"] if "error" not in record and made > 0 else None
            value = final_return(curve["step"], curve["return_mean"], made / members(record)) if curve else math.nan
            if record is outcome.run or made < whole:
                held = value
            elif curve and (score := record["result"][self.score]) is not None and score > best:
                best, held = score, value
        return held

    def _sequence(self, outcome: Outcome) -> tuple[float, float]:
        """(steps to the first sustained crossing, steps in all) of trials and final run, one after the other."""
        spent, reached = 0.0, math.inf
        for record in (*outcome.trials, outcome.run):
            reached = min(reached, spent + members(record) * self._reached(record))
            spent += steps_spent(record)
        return reached, spent

    def _reached(self, record: Record) -> float:
        """A crossing beyond T, in the last update of a run, counts as one at T."""
        if "error" in record:
            return math.inf
        reached = steps_to(record["curve"]["step"], record["curve"]["return_mean"], self.target)
        return min(reached, self.total_steps) if math.isfinite(reached) else reached

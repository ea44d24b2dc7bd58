"""The numbers of a benchmark: one method on one task, and over tasks with intervals. Two accounts that are never mixed.

*Single*: one run each on the test seeds; what a tuner spent on finding its settings stands beside it.
*Total*: environment steps spent in all. A tuner's trials come first, in order, then its final run; R* counts as reached at the
first sustained crossing within any of these runs, which favours the tuner: the agent of a lucky trial is taken as the result.
Its unit is the search, not the test seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperprompt.envs.scale import TaskScale, task_scale
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.evaluation import statistics
from hyperprompt.evaluation.censoring import Target, censored, restricted_mean, sample_efficiency, target_return
from hyperprompt.evaluation.metrics import steps_to
from hyperprompt.evaluation.outcomes import Outcome, Record
from hyperprompt.evaluation.statistics import Estimate, bootstrap

Array = NDArray[np.float64]
ZERO_LINE = "{baseline}, other seeds"
"""The row that shows what seeds alone do: the baseline's runs under the target's seeds."""
UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Cell:
    """One method on one task. Arrays hold one number a test seed, NaN for a failed run or one in which no episode ended."""

    outcomes: tuple[Outcome, ...]
    total_steps: float
    """T."""
    target: float
    """R*, NaN where the task has none."""

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

        Without either as `single`.
        """
        sequences = [self._sequence(o) for o in self.searches]
        return censored([s for s, _ in sequences], [spent for _, spent in sequences])

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
        own = [self._spent(o.run) / _members(o.run) for o in self.searches]
        return self.spent - float(np.mean(own))

    @property
    def spent(self) -> float:
        """Environment steps of a search and the final run after it, mean over searches."""
        return float(np.mean([self._sequence(o)[1] for o in self.searches]))

    def _sequence(self, outcome: Outcome) -> tuple[float, float]:
        """(steps to the first sustained crossing, steps in all) of trials and final run, one after the other."""
        spent, reached = 0.0, math.inf
        for record in (*outcome.trials, outcome.run):
            reached = min(reached, spent + _members(record) * self._reached(record))
            spent += self._spent(record)
        return reached, spent

    def _reached(self, record: Record) -> float:
        """A crossing beyond T, in the last update of a run, counts as one at T."""
        if "error" in record:
            return math.inf
        reached = steps_to(record["curve"]["step"], record["curve"]["return_mean"], self.target)
        return min(reached, self.total_steps) if math.isfinite(reached) else reached

    def _spent(self, record: Record) -> float:
        return self.total_steps if "error" in record else float(record["result"]["steps"])


def _members(record: Record) -> int:
    return int(record.get("members", 1))


@dataclass(frozen=True)
class TaskTable:
    """All methods on one task; `cells` begins with the baseline and ends with the zero line."""

    name: str
    total_steps: float
    random: tuple[float, float]
    """Mean return of random actions, and its standard error."""
    scale: TaskScale | None
    fixed: bool
    """Whether the scale is the task's fixed one, or made from this suite's separate static runs."""
    target: Target
    cells: Mapping[str, Cell]

    def scores(self, method: str, name: str) -> Array:
        """AUC or final return in the scale, (n_seeds,)."""
        assert self.scale is not None
        return np.array([self.scale.score(value) for value in self.cells[method].figure(name)])

    def complete(self, method: str) -> bool:
        """Whether every run of the method has a return, so that it may be compared."""
        return method in self.cells and bool(np.isfinite(self.cells[method].figure("auc")).all())


@dataclass(frozen=True)
class Tables:
    """The whole benchmark."""

    baseline: str
    tasks: tuple[TaskTable, ...]
    resamples: int
    confidence: float

    @property
    def methods(self) -> list[str]:
        """In the suite's order, the zero line last."""
        return list(dict.fromkeys(name for task in self.tasks for name in task.cells))

    @property
    def zero_line(self) -> str:
        return ZERO_LINE.format(baseline=self.baseline)

    def difference(self, task: TaskTable, method: str, name: str) -> Estimate:
        """Mean of the method minus mean of the baseline on one task, in raw units; NaN where one of them is not complete."""
        if not (task.complete(method) and task.complete(self.baseline)):
            return UNKNOWN
        samples = [{task.name: task.cells[m].figure(name)} for m in (method, self.baseline)]
        return self._bootstrap(statistics.difference(statistics.mean), *samples)

    def comparable(self, method: str) -> list[TaskTable]:
        """The tasks with a scale on which both the method and the baseline are complete."""
        return [t for t in self.tasks if t.scale is not None and t.complete(method) and t.complete(self.baseline)]

    def aggregate(self, method: str, name: str, aggregate: Callable[..., Any], *, against: bool = False) -> Estimate:
        """An aggregate of scores over tasks, of the method or of it against the baseline."""
        tasks = self.comparable(method)
        if not tasks:
            return UNKNOWN
        methods = (method, self.baseline) if against else (method,)
        return self._bootstrap(aggregate, *({t.name: t.scores(m, name) for t in tasks} for m in methods))

    def seconds_ratio(self, method: str) -> Estimate:
        """Wall seconds of a run over the baseline's, geometric mean over tasks."""
        tasks = self.comparable(method)
        if not tasks:
            return UNKNOWN
        samples = ({t.name: t.cells[m].figure("wall_seconds") for t in tasks} for m in (method, self.baseline))
        return self._bootstrap(statistics.mean_ratio, *samples)

    def steps_ratio(self, method: str, account: str) -> Estimate:
        """Mean steps to R* over the baseline's, geometric mean over tasks with a target; below 1 is faster.

        Restricted to T in both accounts: no run of the baseline was watched for longer.
        """
        tasks = [t for t in self.tasks if t.target.value is not None and method in t.cells]
        if not tasks:
            return UNKNOWN
        ours, theirs = ({t.name: getattr(t.cells[m], account) for t in tasks} for m in (method, self.baseline))
        horizons = {t.name: t.total_steps for t in tasks}
        return sample_efficiency(ours, theirs, horizons, 0, self.resamples, self.confidence).ratio

    def saved_steps(self, method: str) -> float:
        """Environment steps to R* that a run saves against the baseline, mean over tasks (single account)."""
        tasks = [t for t in self.tasks if t.target.value is not None and method in t.cells]
        pairs = [(t.cells[self.baseline].single, t.cells[method].single, t.total_steps) for t in tasks]
        return float(np.mean([restricted_mean(b, end) - restricted_mean(m, end) for b, m, end in pairs]))

    def _bootstrap(self, aggregate: Callable[..., Any], *samples: Mapping[str, Any]) -> Estimate:
        return bootstrap(aggregate, *samples, seed=0, replicates=self.resamples, confidence=self.confidence)


def verdict(estimate: Estimate) -> str:
    """What may be said of a difference: win or loss where the interval leaves 0 out, else open."""
    if math.isnan(estimate.value):
        return "not compared"
    if math.isnan(estimate.low):
        return "one seed"
    return "win" if estimate.low > 0 else "loss" if estimate.high < 0 else "open"


def tables(
    outcomes: Sequence[Outcome],
    targets: Sequence[Outcome],
    random: Mapping[str, tuple[float, float]],
    *,
    baseline: str,
    share: float,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Tables:
    """From what the runs came to.

    Args:
        outcomes: of every method, the baseline among them, on every task.
        targets: of the baseline under seeds that serve nothing else: R*, and the zero line.
        random: task -> mean return of random actions and its standard error.
        share: of the way from random to static at which R* lies.
    """
    zero = ZERO_LINE.format(baseline=baseline)
    found: list[TaskTable] = []
    for task in dict.fromkeys(o.task for o in outcomes):
        mine, separate = [o for o in outcomes if o.task == task], [o for o in targets if o.task == task]
        config = mine[0].run["config"]
        total = float(config["steps"])
        curves = [(o.run["curve"]["step"], o.run["curve"]["return_mean"]) for o in separate if not o.failed]
        target = target_return(curves, total, *random[task], share)
        level = math.nan if target.value is None else target.value
        names = dict.fromkeys([baseline, *(o.method for o in mine)])
        cells = {name: Cell(tuple(o for o in mine if o.method == name), total, level) for name in names}
        cells[zero] = Cell(tuple(separate), total, level)
        finals = cells[zero].figure("final_return")
        scale, fixed = _scale(config, random[task][0], float(finals.mean()))
        found.append(TaskTable(task, total, random[task], scale, fixed, target, cells))
    return Tables(baseline, tuple(found), resamples, confidence)


def _scale(config: Mapping[str, Any], random: float, static: float) -> tuple[TaskScale | None, bool]:
    """The fixed scale of the task where it is measured, else one from this suite's separate static runs; and which it is.

    None where static ends no better than random actions.
    """
    if not config["env_options"]:
        try:
            return task_scale(config["env"]), True
        except (InvalidValue, UnknownName):
            pass
    return (TaskScale(random, static), False) if static > random else (None, False)

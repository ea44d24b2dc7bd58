"""The numbers of a benchmark: one method on one task, and over tasks with intervals. Two accounts that are never mixed.

*Single*: one run each on the test seeds; what a tuner spent on finding its settings stands beside it.
*Total*: environment steps in all until a run under the method's own settings holds R*: a search comes before it, all members
of a population count, and what misses R* runs again while the budget B lasts, the most that any method spends on the task for
its search and one run (`censoring.Spending`), each search by itself. So nothing is cheap for ending early without R*, and a
tuner's first trial, which has the settings of static, does not pass for the tuner.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperprompt.envs.scale import TaskScale, measured_under, task_scale
from hyperprompt.errors import InvalidValue
from hyperprompt.evaluation import statistics
from hyperprompt.evaluation.benchmark_cell import Cell
from hyperprompt.evaluation.censoring import Spending, Target, censored, step_ratio, target_return
from hyperprompt.evaluation.outcomes import Outcome
from hyperprompt.evaluation.statistics import Array, Estimate, bootstrap

ZERO_LINE = "{baseline}, other seeds"
"""The row that shows what seeds alone do: the baseline's runs under the target's seeds."""
UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class TaskTable:
    """All methods on one task; `cells` begins with the baseline and ends with the zero line."""

    name: str
    total_steps: float
    random: tuple[float, float]
    """Mean return of random actions, and its standard error."""
    scale: TaskScale | None
    """None where static does not clearly learn, by the fixed scale's test and by R*'s."""
    fixed: bool
    """Whether the scale is the task's fixed one, or made from this suite's separate static runs."""
    target: Target
    cells: Mapping[str, Cell]

    def returns(self, method: str, name: str) -> Array:
        """AUC or final return, (n_seeds,). A failed run, or one in which no episode ended, has that of random actions.

        Left out with its task, it would flatter the method that fails where it is worst.
        """
        return _known(self.cells[method].figure(name), self.random[0])

    def scores(self, method: str, name: str) -> Array:
        """AUC or final return in the scale, (n_seeds,), as `returns`: a failed run has 0."""
        return self._scaled(self.returns(method, name))

    def held(self, method: str, steps: float) -> Array:
        """Final return in the scale of what a user holds after `steps` environment steps in all, (n_seeds,), as `scores`."""
        cell = self.cells[method]
        return self._scaled(_known(np.array([cell.held(o, steps) for o in cell.outcomes]), self.random[0]))

    def _scaled(self, returns: Array) -> Array:
        assert self.scale is not None
        return np.array([self.scale.score(value) for value in returns])

    def spread(self, method: str, name: str) -> float:
        """Standard deviation over seeds in the scale; NaN of fewer than two runs, or where none has finished."""
        cell = self.cells[method]
        if len(cell.outcomes) < 2 or cell.failed == len(cell.outcomes):
            return math.nan
        return float(self.scores(method, name).std(ddof=1))

    @property
    def budget(self) -> float:
        """B: the most that a method of the suite spends here for its search and one run."""
        return max(cell.least for cell in self.cells.values())

    def spending(self, method: str, account: str) -> tuple[Array, Spending]:
        """Steps to R* as `censored`, and how a method comes to R* by them.

        In account 2 one number a search, what it and runs under its settings are expected to cost, B at most: restarts under
        a mixture of the settings of several searches would be cheaper than each of these is on average.
        """
        cell = self.cells[method]
        if account == "single":
            return cell.single, Spending(self.total_steps)
        if cell.tuned:
            return censored(cell.expected(self.budget), self.budget), Spending(self.budget)
        return cell.single, cell.spending(cell.outcomes[0], self.budget)

    def steps(self, method: str, account: str) -> float:
        """Expected environment steps to R*."""
        sample, spending = self.spending(method, account)
        return float(spending.steps(sample))

    def complete(self, method: str) -> bool:
        """Whether every run of the method has ended, so that its seconds may be compared."""
        return method in self.cells and not self.cells[method].failed


@dataclass(frozen=True)
class Tables:
    """The whole benchmark."""

    baseline: str
    methods: tuple[str, ...]
    """In the suite's order, the zero line last."""
    tasks: tuple[TaskTable, ...]
    resamples: int
    confidence: float

    @property
    def zero_line(self) -> str:
        return ZERO_LINE.format(baseline=self.baseline)

    def difference(self, task: TaskTable, method: str, name: str) -> Estimate:
        """Mean of the method minus mean of the baseline on one task, in raw units; NaN where it was not run."""
        tasks = [task] if method in task.cells else []
        return self._bootstrap(
            statistics.difference(statistics.mean), tasks, (method, self.baseline), lambda t, m: t.returns(m, name)
        )

    def comparable(self, method: str, other: str = "") -> list[TaskTable]:
        """The tasks with a scale that the method and the other one, by default the baseline, were run on."""
        return [t for t in self.tasks if t.scale is not None and {method, other or self.baseline} <= t.cells.keys()]

    def aggregate(self, method: str, name: str, aggregate: Callable[..., Any], against: str = "") -> Estimate:
        """An aggregate of scores over tasks, of the method or of it against another one."""
        methods = (method, against) if against else (method,)
        return self._bootstrap(aggregate, self.comparable(method, against), methods, lambda t, m: t.scores(m, name))

    def gain(self, method: str, other: str, name: str) -> Estimate:
        """Normalised gain over another method: mean over tasks of the difference in the task scale."""
        return self.aggregate(method, name, statistics.difference(statistics.mean), other)

    def spreads(self, method: str, name: str) -> Array:
        """Standard deviations over seeds of the method and of the baseline, (n_tasks, 2), on the tasks where both have one."""
        pairs = [[t.spread(m, name) for m in (method, self.baseline)] for t in self.comparable(method)]
        return np.array([pair for pair in pairs if all(map(math.isfinite, pair))]).reshape(-1, 2)

    def seconds_ratio(self, method: str) -> Estimate:
        """Wall seconds of a run over the baseline's, geometric mean over the tasks on which no run of either failed."""
        pair = (method, self.baseline)
        tasks = [t for t in self.tasks if all(map(t.complete, pair))]
        return self._bootstrap(statistics.mean_ratio, tasks, pair, lambda t, m: t.cells[m].figure("wall_seconds"))

    def steps_ratio(self, method: str, account: str, against: str = "") -> Estimate:
        """Expected steps to R* over another method's, by default the baseline's; below 1 is faster.

        The geometric mean over the tasks with a target that both were run on.
        """
        pair = (method, against or self.baseline)
        tasks = self.targeted(*pair)
        ours, theirs = ({t.name: t.spending(m, account)[1] for t in tasks} for m in pair)
        return self._bootstrap(
            step_ratio, tasks, pair, lambda t, m: t.spending(m, account)[0], account, ours=ours, theirs=theirs
        )

    def targeted(self, *methods: str) -> list[TaskTable]:
        """The tasks with a target that all of the methods were run on."""
        return [t for t in self.tasks if t.target.value is not None and all(m in t.cells for m in methods)]

    def saved_steps(self, method: str) -> dict[str, float]:
        """Environment steps to R* that a run saves against the baseline, by task (single account)."""
        return {t.name: t.steps(self.baseline, "single") - t.steps(method, "single") for t in self.targeted(method)}

    def few(self, task: TaskTable, method: str) -> str:
        """What the method or the baseline has too few of on a task for an interval of their difference, or nothing."""
        return task.cells[method].few or task.cells[self.baseline].few

    def _bootstrap(
        self,
        aggregate: Callable[..., Any],
        tasks: Sequence[TaskTable],
        methods: Sequence[str],
        sample: Callable[[TaskTable, str], Array],
        account: str = "single",
        **options: Any,
    ) -> Estimate:
        """Of one method or two, by their samples on some tasks, of which searches are drawn first where runs share them."""
        if not tasks:
            return UNKNOWN
        samples = ({t.name: sample(t, m) for t in tasks} for m in methods)
        groups = [{t.name: g for t in tasks if (g := t.cells[m].groups(account))} for m in methods]
        more: dict[str, Any] = {"replicates": self.resamples, "confidence": self.confidence, **options}
        return bootstrap(aggregate, *samples, seed=0, groups=groups, **more)


def verdict(estimate: Estimate) -> str:
    """What may be said of a difference: win or loss where the interval leaves 0 out, else open."""
    if math.isnan(estimate.value):
        return "not run"
    if math.isnan(estimate.low):
        return "no interval"
    return "win" if estimate.low > 0 else "loss" if estimate.high < 0 else "open"


def tables(
    outcomes: Sequence[Outcome],
    targets: Sequence[Outcome],
    random: Mapping[str, tuple[float, float]],
    *,
    baseline: str,
    methods: Sequence[str] = (),
    share: float,
    score: str = "auc",
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Tables:
    """From what the runs came to.

    Args:
        outcomes: of every method, the baseline among them, on every task.
        targets: of the baseline under seeds that serve nothing else: R*, and the zero line.
        random: task -> mean return of random actions and its standard error.
        methods: their order; by default that of the outcomes.
        share: of the way from random to static at which R* lies.
        score: by what number of a trial's result tuners choose.
    """
    zero = ZERO_LINE.format(baseline=baseline)
    found: list[TaskTable] = []
    for task in dict.fromkeys(o.task for o in outcomes):
        mine, separate = [o for o in outcomes if o.task == task], [o for o in targets if o.task == task]
        total = float(mine[0].run["config"]["steps"])
        finals = _known(Cell(tuple(separate), total, math.nan).figure("final_return"), random[task][0])
        target = target_return(finals, *random[task], share)
        level = math.nan if target.value is None else target.value
        names = dict.fromkeys([baseline, *(o.method for o in mine)])
        cells = {name: Cell(tuple(o for o in mine if o.method == name), total, level, score) for name in names}
        cells[zero] = Cell(tuple(separate), total, level)
        made = TaskScale(random[task][0], float(finals.mean())) if target.value is not None else None
        fixed = _fixed_scale(separate[0].run["config"])
        found.append(TaskTable(task, total, random[task], fixed or made, fixed is not None, target, cells))
    run = dict.fromkeys([baseline, *(o.method for o in outcomes)])
    named = (*(name for name in methods or run if name in run), zero)
    return Tables(baseline, named, tuple(found), resamples, confidence)


def _known(returns: Array, random: float) -> Array:
    """A failed run, and one in which no episode ended, have the return of random actions."""
    return np.where(np.isfinite(returns), returns, random)


def _fixed_scale(config: Mapping[str, Any]) -> TaskScale | None:
    """The task's fixed scale if the baseline runs as it was measured, and it was found to have a unit.

    A task is measured under one preset, algorithm and T: what PPO reaches at 100k steps is no unit for SAC, or for 15k.
    """
    measured = measured_under(config["env"])
    if measured and not config["env_options"] and all(config.get(key) == value for key, value in measured.items()):
        with suppress(InvalidValue):  # measured, and no unit
            return task_scale(config["env"])
    return None

"""Aggregates of a comparison over tasks and seeds, and their bootstrap intervals. Numpy only.

Scores are `{task: array (n_seeds,)}` or an array (seeds, tasks). Tasks are strata: they stay, seeds are resampled within them,
and their number may differ between tasks. Every task has the same weight, whatever its number of seeds. Every aggregate works
on the last axis, so that it takes `{task: (..., n_seeds)}` and returns (...): one call for all replicates of a bootstrap.

The aggregates are those of Agarwal et al. 2021 (Deep Reinforcement Learning at the Edge of the Statistical Precipice), and
equal their library's, rliable, for equal numbers of seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperprompt.errors import InvalidValue

Array = NDArray[np.float64]
Units = NDArray[np.intp]
"""Indices of runs, (n_units, m): units are drawn, then runs within them."""
Scores = Mapping[str, ArrayLike] | Array
Aggregate = Callable[..., Array]
"""(scores of one method, or of each of several) -> number; on `{task: (..., n_seeds)}` -> (...)."""

TRIM = 0.25
"""Share of the runs that IQM leaves out at either end."""

FEWEST_GROUPS = 3
"""Groups that an interval needs: of two, one is drawn, so that it spans little more than these two."""


def strata(scores: Scores) -> dict[str, Array]:
    """The scores by task in alphabetical order, each (..., n_seeds); the columns of an array are named '0', '1', ...

    Raises:
        InvalidValue: no task, a task without seeds, or a score that is not a finite number; names the task.
    """
    if not isinstance(scores, Mapping):
        columns = np.asarray(scores, dtype=np.float64)
        if columns.ndim != 2:
            raise InvalidValue(f"an array of scores has the shape (seeds, tasks), not {columns.shape}")
        scores = {str(i): column for i, column in enumerate(columns.T)}
    if not scores:
        raise InvalidValue("there are no tasks to aggregate")
    result = {task: np.asarray(scores[task], dtype=np.float64) for task in sorted(scores)}
    for task, values in result.items():
        if values.ndim == 0 or values.shape[-1] == 0:
            raise InvalidValue(f"task {task!r} has no seeds")
        if not np.isfinite(values).all():
            bad = float(values[~np.isfinite(values)][0])
            raise InvalidValue(f"task {task!r}: every score must be a finite number, one is {bad}")
    return result


def paired_strata(x: Scores, y: Scores) -> list[tuple[Array, Array]]:
    """Both methods' scores task by task.

    Raises:
        InvalidValue: see `strata`; or the methods were not run on the same tasks; names those that one of them lacks.
    """
    a, b = strata(x), strata(y)
    if a.keys() != b.keys():
        raise InvalidValue(f"two methods are compared on the same tasks; only one of them has {sorted(a.keys() ^ b.keys())}")
    return [(a[task], b[task]) for task in a]


def mean(scores: Scores) -> Array:
    """Mean over tasks of the mean over seeds."""
    return np.asarray(np.mean([x.mean(-1) for x in strata(scores).values()], axis=0))


def optimality_gap(scores: Scores, gamma: float = 1.0) -> Array:
    """gamma - mean of min(score, gamma): by how much the runs miss `gamma`; lower is better."""
    return np.asarray(gamma - mean({task: np.minimum(x, gamma) for task, x in strata(scores).items()}))


def iqm(scores: Scores) -> Array:
    """Interquartile mean: the 25% trimmed mean over all runs of all tasks.

    A run of task t weighs 1 / (tasks * n_t). The lowest and the highest floor(N / 4) / N of the weight are cut, N being the
    number of runs, a run on the edge in part. With equal numbers of seeds that cuts floor(N / 4) whole runs at either end, as
    rliable does.
    """
    tasks = list(strata(scores).values())
    values = np.concatenate(tasks, axis=-1)
    weights = np.concatenate([np.full(x.shape[-1], 1.0 / (len(tasks) * x.shape[-1])) for x in tasks])
    order = np.argsort(values, axis=-1)
    upper = np.cumsum(weights[order], axis=-1)
    cut = np.floor(TRIM * weights.size) / weights.size
    kept = np.clip(np.minimum(upper, 1.0 - cut) - np.maximum(upper - weights[order], cut), 0.0, None)
    return np.asarray((np.take_along_axis(values, order, axis=-1) * kept).sum(-1) / kept.sum(-1))


def probability_of_improvement(x: Scores, y: Scores) -> Array:
    """P(X > Y): mean over tasks of the share of pairs of runs in which x is above y; ties count 1/2 (Mann-Whitney)."""
    pairs = [(a[..., :, None], b[..., None, :]) for a, b in paired_strata(x, y)]
    return np.asarray(np.mean([((a > b) + 0.5 * (a == b)).mean((-2, -1)) for a, b in pairs], axis=0))


def mean_ratio(x: Scores, y: Scores) -> Array:
    """Geometric mean over tasks of mean(x) / mean(y), for positive quantities such as steps or seconds.

    Raises:
        InvalidValue: a mean is not above 0.
    """
    logs = []
    for a, b in paired_strata(x, y):
        if (a.mean(-1) <= 0).any() or (b.mean(-1) <= 0).any():
            raise InvalidValue("a ratio of means needs means above 0")
        logs.append(np.log(a.mean(-1) / b.mean(-1)))
    return np.asarray(np.exp(np.mean(logs, axis=0)))


def difference(aggregate: Aggregate) -> Aggregate:
    """aggregate(x) - aggregate(y), itself an aggregate of two methods: `bootstrap(difference(iqm), x, y, seed=0)`."""
    return lambda x, y: aggregate(x) - aggregate(y)


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; both ends are NaN where some task has one seed only, or fewer than FEWEST_GROUPS groups."""

    value: float
    low: float
    high: float
    confidence: float = 0.95

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def bootstrap(
    aggregate: Aggregate,
    *methods: Scores,
    seed: int,
    replicates: int = 2000,
    confidence: float = 0.95,
    corrected: bool = True,
    groups: Sequence[Mapping[str, Sequence[int]]] = (),
    **options: Any,
) -> Estimate:
    """The aggregate of one method, or of several, with its stratified percentile bootstrap interval.

    Seeds are resampled within every task and method, independently. Runs of two methods under one seed are not taken as pairs:
    where they resemble each other the interval is too wide, not too narrow. `options` are passed on to the aggregate.

    `groups`, one mapping a method, holds {task: the group of each run, (n_seeds,)} where runs share something that was drawn,
    such as the search their settings come from. Groups are then resampled first, with equal weights and in the place of runs
    in both corrections, and the runs within them afterwards: the spread of few groups alone would not reach far enough.

        bootstrap(iqm, scores, seed=0)
        bootstrap(difference(iqm), scores, baseline, seed=0)
        bootstrap(probability_of_improvement, scores, baseline, seed=0)
        bootstrap(mean_ratio, seconds, baseline_seconds, seed=0)

    Plain percentiles are too narrow for few seeds (`evaluation.coverage`). Two corrections, on by default: n - 1 of n seeds
    are drawn, so that the variance of a mean's replicates is the unbiased s^2 / n (Rao and Wu 1988); and the percentiles lie
    as far out as Student's t does at the degrees of freedom of `_degrees` (Hesterberg 2015). `corrected=False` gives rliable's
    interval. Neither helps where resampling cannot reach far enough: one task of 3 seeds, or runs that are all alike.

    Raises:
        InvalidValue: see `strata` and the aggregate; or `confidence` outside (0, 1), or fewer than 1 replicate.
    """
    if not 0 < confidence < 1 or replicates < 1:
        raise InvalidValue(f"confidence must lie in (0, 1) and replicates be at least 1, not {confidence} and {replicates}")
    samples = [strata(scores) for scores in methods]
    value = float(aggregate(*samples, **options))
    groups = groups or [{}] * len(samples)
    units = [_units(sample, which) for sample, which in zip(samples, groups, strict=True)]
    if any(
        len(rows) < (FEWEST_GROUPS if task in groups[i] else 2) for i, each in enumerate(units) for task, rows in each.items()
    ):
        return Estimate(value, np.nan, np.nan, confidence)
    rng = np.random.default_rng(seed)
    draws = [
        {task: _resample(x, units[i][task], replicates, int(corrected), rng) for task, x in sample.items()}
        for i, sample in enumerate(samples)
    ]
    tail = (1.0 - confidence) / 2
    if corrected:
        tail = _normal_tail(tail, _degrees(lambda *each: aggregate(*each, **options), samples, units))
    low, high = np.quantile(aggregate(*draws, **options), [tail, 1.0 - tail])
    return Estimate(value, float(low), float(high), confidence)


def _units(sample: Mapping[str, Array], groups: Mapping[str, Sequence[int]]) -> dict[str, Units]:
    """What is resampled on each task: groups of runs, or one run each. Those of a small group stand there several times."""
    result = {}
    for task, x in sample.items():
        labels = np.asarray(groups.get(task, range(x.shape[-1])))
        runs = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        m = math.lcm(*(each.size for each in runs))
        result[task] = np.stack([np.tile(each, m // each.size) for each in runs])
    return result


def _resample(x: Array, units: Units, replicates: int, fewer: int, rng: np.random.Generator) -> Array:
    """(..., n) -> (..., replicates, (n_units - fewer) * the size of the smallest unit)."""
    n, m = units.shape
    drawn = units[rng.integers(n, size=(replicates, n - fewer))]
    if m > 1:  # as many runs of every group as the smallest has: more would hide how few they are
        fewest = min(np.unique(row).size for row in units)
        drawn = np.take_along_axis(drawn, rng.integers(m, size=(*drawn.shape[:-1], fewest)), axis=-1)
    return x[..., drawn.reshape(replicates, -1)]


def _degrees(aggregate: Aggregate, samples: Sequence[dict[str, Array]], units: Sequence[dict[str, Units]]) -> float:
    """(sum V)^2 / sum(V^2 / (n - 1)) over tasks and methods, V being the jackknife variance of each (Welch, Satterthwaite)."""
    variances, degrees = [], []
    for i, sample in enumerate(samples):
        for task, x in sample.items():
            n = len(units[i][task])
            left_out = [{t: np.repeat(v[..., None, :], n, axis=-2) for t, v in each.items()} for each in samples]
            left_out[i][task] = x[..., np.stack([np.delete(units[i][task], j, axis=0).ravel() for j in range(n)])]
            variances.append((n - 1) * np.var(aggregate(*left_out)))
            degrees.append(n - 1)
    if not max(variances) > 0:
        return np.inf
    v = np.array(variances) / max(variances)  # else tiny squares are lost
    return float(v.sum() ** 2 / (v**2 / degrees).sum())


def _normal_tail(tail: float, degrees: float) -> float:
    """Phi(-t), t being Student's upper quantile at `tail`, by its expansion in 1 / degrees (Abramowitz and Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(1.0 - tail)
    terms = (z, (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return NormalDist().cdf(-sum(term / degrees**i for i, term in enumerate(terms)))

"""Steps to a target return R* when some runs never reach it: Kaplan-Meier, restricted means, the ratio to a baseline.

A run that did not sustain R* is censored: it needs more steps than it made, and leaving it out flatters its method. The steps
of one task are an array (2, n_seeds) made by `censored`: environment steps, and 1 where R* was reached in them, 0 where it was
not reached in so many. Further axes may stand between the two, so that one call serves all replicates of a bootstrap.

R* comes from static runs of seeds that serve nothing else (`target_return`), and counts as reached when it is sustained
(`metrics.steps_to`): the steps to the level at which the compared baseline itself ends flatter every method. A sustained
crossing is seen late, by about half an interval and by what noise adds, and none is seen in the last `sustain` intervals
before T: both hold for method and baseline alike, and draw their ratio towards 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hyperprompt.errors import InvalidValue
from hyperprompt.evaluation.metrics import Numbers
from hyperprompt.evaluation.statistics import Array, paired_strata


@dataclass(frozen=True)
class Target:
    """R* in units of return, or None with the reason why the task has none."""

    value: float | None
    reason: str = ""


def target_return(finals: Numbers, random: float, random_error: float = 0.0, share: float = 0.9) -> Target:
    """R* = R_random + share * (mean final return of the static runs - R_random).

    Only where static clearly learns: its mean final return lies above the random policy's by more than two standard errors of
    that difference. `finals`, (n_seeds,), come from seeds used for nothing else, a failed run counting with `random`;
    `random_error` is the standard error of `random`.

    Raises:
        InvalidValue: a final return that is not a finite number; or `share` outside (0, 1].
    """
    if not 0 < share <= 1:
        raise InvalidValue(f"share must lie in (0, 1], not {share}")
    ends = np.asarray(finals, dtype=np.float64)
    if not np.isfinite(ends).all():
        raise InvalidValue(f"final returns must be finite, not {ends.tolist()}: a failed run has the return of random actions")
    if ends.size < 2:
        return Target(None, f"whether static learns cannot be told from {ends.size} static runs: at least 2 are needed")
    gain = float(ends.mean()) - random
    error = math.hypot(float(ends.std(ddof=1)) / math.sqrt(ends.size), random_error)
    if not gain > 2 * error:
        return Target(None, f"static does not clearly learn: it ends {gain:.3g} above random (standard error {error:.3g})")
    return Target(random + share * gain)


def censored(steps: Numbers, horizon: ArrayLike) -> Array:
    """(n_seeds,) steps to R*, infinite where it was not reached, and T (or the steps each run made) -> (2, n_seeds).

    Raises:
        InvalidValue: NaN, or steps or a horizon not above 0.
    """
    reached_at = np.asarray(steps, dtype=np.float64)
    observed = np.broadcast_to(np.asarray(horizon, dtype=np.float64), reached_at.shape)
    if not (reached_at > 0).all() or not ((observed > 0) & np.isfinite(observed)).all():
        raise InvalidValue("steps to a target and the steps observed must be above 0, and the latter finite")
    return np.stack([np.minimum(reached_at, observed), reached_at <= observed])


def _survival(sample: Array) -> tuple[Array, Array]:
    """Steps in order, (..., n), and the Kaplan-Meier survival S after each: product of 1 - reached / runs still at risk."""
    steps, reached = sample
    # a run cut off at the step at which another reaches R* was still at risk then
    order = np.argsort(np.where(reached > 0, steps, np.nextafter(steps, np.inf)), axis=-1)
    at_risk = np.arange(steps.shape[-1], 0, -1)
    survival: Array = np.cumprod(1.0 - np.take_along_axis(reached, order, -1) / at_risk, axis=-1, dtype=np.float64)
    return np.take_along_axis(steps, order, -1), survival


def kaplan_meier(sample: Array) -> tuple[Array, Array]:
    """(steps at which some run reached R*, estimated share of runs still below R* from there on), each (k,).

    Kaplan and Meier 1958. Without censoring before T this is one minus the share of runs that have reached R*.
    """
    steps, survival = _survival(sample)
    last = np.append(np.diff(steps) > 0, True)
    fell = np.diff(survival[last], prepend=1.0) < 0
    return steps[last][fell], survival[last][fell]


def restricted_mean(sample: Array, horizon: float) -> Array:
    """RMST = integral of S(s) ds from 0 to T, in environment steps: the mean of min(steps to R*, T). (2, ..., n) -> (...).

    Beyond the last run's end S stays where it is: a run cut off early counts as if it did not reach R* later.
    """
    steps, survival = _survival(sample)
    ends = np.minimum(steps, horizon)
    before = np.concatenate([np.ones_like(survival[..., :1]), survival[..., :-1]], axis=-1)
    area = (np.diff(ends, axis=-1, prepend=0.0) * before).sum(-1)
    return np.asarray(area + (horizon - ends[..., -1]) * survival[..., -1])


def median_steps(sample: Array) -> float:
    """The fewest steps by which half of the runs have reached R* (S <= 1/2); infinite, 'not reached', if fewer do."""
    steps, survival = kaplan_meier(sample)
    half = survival <= 0.5 + 1e-9
    return float(steps[half][0]) if half.any() else math.inf


@dataclass(frozen=True)
class Spending:
    """How a method comes to R* on one task: its search once, then runs under ever new seeds until one holds R* or B is spent.

    The expected environment steps, c being a run's own, members * min(steps to R*, T), q the share of runs that miss R*, and
    B - search = K * members * T + r with r below one run:

        E = search + (1 + q + ... + q^(K - 1)) mean(c) + q^K mean(min(c, r))

    One run and nothing beside it is RMST. Without the end at B, E - search is the expected running time of Hansen et al. 2009
    (Real-parameter black-box optimization benchmarking), infinite where no run arrives.
    """

    total_steps: float
    """T, up to which every run is watched."""
    members: int = 1
    search: float = 0.0
    budget: float = 0.0
    """B. Where it is less than a search and a run, one run is made all the same."""

    @property
    def least(self) -> float:
        """Steps of the search and one whole run."""
        return self.search + self.members * self.total_steps

    def steps(self, sample: Array) -> Array:
        """E from the censored steps of single runs, (2, ..., n) -> (...)."""
        left = (max(self.budget, self.least) - self.search) / self.members
        runs, rest = divmod(left, self.total_steps)
        missed = 1.0 - sample[1].mean(-1)
        made = (missed[..., None] ** np.arange(runs)).sum(-1)
        own = made * restricted_mean(sample, self.total_steps) + missed**runs * restricted_mean(sample, rest)
        return np.asarray(self.search + self.members * own)


def step_ratio(
    x: Mapping[str, ArrayLike], y: Mapping[str, ArrayLike], ours: Mapping[str, Spending], theirs: Mapping[str, Spending]
) -> Array:
    """Geometric mean over tasks of E(x) / E(y), below 1 is faster; an aggregate of two methods for `statistics.bootstrap`.

    `x` and `y` hold a sample of `censored` per task. A task on which no run of either method reaches R* counts with ratio 1
    where both spend as much.
    """
    pairs = zip(sorted(x), paired_strata(x, y), strict=True)
    logs = [np.log(ours[task].steps(a) / theirs[task].steps(b)) for task, (a, b) in pairs]
    return np.asarray(np.exp(np.mean(logs, axis=0)))

"""Steps to a target return R* when some runs never reach it: Kaplan-Meier, restricted means, the ratio to a baseline. Numpy only.

A run that did not sustain R* is censored: its steps are more than those it made, and leaving it out flatters its method. Steps of
one task are an array (2, n_seeds) made by `censored`: environment steps, and 1 where R* was reached in them, 0 where only that
much is known. Further axes may stand between the two, so that one call serves all replicates of a bootstrap.

R* comes from static runs of seeds that serve nothing else (`target_return`), and is reached when it is sustained
(`metrics.steps_to`): the steps to the level at which the compared baseline itself ends flatter every method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from hyperprompt.evaluation.metrics import Numbers
from hyperprompt.evaluation.statistics import Array, Estimate

Curve = tuple[Numbers, Numbers]
"""(environment steps, mean returns), as in `metrics`."""


@dataclass(frozen=True)
class Target:
    """R*, or None with the reason why the task has none."""

    value: float | None
    reason: str = ""


def target_return(
    static_curves: Sequence[Curve], total_steps: float, random: float, random_error: float = 0.0, share: float = 0.9
) -> Target:
    """R* = R_random + share * (mean final return of the static runs - R_random), in units of return.

    Only where static clearly learns: its mean final return is above the random policy's by more than two standard errors of that
    difference. `static_curves` come from seeds used for nothing else; `random_error` is the standard error of `random`.

    Raises:
        InvalidValue: `share` outside (0, 1].
    """
    raise NotImplementedError


def censored(steps: Numbers, horizon: ArrayLike) -> Array:
    """(n_seeds,) steps to R*, infinite where it was not reached, and T or the steps each run made -> (2, n_seeds).

    Raises:
        InvalidValue: NaN or steps not above 0.
    """
    raise NotImplementedError


def kaplan_meier(sample: Array) -> tuple[Array, Array]:
    """(steps at which a run reached R*, share of runs still below R* from there on), each (k,)."""
    raise NotImplementedError


def restricted_mean(sample: Array, horizon: float) -> Array:
    """RMST: integral of the Kaplan-Meier survival function from 0 to T, in environment steps. (2, ..., n_seeds) -> (...)."""
    raise NotImplementedError


def median_steps(sample: Array) -> float:
    """Steps by which half of the runs have reached R*; infinite if fewer than half do."""
    raise NotImplementedError


@dataclass(frozen=True)
class Efficiency:
    """Steps to R* relative to a baseline's; `ratio` is the geometric mean over tasks, below 1 is faster."""

    ratio: Estimate
    by_task: Mapping[str, float]

    @property
    def fewer_steps(self) -> Estimate:
        """1 - ratio: the share of the baseline's steps that is saved."""
        return self.ratio.complement()


def sample_efficiency(
    method: Mapping[str, Array],
    baseline: Mapping[str, Array],
    horizons: Mapping[str, float],
    seed: int,
    replicates: int = 2000,
    confidence: float = 0.95,
) -> Efficiency:
    """RMST of the method over RMST of the baseline, per task and as geometric mean, with a stratified bootstrap interval.

    `method` and `baseline` hold a sample of `censored` per task, `horizons` each task's T.

    Raises:
        InvalidValue: the tasks differ.
    """
    raise NotImplementedError

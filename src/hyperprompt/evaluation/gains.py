"""What a method is worth on one task: its gain in the fixed task scale, its spread over seeds, when meta-training has paid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hyperprompt.envs.scale import TaskScale
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.evaluation.statistics import Array, Scores, strata


@dataclass(frozen=True)
class Spread:
    """Over the seeds of one task, in units of what was given."""

    std: float
    """With n - 1 in the denominator; NaN for one seed."""
    iqr: float
    """Third minus first quartile, linear between order statistics."""


def spread(values: ArrayLike) -> Spread:
    """Spread over seeds of one number a run, such as the final return.

    Raises:
        InvalidValue: no seeds, or a value that is not a finite number.
    """
    x = _runs(values)
    lower, upper = np.quantile(x, [0.25, 0.75])
    return Spread(float(x.std(ddof=1)) if x.size > 1 else math.nan, float(upper - lower))


def normalised(returns: Scores, scales: Mapping[str, TaskScale]) -> dict[str, Array]:
    """Returns of every task in its fixed scale, (R - R_random) / (R_static - R_random): what aggregates over tasks need.

    Raises:
        UnknownName: a task without a scale.
        InvalidValue: see `statistics.strata`.
    """
    result = {}
    for task, x in strata(returns).items():
        if task not in scales:
            raise UnknownName("task with a scale", task, scales)
        result[task] = (x - scales[task].random) / (scales[task].static - scales[task].random)
    return result


def normalised_gain(returns: ArrayLike, baseline: ArrayLike, scale: TaskScale) -> float:
    """(mean R - mean R_baseline) / (R_static - R_random) on one task: 1 is what static defaults gain over random actions.

    For its interval: `bootstrap(difference(mean), normalised(...), normalised(...), seed=...)`.

    Raises:
        InvalidValue: no seeds, or a return that is not a finite number.
    """
    return scale.score(float(_runs(returns).mean())) - scale.score(float(_runs(baseline).mean()))


def payback(meta_steps: float, saved_steps_per_task: float) -> float:
    """Tasks after which meta-training has paid: ceil(meta steps / mean environment steps saved on a task).

    The saving on a task is RMST_baseline - RMST_method (`censoring`). Infinite where nothing is saved.

    Raises:
        InvalidValue: `meta_steps` below 0, or a number that is not finite.
    """
    if not (math.isfinite(meta_steps) and meta_steps >= 0 and math.isfinite(saved_steps_per_task)):
        raise InvalidValue(f"payback needs finite steps, the first not below 0: {meta_steps} and {saved_steps_per_task}")
    return float(math.ceil(meta_steps / saved_steps_per_task)) if saved_steps_per_task > 0 else math.inf


def _runs(values: ArrayLike) -> Array:
    """(n_seeds,) finite numbers."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.size == 0 or not np.isfinite(x).all():
        raise InvalidValue(f"one finite number a seed is needed, not {x.tolist()}")
    return x

"""What a method is worth on one task: its spread over seeds, and when meta-training has paid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hyperprompt.errors import InvalidValue
from hyperprompt.evaluation.statistics import Array


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

"""Numbers that sum a learning curve up. Numpy only.

A curve is a pair (steps, returns): `returns[i]` is the mean return of the episodes that ended in the interval up to
environment step `steps[i]`, NaN where none did. One rule makes it a function R(s) on [0, T]: straight lines between the finite
points, the first finite value before them, the last one after them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hyperprompt.errors import InvalidValue

Numbers = Sequence[float] | NDArray[np.float64]


def finite_points(steps: Numbers, returns: Numbers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The points of the curve where an episode ended, each of shape (n,).

    Raises:
        InvalidValue: different lengths, or steps that do not increase.
    """
    x, y = np.asarray(steps, dtype=np.float64), np.asarray(returns, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise InvalidValue(f"a curve needs as many steps as returns, not {x.shape} and {y.shape}")
    if not np.all(np.isfinite(x)) or np.any(np.diff(x) <= 0):
        raise InvalidValue("the steps of a curve must increase")
    known = np.isfinite(y)
    return x[known], y[known]


def _mean_between(steps: Numbers, returns: Numbers, start: float, end: float) -> float:
    """1 / (end - start) * integral of R(s) ds from start to end; NaN if no point is finite."""
    x, y = finite_points(steps, returns)
    if not end > start >= 0:
        raise InvalidValue(f"the budget must be above 0 steps, not {end:g}")
    if x.size == 0:
        return math.nan
    inside = (x > start) & (x < end)
    nodes = np.concatenate([[start], x[inside], [end]])
    heights = np.interp(nodes, x, y)
    return float(np.sum(np.diff(nodes) * (heights[1:] + heights[:-1]) / 2) / (end - start))


def auc(steps: Numbers, returns: Numbers, total_steps: float) -> float:
    """AUC = 1/T * integral_0^T R(s) ds: the mean return over the whole training, in units of return.

    R(s) follows the module's rule; points beyond T = `total_steps` only serve to reach it. NaN if no episode ever ended.

    Raises:
        InvalidValue: see `finite_points`; or T is not above 0.
    """
    return _mean_between(steps, returns, 0.0, total_steps)


def final_return(steps: Numbers, returns: Numbers, total_steps: float, share: float = 0.1) -> float:
    """1/(share T) * integral of R(s) ds over the last `share` of the budget, in units of return.

    Raises:
        InvalidValue: as `auc`; or `share` outside (0, 1].
    """
    if not 0 < share <= 1:
        raise InvalidValue(f"share must lie in (0, 1], not {share}")
    return _mean_between(steps, returns, (1.0 - share) * total_steps, total_steps)


def steps_to(steps: Numbers, returns: Numbers, target: float, sustain: int = 3) -> float:
    """Environment steps to the return R*: min { s_i : R_j >= R* for j = i, ..., i + k } with k = `sustain`.

    Only intervals with finished episodes count as points. A crossing not followed by k points is not sustained: the run is
    censored, and the result infinite; so is the result for a NaN target.

    Raises:
        InvalidValue: see `finite_points`; or `sustain` below 0.
    """
    if sustain < 0:
        raise InvalidValue(f"sustain must not be negative, not {sustain}")
    x, y = finite_points(steps, returns)
    length = 0
    for i, reached in enumerate(y >= target):
        length = length + 1 if reached else 0
        if length > sustain:
            return float(x[i - sustain])
    return math.inf

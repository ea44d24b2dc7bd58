"""Metrics on curves whose integrals are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hyperprompt.errors import InvalidValue
from hyperprompt.evaluation.metrics import auc, final_return, steps_to

NAN = math.nan


@pytest.mark.parametrize(
    ("steps", "returns", "total", "expected"),
    [
        ([10, 20, 100], [5, 5, 5], 100, 5.0),
        ([0, 100], [0, 10], 100, 5.0),
        ([50, 100], [0, 10], 100, 2.5),
        ([50, 100], [4, 10], 100, (4 * 50 + 7 * 50) / 100),  # flat before the first finite value
        ([25, 50, 75, 100], [NAN, 4, NAN, 10], 100, (4 * 50 + 7 * 50) / 100),  # a gap is bridged by a line
        ([50, 100], [0, math.inf], 100, 0.0),  # an infinite return counts as none
        ([50], [3], 100, 3.0),  # the last value is held up to the budget
        ([0, 100, 200], [0, 10, 999], 100, 5.0),  # nothing beyond the budget counts
        ([0, 200], [0, 20], 100, 5.0),  # the budget falls within an interval
        ([100], [NAN], 100, NAN),
        ([], [], 100, NAN),
    ],
)
def test_auc(steps: list[float], returns: list[float], total: float, expected: float):
    assert auc(steps, returns, total) == pytest.approx(expected, nan_ok=True)


def test_auc_of_a_sine_converges_to_its_integral():
    steps = np.linspace(0, 1000, 2001)
    assert auc(steps, np.sin(steps / 1000 * math.pi), 1000) == pytest.approx(2 / math.pi, abs=1e-6)


@pytest.mark.parametrize(
    ("returns", "share", "expected"),
    [([0] * 9 + [10], 0.1, 5.0), ([7.0] * 10, 0.1, 7.0), ([0, 10] * 5, 1.0, 4.5), ([1.0] * 9 + [NAN], 0.1, 1.0)],
)
def test_final_return(returns: list[float], share: float, expected: float):
    assert final_return(range(10, 101, 10), returns, 100, share) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("returns", "target", "sustain", "expected"),
    [
        ([0, 1, 2, 3, 4, 5], 2, 3, 3),
        ([0, 9, 0, 9, 9, 9], 5, 2, 4),  # the first crossing does not last
        ([0, 0, 0, 0, 9, 9], 5, 3, math.inf),  # censored: too late to be sustained
        ([0, 0, 0], 5, 0, math.inf),
        ([9, NAN, 9, NAN, 9, 9], 5, 3, 1),  # intervals without episodes neither count nor break
        ([9, 0, 0], 5, 0, 1),
        ([], 5, 3, math.inf),
        ([9, 9, 9, 9], NAN, 1, math.inf),
        ([-5, -4, -3], -4, 1, 2),
    ],
)
def test_steps_to(returns: list[float], target: float, sustain: int, expected: float):
    assert steps_to(range(1, len(returns) + 1), returns, target, sustain) == expected


@pytest.mark.parametrize(
    "call",
    [
        lambda: auc([1, 2], [1], 10),
        lambda: auc([2, 1], [1, 1], 10),
        lambda: auc([1, 1], [1, 1], 10),
        lambda: auc([1], [1], 0),
        lambda: final_return([1], [1], 10, 0),
        lambda: steps_to([1], [1], 1, -1),
    ],
)
def test_malformed_curves_are_refused(call):
    with pytest.raises(InvalidValue):
        call()

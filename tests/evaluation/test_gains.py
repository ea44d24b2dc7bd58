"""Spread and payback, against hand-worked numbers."""

from __future__ import annotations

import math

import pytest

from hyperprompt.errors import InvalidValue
from hyperprompt.evaluation.gains import payback, spread


def test_spread_is_the_sample_deviation_and_the_distance_of_the_quartiles():
    found = spread([1.0, 2.0, 3.0, 4.0, 10.0])
    assert found.std == pytest.approx(math.sqrt(50 / 4))
    assert found.iqr == pytest.approx(2.0)
    assert math.isnan(spread([5.0]).std)
    assert spread([5.0]).iqr == 0.0


@pytest.mark.parametrize(
    ("meta", "saved", "tasks"), [(1000, 100, 10), (1001, 100, 11), (0, 5, 0), (1000, 0, math.inf), (1000, -5, math.inf)]
)
def test_payback(meta: float, saved: float, tasks: float):
    assert payback(meta, saved) == tasks


@pytest.mark.parametrize(
    "call",
    [
        lambda: spread([]),
        lambda: spread([1.0, math.nan]),
        lambda: spread([[1.0]]),
        lambda: payback(-1, 1),
        lambda: payback(1, math.nan),
        lambda: payback(math.inf, 1),
    ],
)
def test_malformed_numbers_are_refused(call):
    with pytest.raises(InvalidValue):
        call()

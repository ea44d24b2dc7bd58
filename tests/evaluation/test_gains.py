"""Gains on one task, against hand-worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hyperprompt.envs.scale import TaskScale
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.evaluation.gains import normalised, normalised_gain, payback, spread

SCALE = TaskScale(random=-100.0, static=100.0)


def test_spread_is_the_sample_deviation_and_the_distance_of_the_quartiles():
    found = spread([1.0, 2.0, 3.0, 4.0, 10.0])
    assert found.std == pytest.approx(math.sqrt(50 / 4))
    assert found.iqr == pytest.approx(2.0)
    assert math.isnan(spread([5.0]).std)
    assert spread([5.0]).iqr == 0.0


def test_the_gain_of_static_over_random_is_one():
    assert normalised_gain([100.0, 100.0], [-100.0], SCALE) == pytest.approx(1.0)
    assert normalised_gain([150.0, 50.0], [80.0, 40.0, 120.0], SCALE) == pytest.approx(0.1)


def test_returns_are_put_on_the_scale_of_their_own_task():
    found = normalised({"a": [-100.0, 100.0], "b": [3.0]}, {"a": SCALE, "b": TaskScale(1.0, 2.0)})
    np.testing.assert_allclose(found["a"], [0.0, 1.0])
    np.testing.assert_allclose(found["b"], [2.0])
    with pytest.raises(UnknownName, match=r"'c'.*a, b"):
        normalised({"c": [1.0]}, {"a": SCALE, "b": SCALE})


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
        lambda: normalised_gain([[1.0]], [1.0], SCALE),
        lambda: payback(-1, 1),
        lambda: payback(1, math.nan),
        lambda: payback(math.inf, 1),
    ],
)
def test_malformed_numbers_are_refused(call):
    with pytest.raises(InvalidValue):
        call()

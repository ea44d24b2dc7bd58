"""Payback, against hand-worked numbers."""

from __future__ import annotations

import math

import pytest

from hyperprompt.errors import InvalidValue
from hyperprompt.evaluation.gains import payback


@pytest.mark.parametrize(
    ("meta", "saved", "tasks"), [(1000, 100, 10), (1001, 100, 11), (0, 5, 0), (1000, 0, math.inf), (1000, -5, math.inf)]
)
def test_payback(meta: float, saved: float, tasks: float):
    assert payback(meta, saved) == tasks


@pytest.mark.parametrize(
    "call",
    [
        lambda: payback(-1, 1),
        lambda: payback(1, math.nan),
        lambda: payback(math.inf, 1),
    ],
)
def test_malformed_numbers_are_refused(call):
    with pytest.raises(InvalidValue):
        call()

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprompt.errors import InvalidValue
from hyperprompt.meta.interval import IntervalSchedule


@given(st.integers(1, 5_000_000), st.integers(1, 20_000))
def test_intervals_are_whole_updates_and_a_run_has_16_decisions_if_it_has_16_updates(total: int, update: int) -> None:
    schedule = IntervalSchedule(total, update)
    lengths = [schedule.length(i) for i in range(40)]
    assert all(length > 0 and length % update == 0 for length in lengths)
    starts = [0, *accumulate(lengths)]
    decisions = sum(start < total for start in starts)
    assert decisions >= min(16, -(-total // update))


@pytest.mark.parametrize(("total", "starts"), [(6, [0, 1, 2, 3, 4, 5]), (64, [0, 1, 2, 4, 6, 9]), (1, [0])])
def test_a_decision_falls_where_an_interval_starts(total: int, starts: list[int]) -> None:
    schedule = IntervalSchedule(total, 1)
    found = schedule.starts()
    assert found[: len(starts)] == starts
    assert found[-1] < total <= found[-1] + schedule.length(len(found) - 1)


def test_the_first_intervals_are_short() -> None:
    schedule = IntervalSchedule(1_000_000, 100, every=4_000)
    assert [schedule.length(i) for i in range(6)] == [1_000, 1_000, 2_000, 2_000, 4_000, 4_000]


@pytest.mark.parametrize("every", [0, -1])
def test_every_must_be_positive(every: int) -> None:
    with pytest.raises(InvalidValue, match="every"):
        IntervalSchedule(1_000, 10, every)

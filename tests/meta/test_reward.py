from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprompt.core import Interval, Signals
from hyperprompt.envs.scale import TaskScale, task_scale
from hyperprompt.errors import UnknownName
from hyperprompt.evaluation.metrics import auc
from hyperprompt.meta.reward import Reward, potential

SCALE = TaskScale(random=20.0, static=420.0)
NAN = math.nan
LENGTH = 100


def run(returns: Sequence[float]) -> list[Interval]:
    """A run in which every interval is as long as the others; NaN where no episode ended."""
    return [
        Interval(i, (i + 1) * LENGTH, {}, {}, Signals({} if math.isnan(value) else {"return_mean": value}))
        for i, value in enumerate(returns)
    ]


def rewards(kind: Reward, returns: Sequence[float], scale: TaskScale = SCALE) -> list[float]:
    """R_meta of every decision of the run."""
    intervals, total = run(returns), len(returns) * LENGTH
    levels = [potential(kind, intervals[:n], total, scale) for n in range(len(returns) + 1)]
    return np.diff(levels).tolist()  # type: ignore[no-any-return]


curves = st.lists(st.one_of(st.just(NAN), st.floats(-1e4, 1e4)), min_size=1, max_size=12)


@given(curves)
def test_improvement_sums_to_the_end_of_the_run_and_level_to_its_auc(returns: list[float]) -> None:
    known = [value for value in returns if not math.isnan(value)]
    end = SCALE.score(known[-1]) if known else 0.0
    assert sum(rewards("improvement", returns)) == pytest.approx(end, abs=1e-9)
    steps = [(i + 1) * LENGTH for i in range(len(returns))]
    area = SCALE.score(auc(steps, returns, steps[-1])) if known else 0.0
    assert sum(rewards("level", returns)) == pytest.approx(area, abs=1e-9)


def test_the_random_policy_is_worth_nothing_and_static_defaults_one() -> None:
    assert rewards("improvement", [20.0, 20.0]) == [0.0, 0.0]
    assert sum(rewards("improvement", [100.0, 420.0])) == pytest.approx(1.0)
    assert sum(rewards("level", [420.0, 420.0])) == pytest.approx(1.0)


def test_an_interval_without_an_episode_earns_nothing_by_itself() -> None:
    assert rewards("improvement", [NAN, 220.0, NAN, 220.0]) == pytest.approx([0.0, 0.5, 0.0, 0.0])


def sawtooth(cycles: int, climb: int = 40) -> list[float]:
    """Between the same two levels: up in small steps, down at once."""
    return [20.0 + 400.0 * i / climb for i in range(climb + 1)] * cycles


def own_range_rewards(returns: Sequence[float], window: int = 8) -> list[float]:
    """The reward this project does not use: change in units of the range seen in the last few intervals."""
    earned = []
    for t in range(1, len(returns)):
        seen = returns[max(0, t - window) : t + 1]
        earned.append((returns[t] - returns[t - 1]) / (max(seen) - min(seen)))
    return earned


def test_oscillating_earns_no_more_than_its_end_but_would_be_farmed_by_the_own_range() -> None:
    once, often = sawtooth(1), sawtooth(10)
    assert sum(rewards("improvement", often)) == pytest.approx(sum(rewards("improvement", once)))
    assert sum(rewards("improvement", [*often, 20.0])) == pytest.approx(0.0, abs=1e-9)
    assert sum(rewards("level", often)) < 1.0
    # Ten cycles end where one ends, and the own range pays for every one of them.
    assert sum(own_range_rewards(often)) > 4 * sum(own_range_rewards(once))
    assert sum(own_range_rewards([*often, 20.0])) > 20.0


def test_an_unknown_reward_is_refused() -> None:
    with pytest.raises(UnknownName, match="improvement"):
        potential("slope", [], 100, SCALE)  # type: ignore[arg-type]


def test_a_measured_scale_serves() -> None:
    scale = task_scale("CartPole-v1")
    assert rewards("improvement", [scale.static], scale) == pytest.approx([1.0])

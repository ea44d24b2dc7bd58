"""Shared builders: a meta-state with made-up intervals, for tests that need no training."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hyperprompt.core import Interval, MetaState, Signals, Task, Transition
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, for_algorithm


def make_state(intervals: int = 0, algorithm: str = "ppo", total_steps: int = 100_000, **values: float) -> MetaState:
    space = for_algorithm(algorithm).subset(TUNED_BY_DEFAULT[algorithm])
    task = Task("CartPole-v1", algorithm, "discrete", "vector", 4, 2, 16, total_steps)
    length = 2048
    signals = {"return_mean": 20.0, "return_std": 5.0, "episode_length": 20.0, "approx_kl": 0.01, **values}
    transition = Transition((0.1, -0.2, 0.3, 0.0), (1.0,), 1.0)
    done = tuple(
        Interval(
            i, (i + 1) * length, space.defaults, {}, Signals({**signals, "return_mean": 20.0 + i}, 100, (transition,) * 2)
        )
        for i in range(intervals)
    )
    return MetaState("run", task, space, intervals * length, space.defaults, done)


@pytest.fixture
def state() -> Callable[..., MetaState]:
    return make_state

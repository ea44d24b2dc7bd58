"""Hand-made runs: what pays is written in a signal, so that reading it can be learned."""

from __future__ import annotations

import numpy as np

from hyperprompt.core import STEPS, Interval, MetaState, Signals, Task
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, for_algorithm
from hyperprompt.sft.examples import Example

TASK = Task("CartPole-v1", "ppo", "discrete", "vector", 4, 2, 8, 10_000)


def make_state(seed: int, n: int = 5) -> MetaState:
    """A run of `n` intervals; its KL divergence jumps between a low and a high value."""
    rng = np.random.default_rng(seed)
    space = for_algorithm("ppo").subset(TUNED_BY_DEFAULT["ppo"])
    theta, intervals = space.clip(space.defaults), []
    space = space.starting_at(theta)
    for i in range(n):
        delta = {h.name: STEPS[rng.integers(7)] for h in space}
        theta = space.shift(theta, delta)
        values = {
            "return_mean": float(rng.normal()),
            "approx_kl": 0.5 if rng.random() < 0.5 else 1e-3,
            "entropy_fraction": 0.7,
        }
        intervals.append(Interval(i, 100 * (i + 1), theta, delta, Signals(values, 1)))
    return MetaState(f"run-{seed}", TASK, space, 100 * n, theta, tuple(intervals))


def make_example(seed: int, n: int = 5) -> Example:
    """Down where the last KL was high, up where it was low, nothing known at the first decision."""
    state = make_state(seed, n)
    labels = {}
    for i in range(n + 1):
        kl = state.intervals[i - 1].signals.values["approx_kl"] if i else None
        p = np.full(7, 0.01)
        p[3 if kl is None else 1 if kl > 0.1 else 5] = 0.94
        labels[i] = dict.fromkeys(state.space.names, p)
    return Example(state, labels)

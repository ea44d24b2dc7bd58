"""Hand-made runs with a known right answer, which every learner of `hyperprompt sft` must find: it is written in a signal.

Where the last KL divergence was high a smaller learning rate paid, where it was low a larger one; before the first interval
nothing did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.collect.design import unbranched
from hyperprompt.core import KEEP, STEPS, Interval, MetaState, Signals, Task
from hyperprompt.durable import to_json
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, Theta, for_algorithm
from hyperprompt.sft.examples import Example, prefix

TASK = Task("CartPole-v1", "ppo", "discrete", "vector", 4, 2, 8, 10_000)
LOW, HIGH = 1e-3, 0.5
GAIN = 0.2
"""What the right step is worth, in task units; the wrong one costs it."""


def state(seed: int, intervals: int = 5) -> MetaState:
    """A run under random steps; its KL divergence jumps between LOW and HIGH."""
    rng = np.random.default_rng(seed)
    space = for_algorithm("ppo").subset(TUNED_BY_DEFAULT["ppo"])
    theta, rows = space.clip(space.defaults), []
    space = space.starting_at(theta)
    for i in range(intervals):
        delta = {h.name: STEPS[rng.integers(len(STEPS))] for h in space}
        theta = space.shift(theta, delta)
        values = {
            "return_mean": float(rng.normal()),
            "approx_kl": HIGH if rng.random() < 0.5 else LOW,
            "entropy_fraction": 0.7,
        }
        rows.append(Interval(i, 100 * (i + 1), theta, delta, Signals(values, 1)))
    return MetaState(f"run-{seed}", TASK, space, 100 * intervals, theta, tuple(rows))


def answer(state: MetaState) -> int:
    """Index into STEPS of the right step of the learning rate."""
    if not state.intervals:
        return KEEP
    return 1 if state.intervals[-1].signals.values["approx_kl"] > 0.1 else 5


def example(seed: int, intervals: int = 5) -> Example:
    """A run with the right step of every hyperparameter as its label, at 0.94."""
    run = state(seed, intervals)
    labels = {}
    for i in range(intervals + 1):
        p: NDArray[np.float64] = np.full(len(STEPS), 0.01)
        p[answer(prefix(run, i))] = 0.94
        labels[i] = dict.fromkeys(run.space.names, p)
    return Example(run, labels)


def checkpoints(seeds: Sequence[int], branches: int = 24) -> list[Checkpoint]:
    """The last states of runs, with branches: the learning rate's right direction pays GAIN a step, all else does nothing."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng([seed, 1])
        last = state(seed)
        steps = rng.integers(len(STEPS), size=(branches, len(last.space)))
        end = GAIN * np.sign(answer(last) - KEEP) * np.asarray(STEPS)[steps[:, 0]]
        found.append(
            Checkpoint(
                "probe", "probe", "ppo", last.run, "{}", last, 1000, 0.0, 0.0, 1.0,
                steps, np.zeros(branches, np.int64), end, end.copy(),
            )
        )  # fmt: skip
    return found


def searched(seeds: Sequence[int], target: Theta) -> list[Checkpoint]:
    """The same runs as the trials of one search that found `target` best; names left out at their defaults."""
    found = checkpoints(seeds)
    space = found[0].state.space
    nothing = vars(unbranched(len(space)))
    best = to_json({**space.defaults, **target})
    return [replace(c, **nothing, state=replace(c.state, run="search"), target=best) for c in found]

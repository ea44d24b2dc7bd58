"""What is tried at a checkpoint, whoever trains it: behaviour, joint steps, common seeds. Needs neither JAX nor torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperprompt.core import STEPS, MetaAction, MetaState

Integers = NDArray[np.int64]


@dataclass
class Perturbed:
    """The behaviour controller: at odds 1/2 a random joint step, else keep; drawn from (seed, run, decision index)."""

    seed: int
    name: str = "perturbed"

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [self._decide(lane, state) for lane, state in enumerate(states)]

    def _decide(self, lane: int, state: MetaState) -> MetaAction:
        rng = np.random.default_rng([self.seed, lane, state.index])
        if rng.random() < 0.5:
            return MetaAction()
        return MetaAction({name: STEPS[rng.integers(len(STEPS))] for name in state.space.names})


def joint_actions(rng: np.random.Generator, n: int, names: int) -> Integers:
    """`n` joint actions, (n, names), indices into STEPS. Every level of a hyperparameter occurs n // 7 times or once more."""
    columns = []
    for _ in range(names):
        levels = np.concatenate([rng.permutation(len(STEPS)) for _ in range(-(-n // len(STEPS)))])[:n]
        columns.append(rng.permutation(levels))
    return np.stack(columns, 1)


def branches(rng: np.random.Generator, actions: int, seeds: int, names: int) -> tuple[Integers, Integers]:
    """Each of `actions` joint actions under each of `seeds` common seeds: steps (branches, names), seeds (branches,)."""
    steps = np.repeat(joint_actions(rng, actions, names), seeds, axis=0)
    return steps, np.tile(rng.integers(2**31, size=seeds), actions)


def round_seed(task: str, round_: int) -> list[int]:
    """Words that seed everything random in a round of a task."""
    return [sum(task.encode()), round_]

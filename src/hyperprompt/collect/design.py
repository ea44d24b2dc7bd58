"""What is tried at a checkpoint, whoever trains it: behaviour, joint steps, common seeds. Needs neither JAX nor torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.controllers.fixed import random_steps
from hyperprompt.core import STEPS, Controller, MetaAction, MetaState
from hyperprompt.durable import to_json
from hyperprompt.envs.scale import TaskScale

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


ODDS: Mapping[str, float] = {"wide": 0.5, "near": 0.25}
"""Of a random joint step, by `Recipe.behaviour`."""


@dataclass
class Perturbed:
    """A controller whose answers are replaced by random joint steps at given odds, one a run.

    Drawn from (seed, lane, index of the decision).
    """

    inner: Controller
    odds: Sequence[float]
    seed: int
    name: str = "perturbed"

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        answers = list(self.inner.decide(states))
        for lane, state in enumerate(states):
            rng = np.random.default_rng([self.seed, lane, state.index])
            if rng.random() >= 1.0 - self.odds[lane]:
                answers[lane] = MetaAction(random_steps(rng, state.space.names))
        return answers


@dataclass(frozen=True)
class Branched:
    """What was tried at a checkpoint, and what it led to: fields as in `Checkpoint`."""

    horizon: int
    before: float
    steps: Integers
    seeds: Integers
    end: Floats
    mean: Floats


def unbranched(names: int, before: float = math.nan) -> Branched:
    """Nothing was tried: a state without scores."""
    return Branched(0, before, np.empty((0, names), np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))


def checkpoint(
    state: MetaState, family: str, task: str, run: str, variant: Mapping[str, Any], scale: TaskScale, branched: Branched
) -> Checkpoint:
    """The row of a dataset, whoever collected it."""
    return Checkpoint(
        family=family,
        task=task,
        algorithm=state.task.algorithm,
        run=run,
        variant=to_json(variant),
        state=state,
        random=scale.random,
        unit=scale.static - scale.random,
        **vars(branched),
    )


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

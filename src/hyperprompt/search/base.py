"""Offline tuners: one whole training run a trial, one score back. `ask()` for the next theta, `tell(theta, score)` its score.

A tuner is a function of its `Search` and of what it was told, of nothing else: rebuilt and told the same trials, it asks for
the same next one, whether or not it was asked in between. So a benchmark that was killed replays its finished trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from hyperprompt.errors import InvalidValue
from hyperprompt.hyperparameters import HyperparameterSpace, Theta


@dataclass(frozen=True)
class Search:
    """What a tuner is made for: all that its proposals may depend on beside the scores it is told."""

    space: HyperparameterSpace
    """Its defaults are the first trial."""
    seed: int
    trials: int
    """How many runs it is going to propose."""
    algorithm: str
    env: str


@runtime_checkable
class Tuner(Protocol):
    """Proposes constant hyperparameters for whole training runs; the higher the score, the better.

    The first theta asked for is always the space's defaults. Every later one lies within the bounds, and its integers are
    whole numbers.
    """

    name: str

    def ask(self) -> Theta:
        """The next theta to try. Asked twice with nothing told in between, it is the same one."""
        ...

    def tell(self, theta: Theta, score: float | None) -> None:
        """What a trial scored; None or a number that is not finite if it failed, which counts as the worst score so far."""
        ...


@dataclass(frozen=True)
class Trial:
    """One finished trial: theta within the bounds, and its score, NaN if it failed."""

    theta: Theta
    score: float


Propose = Callable[[HyperparameterSpace, Sequence[Trial], int], Theta]
"""(space, trials with finite scores, seed of this proposal) -> theta within the bounds, integers whole."""


class FromHistory:
    """A `Tuner` made of one pure function: most optimisers need only a `Propose`.

    Args:
        name: as in the registry.
        propose: called anew for each trial but the first, with a seed of its own drawn from (seed, number of trials).
        space: theta's bounds and scales; its defaults are the first trial, even where one lies outside its bounds.
        seed: of all randomness.
    """

    def __init__(self, name: str, propose: Propose, space: HyperparameterSpace, seed: int) -> None:
        if seed < 0:
            raise InvalidValue(f"the seed of a tuner must not be negative, not {seed}")
        self.name, self.space, self.seed = name, space, seed
        self.trials: list[Trial] = []
        self._propose = propose

    def ask(self) -> Theta:
        if not self.trials:
            return self.space.values(self.space.defaults)
        drawn = np.random.SeedSequence([self.seed, len(self.trials)]).generate_state(1)[0]
        return self._propose(self.space, finite(self.trials), int(drawn))

    def tell(self, theta: Theta, score: float | None) -> None:
        """Raises InvalidValue if `theta` lacks a hyperparameter, or holds one that is unknown or not a finite number."""
        if set(theta) != set(self.space.names):
            raise InvalidValue(f"a trial of {', '.join(theta)} told to a tuner of {', '.join(self.space.names)}")
        for name, value in theta.items():
            if not math.isfinite(value):
                raise InvalidValue(f"{name}: {value} is not a finite number")
        value = math.nan if score is None or not math.isfinite(score) else float(score)
        self.trials.append(Trial(self.space.values(self.space.clip(theta)), value))


def finite(trials: Sequence[Trial]) -> list[Trial]:
    """The trials with the worst score so far in place of each missing one, 0 if all failed."""
    worst = min((trial.score for trial in trials if not math.isnan(trial.score)), default=0.0)
    return [replace(trial, score=worst) if math.isnan(trial.score) else trial for trial in trials]

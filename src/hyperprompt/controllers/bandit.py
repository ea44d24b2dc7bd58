"""A bandit over clusters of hyperparameter values within one run, after ULTHO (Yuan et al. 2025, arXiv:2503.06101).

Every tuned hyperparameter is a cluster, and its arms are a few values around its default. Each decision chooses one cluster
and one of its arms, by an upper confidence bound at both levels; what the run returns in the interval after it is the reward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeVar, get_args

import numpy as np

from hyperprompt.controllers.fixed import toward
from hyperprompt.core import MetaAction, MetaState
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.hyperparameters import Hyperparameter, HyperparameterSpace, Theta

FACTORS = (0.5, 1.0, 2.0)
"""An arm is the default times one of these; on a one_minus_log scale they multiply the horizon 1 / (1 - x)."""

Reward = Literal["return", "gain"]
Key = TypeVar("Key", str, float)


@dataclass
class Tally:
    """Discounted statistics of a cluster or an arm: pulls N, and the sum of their rewards."""

    pulls: float = 0.0
    total: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.pulls + other.pulls, self.total + other.total)

    @property
    def mean(self) -> float:
        """Q, which nothing beats where there was no pull."""
        return self.total / self.pulls if self.pulls else math.inf


Tallies = Mapping[str, Mapping[float, Tally]]
"""cluster -> arm -> what it yielded."""


class Bandit:
    """Two-level discounted UCB (Garivier and Moulines 2011, arXiv:0805.3415) over clusters of arms.

    With gamma = 1 - 1 / memory, N(k) the sum of gamma^age over the pulls of k, Q(k) their mean reward under the same weights,
    and the range of the last `memory` rewards as the unit:

        k* = argmax_k Q(k) + exploration range sqrt(ln sum_j N(j) / N(k))

    first over clusters, then over the arms of the chosen one; whatever was never pulled comes first, in an order drawn from
    the seed. Every other cluster stands at its arm of highest Q, at its default until that was pulled. ULTHO weighs the last
    pulls alike and leaves the other clusters as they are; discounting follows a change of the best arm sooner, and a bad arm
    that was only tried does not stay in force.

    Nothing is kept between decisions: the pulls are found by deciding every past interval again, and one whose theta does not
    show its arm, since the guard kept another value, does not count. n clusters of 3 arms need 3 n intervals before the first
    comparison, so short intervals (`every`) suit it.

    Args:
        seed: of the order in which clusters and arms are tried first.
        memory: intervals that a pull counts for, roughly.
        exploration: weight of the confidence bound; 0 is greedy.
        reward: "return", the interval's mean return as in ULTHO, or "gain", its change since the interval before, for runs in
            which an arm acts on the speed of learning. An interval in which no episode ended repeats the return before it.

    Raises:
        InvalidValue: `memory` is no whole number above 1, or `exploration` no number from 0 on.
        UnknownName: another `reward`.
    """

    name = "bandit"

    def __init__(self, seed: int = 0, memory: int = 20, exploration: float = 0.7, reward: Reward = "return") -> None:
        if not isinstance(memory, int) or memory < 2:
            raise InvalidValue(f"the bandit's memory must be a whole number of intervals, at least 2, not {memory!r}")
        if not isinstance(exploration, int | float) or not 0 <= exploration < math.inf:
            raise InvalidValue(f"the bandit's exploration must be a number of at least 0, not {exploration!r}")
        if reward not in get_args(Reward):
            raise UnknownName("reward of the bandit", str(reward), get_args(Reward))
        self.seed, self.memory, self.exploration, self.reward = seed, memory, exploration, reward

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [self._decide(state) for state in states]

    def _decide(self, state: MetaState) -> MetaAction:
        tallies = {name: {arm: Tally() for arm in arms} for name, arms in clusters(state.space, self.seed).items()}
        if not tallies:
            return MetaAction(note="no hyperparameter has a second value to try")
        rewards = self._rewards(state)
        choice: tuple[str, float] | None = None
        for index in range(state.index + 1):
            if index:
                self._discount(tallies)
            if choice is not None and _shows(state.space, state.intervals[index - 1].theta, *choice):
                cluster, arm = choice
                tallies[cluster][arm] += Tally(1.0, rewards[index - 1])
            known = [r for r in rewards[max(0, index - self.memory) : index] if not math.isnan(r)]
            choice = self._choose(tallies, (max(known) - min(known)) or 1.0) if known else None
        if choice is None:
            return MetaAction(note="no reward yet")
        target = {name: _incumbent(arms, state.space[name]) for name, arms in tallies.items()} | dict([choice])
        return MetaAction(toward(state, target).delta, note=f"tries {choice[0]} = {choice[1]:g}")

    def _rewards(self, state: MetaState) -> list[float]:
        """One per interval; NaN before the first that has one."""
        returns: list[float] = []
        for interval in state.intervals:
            value = interval.signals.values.get("return_mean", math.nan)
            last = returns[-1] if returns else math.nan
            returns.append(value if math.isfinite(value) else last)
        if self.reward == "return":
            return returns
        return [math.nan, *(after - before for before, after in pairwise(returns))]

    def _discount(self, tallies: Tallies) -> None:
        for arms in tallies.values():
            for tally in arms.values():
                tally.pulls *= 1.0 - 1.0 / self.memory
                tally.total *= 1.0 - 1.0 / self.memory

    def _choose(self, tallies: Tallies, unit: float) -> tuple[str, float]:
        whole = {name: sum(arms.values(), Tally()) for name, arms in tallies.items()}
        cluster = self._best(whole, unit)
        return cluster, self._best(tallies[cluster], unit)

    def _best(self, tallies: Mapping[Key, Tally], unit: float) -> Key:
        """The key with the highest upper confidence bound, the first of equal ones."""
        log = math.log(max(1.0, sum(tally.pulls for tally in tallies.values())))

        def bound(key: Key) -> float:
            tally = tallies[key]
            return tally.mean + (self.exploration * unit * math.sqrt(log / tally.pulls) if tally.pulls else 0.0)

        return max(tallies, key=bound)


def clusters(space: HyperparameterSpace, seed: int) -> dict[str, tuple[float, ...]]:
    """The arms of each hyperparameter that has more than one, in an order drawn from the seed: values within the bounds,
    integers whole, the default among them. A default of 0, which no factor changes, has only one.
    """
    rng = np.random.default_rng(seed)
    arms = {h.name: sorted({_arm(h, factor) for factor in FACTORS}) for h in space}
    several = [name for name, values in arms.items() if len(values) > 1]
    order = [several[i] for i in rng.permutation(len(several))]
    return {name: tuple(arms[name][i] for i in rng.permutation(len(arms[name]))) for name in order}


def _arm(h: Hyperparameter, factor: float) -> float:
    value = h.clip(h.default)
    if factor != 1.0:
        value = h.clip(1.0 - (1.0 - value) / factor if h.scale == "one_minus_log" else h.default * factor)
    return h.value(value)


def _incumbent(arms: Mapping[float, Tally], h: Hyperparameter) -> float:
    """The arm of highest Q; the default until it has been pulled itself, so that no arm stays for want of comparison."""
    default = _arm(h, 1.0)
    tried = {arm: tally.mean for arm, tally in arms.items() if tally.pulls}
    return max(tried, key=lambda arm: tried[arm]) if default in tried else default


def _shows(space: HyperparameterSpace, theta: Theta, name: str, arm: float) -> bool:
    h = space[name]
    return math.isclose(h.position(h.value(theta[name])), h.position(arm), abs_tol=1e-6)

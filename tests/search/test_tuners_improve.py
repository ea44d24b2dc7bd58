"""The model-based tuners beat random search on the shipped landscape: best of 32 trials, over seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, for_algorithm
from hyperprompt.search.base import Search
from hyperprompt.search.registry import create
from hyperprompt.testing.landscapes import ppo_landscape

PPO = for_algorithm("ppo").subset(TUNED_BY_DEFAULT["ppo"])


def best(name: str, seed: int, trials: int = 32) -> float:
    tuner = create(name, Search(PPO, seed, trials, "ppo", "CartPole-v1"))
    scores = []
    for _ in range(trials):
        theta = tuner.ask()
        scores.append(ppo_landscape(theta))
        tuner.tell(theta, scores[-1])
    return max(scores)


def standard_errors_apart(a: list[float], b: list[float]) -> float:
    """Welch's t of mean(a) - mean(b)."""
    return float(np.mean(a) - np.mean(b)) / math.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))


@pytest.fixture(scope="module")
def by_chance() -> list[float]:
    return [best("random", seed) for seed in range(100)]


def test_tpe_beats_random_search(by_chance: list[float]) -> None:
    assert standard_errors_apart([best("tpe", seed) for seed in range(20)], by_chance) > 4


def test_gp_beats_random_search_in_one_search(by_chance: list[float]) -> None:
    """The small version of the slow test below."""
    assert best("gp", seed=0) > np.mean(by_chance) + np.std(by_chance) / 2


@pytest.mark.very_slow
def test_gp_beats_random_search_and_tpe(by_chance: list[float]) -> None:
    process = [best("gp", seed) for seed in range(20)]
    assert standard_errors_apart(process, by_chance) > 6
    assert standard_errors_apart(process, [best("tpe", seed) for seed in range(20)]) > 2

from __future__ import annotations

import numpy as np
import pytest

from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, for_algorithm
from hyperprompt.testing.landscapes import FLOOR, ppo_landscape

PPO = for_algorithm("ppo").subset(TUNED_BY_DEFAULT["ppo"])
PEAK = {"learning_rate": 4e-3, "n_epochs": 6.0, "ent_coef": 0.01, "clip_range": 0.2}


def test_scores_lie_between_zero_and_one_and_the_documented_points_hold() -> None:
    rng = np.random.default_rng(0)
    drawn = [PPO.values({h.name: h.at(float(rng.random())) for h in PPO}) for _ in range(20_000)]
    scores = np.array([ppo_landscape(theta) for theta in drawn])
    assert scores.min() >= 0
    assert scores.max() <= ppo_landscape(PEAK) <= 1
    assert ppo_landscape(PEAK) > 0.999
    assert ppo_landscape(PPO.defaults) == pytest.approx(0.39, abs=0.005)
    assert np.median(scores) < 0.06
    assert np.mean(scores > 0.9) < 0.05, "good settings are rare"


def test_the_ridge_couples_learning_rate_and_epochs() -> None:
    along = ppo_landscape({**PEAK, "learning_rate": 2e-3, "n_epochs": 12.0})
    assert along > 0.9
    assert ppo_landscape({**PEAK, "learning_rate": 2e-3, "n_epochs": 3.0}) < 0.8 * along


def test_dead_region_cliff_and_weak_entropy() -> None:
    dead = [ppo_landscape({**PEAK, "learning_rate": lr}) for lr in (1e-5, 3e-5, 1e-4)]
    assert dead == [FLOOR] * 3
    before, beyond = (ppo_landscape({**PEAK, "n_epochs": 3.0, "learning_rate": lr}) for lr in (6.5e-3, 1.1e-2))
    assert before > 0.8
    assert beyond < FLOOR + 0.01
    entropy = [ppo_landscape({**PEAK, "ent_coef": e}) for e in (0.0, 1e-4, 1e-3, 0.01, 0.2)]
    assert entropy[0] == entropy[1]
    assert 0.85 < min(entropy) < max(entropy) == entropy[3]

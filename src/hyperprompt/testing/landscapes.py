"""Surrogates of tuning landscapes: theta -> score without any training, to test tuners with."""

from __future__ import annotations

import math

from hyperprompt.hyperparameters import Theta

FLOOR = 0.05
"""Score of a run that learned nothing."""


def ppo_landscape(theta: Theta) -> float:
    """A noiseless score in [0, 1] over PPO's default space, with the traits of measured ones.

    With w = log2(learning_rate n_epochs / (3e-4 * 10)), doublings of what one update changes:

        score = FLOOR + (1 - FLOOR) ridge(w) epochs(n_epochs) entropy(ent_coef) clip(clip_range)
                        survival(learning_rate clip_range)

    - a *ridge* at w = 3: learning rate and epochs stand in for each other, and neither can be tuned alone; exactly flat
      where w <= -2, where nothing is learned within the budget, and where w >= 5.5;
    - along the ridge a slow optimum at 6 epochs; at clip_range 0.2 another; at ent_coef 0.01 a weak one;
    - a *cliff* where learning_rate clip_range passes 8e-3 * 0.2: the policy collapses.

    The maximum is 1 within 0.1%, at learning_rate 4e-3 with 6 epochs; PPO's defaults score 0.39, a uniform draw half
    the time below 0.06.

    Args:
        theta: values of learning_rate, n_epochs, ent_coef and clip_range, all positive but ent_coef.
    """
    learning_rate, n_epochs = theta["learning_rate"], theta["n_epochs"]
    from_ridge = math.log2(learning_rate * n_epochs / 3e-3) - 3.0
    ridge = _bump(from_ridge, 5.0 if from_ridge < 0 else 2.5)
    epochs = _bump(math.log2(n_epochs / 6.0), 8.0)
    entropy = 1.0 - 0.03 * min(4.0, math.log10(max(theta["ent_coef"], 1e-4) / 0.01) ** 2)
    clip = _bump(theta["clip_range"] - 0.2, 0.5)
    doublings_over_the_cliff = math.log2(learning_rate * theta["clip_range"] / (8e-3 * 0.2))
    survival = 1.0 / (1.0 + math.exp(12.0 * doublings_over_the_cliff))
    return FLOOR + (1.0 - FLOOR) * ridge * epochs * entropy * clip * survival


def _bump(x: float, width: float) -> float:
    """1 at 0, falling smoothly to exactly 0 at +-width: (1 - (x / width)^2)^2."""
    return max(0.0, 1.0 - (x / width) ** 2) ** 2

"""Random search: the control every other tuner has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hyperprompt.hyperparameters import HyperparameterSpace, Theta
from hyperprompt.search.base import Trial


def propose(space: HyperparameterSpace, trials: Sequence[Trial], seed: int) -> Theta:
    """Each hyperparameter uniform on its own scale (Bergstra and Bengio 2012), whatever was tried before."""
    positions = np.random.default_rng(seed).random(len(space))
    return space.values({h.name: h.at(float(u)) for h, u in zip(space, positions, strict=True)})

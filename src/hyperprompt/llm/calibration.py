"""What turns a zero-shot model's scores into a policy: a prior that keeps, in place of the model's own habits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperprompt.core import KEEP, STEPS
from hyperprompt.errors import InvalidValue


def keep_log_prior(mass: float) -> NDArray[np.float32]:
    """log prior over STEPS (K,): `mass` on keep, the rest on the others in inverse proportion to the size of the step.

    Raises:
        InvalidValue: a mass outside (0, 1).
    """
    if not 0.0 < mass < 1.0:
        raise InvalidValue(f"keep_prior must lie between 0 and 1, not {mass}")
    weight = np.array([0.0 if k == KEEP else 1.0 / abs(step) for k, step in enumerate(STEPS)])
    prior = (1.0 - mass) * weight / weight.sum()
    prior[KEEP] = mass
    return np.asarray(np.log(prior), np.float32)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalised over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)), np.float32)

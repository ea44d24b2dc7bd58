"""What branches of one checkpoint say: main effects of every step of every hyperparameter, and how loud the seeds are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperprompt.core import STEPS
from hyperprompt.errors import InvalidValue

Floats = NDArray[np.float64]


def main_effects(steps: Floats, scores: Floats, ridge: float = 0.05) -> tuple[Floats, Floats]:
    """Main effects of every hyperparameter's steps on the score, and their standard errors; each (hyperparameters, 7).

    Fits score = a + sum_j (b_j d_j + c_j d_j^2) by ridge regression; the effect of a step is its part of the sum less that
    of keep. `steps`: (branches, hyperparameters) in units of the scale; `scores`: (branches,), in any unit.

    Branches of one joint step share what its hyperparameters do together, so the errors come from the joint steps' means: what
    main effects leave unexplained counts as noise. They leave out what the penalty takes from every effect.

    Raises:
        InvalidValue: arrays that do not fit together, or fewer than three branches.
    """
    if steps.ndim != 2 or scores.shape != steps.shape[:1] or len(scores) < 3:
        raise InvalidValue(f"steps {steps.shape} and scores {scores.shape}: need (branches, names), (branches,), 3 or more")
    n, names = steps.shape
    joint, which, count = np.unique(steps, axis=0, return_inverse=True, return_counts=True)
    mean = np.bincount(which.ravel(), scores) / count
    design = np.concatenate([np.ones((len(joint), 1)), joint, joint**2], axis=1)
    weighted = design.T * count
    inverse = np.linalg.inv(weighted @ design + n * ridge * np.diag([0.0] + [1.0] * (2 * names)))
    beta = inverse @ weighted @ mean
    residual = mean - design @ beta
    freedom = max(1.0, len(joint) - float(np.trace(inverse @ weighted @ design)))
    covariance = (count * residual**2).sum() / freedom * inverse @ weighted @ design @ inverse
    levels = np.asarray(STEPS)
    basis = np.stack([levels, levels**2], axis=1)
    effects, errors = np.empty((names, len(levels))), np.empty((names, len(levels)))
    for j in range(names):
        at = [1 + j, 1 + names + j]
        effects[j] = basis @ beta[at]
        errors[j] = np.sqrt(np.einsum("ka,ab,kb->k", basis, covariance[np.ix_(at, at)], basis))
    return effects, errors


def seed_noise(scores: Floats, seeds: NDArray[np.int64]) -> float:
    """Standard deviation of what neither the joint step nor the common seed explains in scores (branches,).

    With K joint steps under each of S seeds, in the same order: sqrt(sum (y_ks - y_k. - y_.s + y_..)^2 / ((K - 1) (S - 1))).
    Under a single seed nothing tells noise from effects, and all of the spread counts as noise.
    """
    y = np.array([scores[seeds == seed] for seed in dict.fromkeys(seeds.tolist())])
    if min(y.shape) < 2:
        return float(scores.std())
    rest = y - y.mean(0) - y.mean(1, keepdims=True) + y.mean()
    return float(np.sqrt(np.square(rest).sum() / ((y.shape[0] - 1) * (y.shape[1] - 1))))

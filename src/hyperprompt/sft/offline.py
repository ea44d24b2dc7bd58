"""What a policy would have been worth on branches it has not seen: the offline score on validation tasks.

A(pi) = mean over checkpoints of sum_j sum_k pi(k | s, j) e_jk,    e: main effects of that checkpoint, keep = 0
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.core import STEPS, Controller
from hyperprompt.sft.labels import around, taught

Floats = NDArray[np.float64]
RESAMPLES = 2000


def gains(policy: Sequence[Floats], checkpoints: Sequence[Checkpoint], mean_share: float = 0.5) -> Floats:
    """Expected advantage over keep of `policy`, one (names, 7) a checkpoint; shape (checkpoints,), in task units."""
    return np.array([float((p * c.effects(mean_share)[0]).sum()) for p, c in zip(policy, checkpoints, strict=True)])


def branched(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Those with branches enough to judge steps by."""
    return [c for c in checkpoints if len(c.seeds) > 2]


def taken(controller: Controller, checkpoints: Sequence[Checkpoint]) -> list[Floats]:
    """The steps that a controller takes at each checkpoint, as it is deployed: (names, 7), each step the distribution on the
    two of STEPS around it whose mean it is."""
    return [np.stack(list(taught(controller, c.state).values())) for c in checkpoints]


def blind(policy: Sequence[Floats], checkpoints: Sequence[Checkpoint]) -> list[Floats]:
    """What is left of `policy` if it does not read the state: every hyperparameter of an algorithm takes its mean step, as the
    distribution on the two of STEPS around it whose mean it is."""
    keys = [[(c.state.task.algorithm, name) for name in c.state.space.names] for c in checkpoints]
    steps: dict[tuple[str, str], list[float]] = defaultdict(list)
    for names, p in zip(keys, policy, strict=True):
        for key, step in zip(names, p @ np.asarray(STEPS), strict=True):
            steps[key].append(float(step))
    mean = {key: around({key[1]: float(np.mean(found))}, [key[1]])[key[1]] for key, found in steps.items()}
    return [np.stack([mean[key] for key in names]) for names in keys]


def compare(arms: Mapping[str, Floats], reference: str, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Mean gain of each arm, and of `reference` less each other arm, with 95 % intervals from a bootstrap over checkpoints.

    The checkpoints drawn are the same for all arms, so that differences are paired.
    """
    rng = np.random.default_rng(seed)
    count = len(arms[reference])
    draws = rng.integers(count, size=(RESAMPLES, count))

    def interval(values: Floats) -> dict[str, float]:
        low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
        return {"mean": float(values.mean()), "low": float(low), "high": float(high)}

    return {
        name: {"gain": interval(values), "less": interval(arms[reference] - values) if name != reference else None}
        for name, values in arms.items()
    }


def judge(
    policies: Mapping[str, Sequence[Floats]], checkpoints: Sequence[Checkpoint], reference: str, mean_share: float = 0.5
) -> dict[str, dict[str, Any]]:
    """`compare` of what each policy gains on these checkpoints, one (names, 7) a checkpoint; of `blind`, the reference without
    the state where no other is given; and of `keep`, which gains 0."""
    policies = {**policies, "blind": policies.get("blind") or blind(policies[reference], checkpoints)}
    arms = {name: gains(policy, checkpoints, mean_share) for name, policy in policies.items()}
    return compare({**arms, "keep": np.zeros(len(checkpoints))}, reference)


def calibration(policy: Sequence[Floats], labels: Sequence[Floats], bins: int = 10) -> list[dict[str, float]]:
    """Reliability: probabilities given to steps, in bins, against the labels' mean probability of those steps."""
    p, q = np.concatenate([x.ravel() for x in policy]), np.concatenate([x.ravel() for x in labels])
    which = np.minimum((p * bins).astype(int), bins - 1)
    return [
        {"predicted": float(p[which == b].mean()), "label": float(q[which == b].mean()), "count": int((which == b).sum())}
        for b in range(bins)
        if (which == b).any()
    ]


def explained(policy: Floats, labels: Floats, names: Sequence[str]) -> dict[str, float]:
    """How much of what the labels of a hyperparameter ask for the policy foretells: name -> R^2 of the mean steps.

    `policy` and `labels` are p over STEPS, (N, 7), of N slots; `names` says whose each is. Those that are asked for one and
    the same step everywhere are left out.
    """
    found = {}
    for name in dict.fromkeys(names):
        at = np.array(names) == name
        answered, asked = (p[at] @ np.asarray(STEPS) for p in (policy, labels))
        if (spread := float(((asked - asked.mean()) ** 2).sum())) > 1e-9:
            found[name] = 1.0 - float(((answered - asked) ** 2).sum()) / spread
    return found

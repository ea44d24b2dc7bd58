"""R_meta: what a decision was worth, in units of the task's fixed scale (random policy 0, static defaults at T 1).

Both rewards of a step of the meta-MDP are the growth of a quantity Phi of the run so far, so that their sum over a run is
Phi at its end and cannot be raised by any detour:

    R_meta_t = Phi(s_{t+1}) - Phi(s_t),   Phi = 0 before any training
    improvement:  Phi(s_t) = score(last mean return)         sums to the score at the end of the run
    level:        Phi(s_t) = 1/T int_0^{s_t} score(R(s)) ds  sums to the AUC of the run

In units of the run's own range so far this would not hold: a slow climb while the range is narrow, then a sudden fall that
widens it, earns more than it costs, again and again (`tests/meta/test_reward.py` farms it).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

from hyperprompt.core import Interval
from hyperprompt.envs.scale import TaskScale
from hyperprompt.errors import UnknownName
from hyperprompt.evaluation.metrics import auc

Reward = Literal["improvement", "level"]


def check(kind: str) -> None:
    """Raises UnknownName if there is no such reward."""
    if kind not in get_args(Reward):
        raise UnknownName("meta-reward", kind, get_args(Reward))


def returns(intervals: Sequence[Interval]) -> tuple[list[int], list[float]]:
    """The learning curve: steps at the end of each interval, and the mean return in it (NaN where no episode ended)."""
    return [i.step for i in intervals], [float(i.signals.values.get("return_mean", math.nan)) for i in intervals]


def potential(kind: Reward, intervals: Sequence[Interval], total_steps: int, scale: TaskScale) -> float:
    """Phi of a run whose intervals so far are these, in units of the scale. 0 while no episode has ended.

    Raises:
        UnknownName: no such reward.
    """
    check(kind)
    steps, means = returns(intervals)
    known = [mean for mean in means if math.isfinite(mean)]
    if not known:
        return 0.0
    if kind == "improvement":
        return scale.score(known[-1])
    until = min(steps[-1], total_steps)  # the last update may reach beyond the budget
    return until / total_steps * scale.score(auc(steps, means, until))

"""How far single hyperparameters may go, by what the last intervals of a run reported."""

from __future__ import annotations

import math

from hyperprompt.core import MetaState
from hyperprompt.hyperparameters import for_algorithm

RADIUS = 0.025
"""d of `trusted_rate`."""


def trusted_rate(state: MetaState) -> float | None:
    """alpha (d / KL)^(1/2), at most an octave from alpha, by the KL of the last interval; None where there is none."""
    if not (kl := reported(state, "approx_kl")):
        return None
    octaves = 0.5 * math.log2(RADIUS / max(kl[-1], 1e-6))
    return float(state.theta["learning_rate"] * 2.0 ** min(max(octaves, -1.0), 1.0))


ENDLESS, SHORTEST = 0.98, 0.9
"""Discounts of tasks that only a time limit ends. Where the critic follows, the first: what an action does there shows within
some fifty steps, and returns over more only add variance (results/validation). RL Baselines3 Zoo has it for PPO on
HalfCheetah. Where the critic does not follow, down to the second."""
EXPLAINED = 0.2
"""Share of the returns' variance: a critic that explains less leaves advantages little but noise. `horizon` has the same."""


def longest_discount(state: MetaState) -> float | None:
    """The discount whose horizon 1 / (1 - gamma) is the mean length of the last episodes, or the run's first one if that is
    longer; None where no episode has ended.

    Of PPO, where all episodes of the run were equally long and their returns differ, a time limit ends them and rewards come
    on the way: there it is ENDLESS, or the run's own if that is lower, and after an interval whose critic explained less than
    EXPLAINED half of that horizon, down to SHORTEST's; it does not rise again. A run that begins above the default, as whoever
    cares for the far future begins it, keeps that.
    """
    if not (lengths := reported(state, "episode_length")):
        return None
    first = float(state.space["gamma"].default)
    differ = len(set(reported(state, "return_mean"))) > 1 or reported(state, "return_std")[-1] > 0.0
    timed = len(lengths) > 1 and min(lengths) == max(lengths) and differ
    if state.task.algorithm == "ppo" and timed and first <= for_algorithm("ppo")["gamma"].default:
        longest = min(first, ENDLESS, state.theta["gamma"])
        fit = reported(state, "explained_variance")
        return min(longest, max(SHORTEST, 1.0 - 2.0 * (1.0 - longest))) if fit and fit[-1] < EXPLAINED else longest
    return max(first, 1.0 - 1.0 / max(lengths[-1], 1.0))


BONUS, COLLAPSED = 0.01, 0.3
"""An entropy bonus that keeps a policy of discrete actions exploring, and the share of the most entropy that calls for it."""


def least_bonus(state: MetaState) -> float | None:
    """BONUS, or the run's first one if that is above 0 and lower, while a policy of discrete actions has less than COLLAPSED
    of the entropy it could have; None elsewhere.

    A policy that settled on one action too early does not find another by itself (Mnih et al. 2016, arXiv:1602.01783).
    Whoever begins with a lower bonus chose it for the size of the task's advantages, which need not be scaled: on
    nethack/staircase ten times as much drowned them (results/validation).
    """
    if state.task.action != "discrete" or not (share := reported(state, "entropy_fraction")):
        return None
    first = float(state.space["ent_coef"].default)
    return (min(BONUS, first) if first > 0.0 else BONUS) if share[-1] < COLLAPSED else None


def reported(state: MetaState, name: str) -> list[float]:
    """What the intervals so far said about one signal, those that said nothing left out."""
    values = (interval.signals.values.get(name, math.nan) for interval in state.intervals)
    return [value for value in values if math.isfinite(value)]

"""The probe's answer is what it says, a learner finds it, and what does not learn does not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from numpy.typing import NDArray

from hyperprompt.controllers.fixed import Random, Static
from hyperprompt.core import KEEP, STEPS, MetaAction
from hyperprompt.errors import InvalidValue
from hyperprompt.meta.env import MetaEnv
from hyperprompt.testing.probe import BEST, INTERVALS, OPTIMUM, RATE, ProbeRun, probe_env

RATE_ALONE = {"learning_rate": BEST["learning_rate"]}
Policy = Callable[[int], NDArray[np.int64]]


def episode(env: MetaEnv, policy: Policy, seed: int = 0) -> NDArray[np.float64]:
    """The rewards (T,) of one episode; the policy sees the number of the decision."""
    env.reset(seed=seed)
    return np.array([env.step(policy(t))[1] for t in range(INTERVALS)])


def indices(t: int, names: tuple[str, ...]) -> NDArray[np.int64]:
    return np.array([STEPS.index(BEST[name][t]) for name in names])


def test_the_best_sequence_ends_at_the_optimum() -> None:
    env = probe_env()
    rewards = episode(env, lambda t: indices(t, env.names))
    assert rewards.sum() == pytest.approx(OPTIMUM)
    assert rewards == pytest.approx([RATE * (1 - RATE) ** t for t in range(INTERVALS)])


def test_any_other_step_ends_lower() -> None:
    env = probe_env()
    for t, k in product(range(INTERVALS), range(len(env.names))):

        def off(now: int, t: int = t, k: int = k) -> NDArray[np.int64]:
            action = indices(now, env.names)
            if now == t:
                action[k] = action[k] - 1 if action[k] else 1
            return action

        assert episode(env, off).sum() < OPTIMUM - 0.001


@pytest.mark.parametrize("controller", [Static(), Random(0), Random(1), Random(2)])
def test_controllers_that_do_not_learn_stay_far_below(controller: Any) -> None:
    run = ProbeRun()
    while not run.finished:
        run.apply(controller.decide([run.state()])[0], controller.name)
        run.advance()
    assert run.performance < 0.6 * OPTIMUM


def test_a_greedy_learner_that_branches_finds_every_best_step() -> None:
    """From every state, each action is tried in a fork: what labels for imitation are made of."""
    run, taken = ProbeRun(), []
    while not run.finished:
        options = [dict(zip(BEST, steps, strict=True)) for steps in product(STEPS, repeat=len(BEST))]
        taken.append(max(options, key=lambda delta: after(run.fork(1), delta)))
        run.apply(MetaAction(taken[-1]))
        run.advance()
    assert taken == [{name: BEST[name][t] for name in BEST} for t in range(INTERVALS)]
    assert run.performance == pytest.approx(OPTIMUM)


def after(run: ProbeRun, delta: dict[str, float]) -> float:
    run.apply(MetaAction(delta))
    run.advance()
    return run.performance


def test_reinforce_reaches_the_optimum_from_noisy_returns() -> None:
    """pi(k | t): a table of logits, its gradient the softmax's, its baseline the mean reward of each decision.

    Every decision is credited with its own reward alone (gamma_meta = 0): in the probe, nothing is ever worth waiting for.
    """
    rng = np.random.default_rng(0)
    env = probe_env(noise=0.01, best=RATE_ALONE)
    logits, baseline = np.zeros((INTERVALS, len(STEPS))), np.zeros(INTERVALS)
    for seed in range(1_500):
        probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        actions = np.array([rng.choice(len(STEPS), p=row) for row in probabilities])
        rewards = episode(env, lambda t, a=actions: a[t : t + 1], seed)  # type: ignore[misc]
        gradient = np.eye(len(STEPS))[actions] - probabilities
        logits += (rewards - baseline)[:, None] * gradient
        baseline += 0.05 * (rewards - baseline)
    learnt = logits.argmax(-1)
    assert episode(probe_env(best=RATE_ALONE), lambda t: learnt[t : t + 1]).sum() > 0.98 * OPTIMUM


def test_a_run_goes_back_and_branches() -> None:
    run = ProbeRun(seed=3, noise=0.1)
    run.apply(MetaAction({"learning_rate": 1.0}))
    run.advance()
    snapshot = run.snapshot()
    futures = []
    for fork in (run.fork(1), run.fork(1), run.fork(2)):
        fork.advance()
        futures.append(fork.meta.intervals[-1].signals.values["return_mean"])
    assert futures[0] == futures[1] != futures[2]
    assert data_equivalence(run.snapshot(), snapshot)
    run.restore(snapshot, 1)
    run.advance()
    assert run.meta.intervals[-1].signals.values["return_mean"] == futures[0]
    for _ in range(INTERVALS - 2):
        run.advance()
    with pytest.raises(InvalidValue, match="spent"):
        run.advance()


def test_keeping_is_not_best() -> None:
    env = probe_env()
    assert episode(env, lambda t: np.full(len(env.names), KEEP)).sum() < 0.6 * OPTIMUM

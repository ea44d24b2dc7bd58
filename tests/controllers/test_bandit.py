from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from hyperprompt.controllers import registry
from hyperprompt.controllers.bandit import Bandit, clusters
from hyperprompt.controllers.guard import constrain
from hyperprompt.core import Interval, MetaState, Signals, Task
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.hyperparameters import AVAILABLE, HyperparameterSpace, Theta, for_algorithm

# Bounds that hold twice the default number of epochs: three arms each.
PPO = for_algorithm("ppo").subset(["learning_rate", "vf_coef", "batch_size", "n_epochs"]).bounded({"n_epochs": (1, 20)})
Return = Callable[[int, Theta], float]


def begin(space: HyperparameterSpace, algorithm: str = "ppo") -> MetaState:
    return MetaState(
        "run", Task("T", algorithm, "discrete", "vector", 4, 2, 16, 10**6), space, 0, space.values(space.defaults)
    )


def train(bandit: Bandit, start: MetaState, intervals: int, returns: Return) -> MetaState:
    """A run of so many further intervals whose mean returns follow from (index, theta); a NaN stands for no episode."""
    state = start
    for index in range(state.index, state.index + intervals):
        (action,) = bandit.decide([state])
        verdict = constrain(state.space, state.theta, action)
        assert verdict.status in ("kept", "applied"), verdict.reason
        value = returns(index, state.space.values(verdict.theta))
        signals = Signals({} if math.isnan(value) else {"return_mean": value}, 0 if math.isnan(value) else 10)
        done = Interval(index, 1000 * (index + 1), verdict.theta, action.delta, signals)
        state = replace(state, step=done.step, theta=verdict.theta, intervals=(*state.intervals, done))
    return state


def through_json(state: MetaState) -> MetaState:
    return MetaState.from_dict(json.loads(json.dumps(state.to_dict())))


def switching(seed: int, length: int) -> tuple[Return, Callable[[MetaState], float]]:
    """A problem in which one arm of one cluster is best by 3 standard deviations, and another of it after half the run;
    and the share of the run's intervals that hold the best arm."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(PPO.names))
    arms = clusters(PPO, 0)[name]
    best = [arms[i] for i in rng.permutation(len(arms))[:2]]
    noise = rng.normal(size=length)

    def returns(index: int, theta: Theta) -> float:
        return 100.0 + 30.0 * math.isclose(theta[name], best[2 * index >= length], rel_tol=1e-6) + 10.0 * float(noise[index])

    def share(state: MetaState) -> float:
        held = [PPO.values(i.theta)[name] for i in state.intervals]
        return float(np.mean([math.isclose(v, best[2 * i >= length], rel_tol=1e-6) for i, v in enumerate(held)]))

    return returns, share


def shares(bandit: Callable[[int], Bandit], length: int = 80, seeds: int = 10) -> np.ndarray:
    found = []
    for seed in range(seeds):
        returns, share = switching(seed, length)
        found.append(share(train(bandit(seed), begin(PPO), length, returns)))
    return np.array(found)


def test_it_holds_the_best_arm_though_the_best_arm_changes() -> None:
    bound, greedy = shares(lambda s: Bandit(s)), shares(lambda s: Bandit(s, exploration=0.0))
    assert bound.mean() > 0.6, "by chance it is a third"
    assert bound.min() > 1 / 3
    assert bound.mean() > greedy.mean() + 0.1


def test_the_gain_follows_an_arm_that_acts_on_the_speed_of_learning() -> None:
    def share(seed: int, reward: Any) -> float:
        level = 0.0
        noise = np.random.default_rng(seed).normal(size=80)

        def returns(index: int, theta: Theta) -> float:
            nonlocal level
            level += 1.0 if theta["n_epochs"] == 20 else 0.2
            return level + 0.3 * float(noise[index])

        state = train(Bandit(seed, reward=reward), begin(PPO), 80, returns)
        return float(np.mean([round(i.theta["n_epochs"]) == 20 for i in state.intervals]))

    gain, level = ([share(seed, reward) for seed in range(6)] for reward in ("gain", "return"))
    assert np.mean(gain) > 0.5
    assert np.mean(gain) > np.mean(level) + 0.1


def test_rebuilt_from_the_states_it_decides_as_undisturbed() -> None:
    returns, _ = switching(3, 40)
    whole = train(Bandit(5), begin(PPO), 40, returns)
    half = train(Bandit(5), begin(PPO), 17, returns)
    resumed = train(Bandit(5), through_json(half), 23, returns)
    assert resumed == whole
    assert train(Bandit(6), begin(PPO), 40, returns) != whole


def test_runs_decided_together_do_not_mix() -> None:
    a, b = (train(Bandit(1), begin(PPO), n, switching(n, 30)[0]) for n in (14, 25))
    together = Bandit(1)
    assert together.decide([a, b, a]) == [Bandit(1).decide([s])[0] for s in (a, b, a)]


@pytest.mark.parametrize("reward", ["return", "gain"])
def test_without_a_return_theta_is_kept_and_then_it_begins(reward: Any) -> None:
    returns, _ = switching(1, 60)
    late = train(Bandit(2, reward=reward), begin(PPO), 60, lambda i, theta: math.nan if i < 5 else returns(i, theta))
    assert all(PPO.values(i.theta) == PPO.defaults for i in late.intervals[:6])
    tried = {name: {round(PPO[name].position(i.theta[name]), 6) for i in late.intervals} for name in PPO.names}
    assert all(len(values) == 3 for values in tried.values()), "every arm of every cluster had its turn"


def test_an_arm_under_which_no_episode_ends_does_not_hold_the_run() -> None:
    def returns(index: int, theta: Theta) -> float:
        return math.nan if theta["n_epochs"] == 20 else 10.0 + (theta["n_epochs"] == 5)

    state = train(Bandit(0), begin(PPO), 60, returns)
    held = [round(i.theta["n_epochs"]) for i in state.intervals]
    assert max(len(list(group)) for value, group in groupby(held) if value == 20) < 15
    assert 5 in held[40:]


@pytest.mark.parametrize("algorithm", AVAILABLE)
def test_it_works_for_any_algorithm_and_subset(algorithm: str) -> None:
    space = for_algorithm(algorithm, action_dimensions=6)
    for names in (*([name] for name in space.names), space.names):
        state = train(Bandit(0), begin(space.subset(names), algorithm), 12, lambda i, theta: float(i))
        for interval in state.intervals:
            state.space.values(interval.theta)


def test_the_arms_are_half_once_and_twice_the_default() -> None:
    def of(algorithm: str, **bounds: tuple[float, float]) -> Mapping[str, Any]:
        space = for_algorithm(algorithm).bounded(bounds)
        return {name: pytest.approx(sorted(arms)) for name, arms in clusters(space, 3).items()}

    ppo, sac = of("ppo", vf_coef=(0.4, 1.0), n_epochs=(1, 20)), of("sac")
    assert ppo["learning_rate"] == [1.5e-4, 3e-4, 6e-4]
    assert ppo["n_epochs"] == [5, 10, 20]
    assert ppo["vf_coef"] == [0.4, 0.5, 1.0]
    assert ppo["gamma"] == [0.98, 0.99, 0.995]
    assert "ent_coef" not in ppo, "no factor changes PPO's default of 0"
    assert sac["gradient_steps"] == [1, 2]
    assert sac["target_entropy"] == [-2, -1, -0.5]
    assert clusters(PPO, 1) == clusters(PPO, 1)
    assert list(clusters(PPO, 1)) != list(clusters(PPO, 2))


def test_without_a_second_value_it_keeps() -> None:
    state = train(Bandit(0), begin(for_algorithm("ppo").subset(["ent_coef"])), 3, lambda i, theta: float(i))
    assert not any(i.delta for i in state.intervals)


def test_a_bad_arm_that_was_tried_does_not_stay_in_force() -> None:
    def off(theta: Theta) -> int:
        return sum(not math.isclose(theta[name], PPO[name].default, rel_tol=1e-6) for name in PPO.names)

    state = train(Bandit(4), begin(PPO), 30, lambda i, theta: -float(off(theta)))
    assert {off(i.theta) for i in state.intervals} == {0, 1}


def test_its_options_come_through_the_registry() -> None:
    built = registry.create("bandit", seed=3, options={"memory": 7, "exploration": 0, "reward": "gain"})
    assert isinstance(built, Bandit)
    assert (built.seed, built.memory, built.exploration, built.reward) == (3, 7, 0, "gain")
    with pytest.raises(UnknownName, match=r"Did you mean 'memory'.*exploration, memory, reward"):
        registry.create("bandit", options={"memry": 7})
    with pytest.raises(UnknownName, match="gain, return"):
        registry.create("bandit", options={"reward": "regret"})
    for options in ({"memory": 1}, {"memory": 2.5}, {"exploration": -1}, {"exploration": "much"}, {"exploration": math.nan}):
        with pytest.raises(InvalidValue, match=next(iter(options))):
            registry.create("bandit", options=options)
    with pytest.raises(InvalidValue, match="bandit, bounded, hyperprompt, llm only, not for 'static'"):
        registry.create("static", options={"memory": 7})

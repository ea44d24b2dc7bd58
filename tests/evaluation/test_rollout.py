"""Evaluation episodes: one an environment, raw rewards, nothing disturbed."""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

from hyperprompt.envs.make import make
from hyperprompt.evaluation.rollout import episode_returns, random_returns


def test_returns_are_those_of_each_first_episode() -> None:
    model = PPO("MlpPolicy", make("CartPole-v1", 2, 0), seed=0)
    env = make("CartPole-v1", 6, 0)
    returns = episode_returns(model, env, seed=5)
    assert returns.shape == (6,)
    np.testing.assert_array_equal(returns, episode_returns(model, env, seed=5))
    assert not np.array_equal(returns, episode_returns(model, env, seed=6))
    # By hand, with the same seeds: +1 a step until the first end.
    with torch.random.fork_rng():
        torch.manual_seed(5)
        env.seed(5)
        observations, ends = env.reset(), np.zeros(6)
        for step in range(1, 501):
            observations, _, dones, _ = env.step(model.predict(observations)[0])
            ends[(ends == 0) & dones] = step
    np.testing.assert_array_equal(returns, ends)


def test_the_callers_random_stream_goes_on_undisturbed() -> None:
    model = PPO("MlpPolicy", make("CartPole-v1", 2, 0), seed=0)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    episode_returns(model, make("CartPole-v1", 2, 0), seed=5)
    assert torch.equal(torch.rand(3), expected)


def test_a_normaliser_is_used_and_not_changed() -> None:
    model = PPO("MlpPolicy", VecNormalize(make("CartPole-v1", 4, 0)), n_steps=64, seed=0)
    model.learn(1024)
    normaliser = model.get_vec_normalize_env()
    assert normaliser is not None
    before = (normaliser.obs_rms.mean.copy(), normaliser.obs_rms.count)
    returns = episode_returns(model, make("CartPole-v1", 8, 0), seed=1, deterministic=True)
    assert np.all(returns == np.round(returns)), "raw rewards of 1 a step"
    np.testing.assert_array_equal(before[0], normaliser.obs_rms.mean)
    assert before[1] == normaliser.obs_rms.count


def test_an_episode_without_end_counts_what_it_earned() -> None:
    assert np.all(random_returns(make("Pendulum-v1", 3, 0), 0, max_steps=10) > -170)
    np.testing.assert_array_equal(random_returns(make("MountainCar-v0", 3, 0), 0), [-200.0] * 3)

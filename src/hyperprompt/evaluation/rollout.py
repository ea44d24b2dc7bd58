"""Evaluation episodes of a policy: one per environment, so that short episodes do not outweigh long ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv


def episode_returns(
    model: BaseAlgorithm, env: VecEnv, seed: int = 0, deterministic: bool = False, max_steps: int = 100_000
) -> NDArray[np.float64]:
    """Undiscounted return of the first episode of each environment under the model's policy: (num_envs,), raw rewards.

    `env` holds unnormalised environments; observations pass through the model's `VecNormalize`, if it has one, without
    changing its statistics. An episode still going on after `max_steps` counts with what it has earned. The caller's random
    streams are left as they were.
    """
    normaliser = model.get_vec_normalize_env()
    with _drawing_from(model, seed):
        env.seed(seed)
        observations: Any = env.reset()
        returns = np.zeros(env.num_envs)
        running = np.ones(env.num_envs, dtype=bool)
        for _ in range(max_steps):
            if normaliser is not None:
                observations = normaliser.normalize_obs(observations)
            actions, _ = model.predict(observations, deterministic=deterministic)
            observations, rewards, dones, _ = env.step(actions)
            returns += np.where(running, rewards, 0.0)
            running &= ~dones
            if not running.any():
                break
    return returns


@contextmanager
def _drawing_from(model: BaseAlgorithm, seed: int) -> Iterator[None]:
    """Actions are drawn from `seed`; afterwards the generators are where they were. SBX's policies hold their own."""
    policy: Any = model.policy
    keys = {name: getattr(policy, name) for name in ("key", "noise_key") if hasattr(policy, name)}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if keys:
            import jax

            policy.key, policy.noise_key = jax.random.split(jax.random.PRNGKey(seed))
        try:
            yield
        finally:
            for name, key in keys.items():
                setattr(policy, name, key)


def random_returns(env: VecEnv, seed: int = 0, max_steps: int = 100_000) -> NDArray[np.float64]:
    """The same for uniformly random actions: (num_envs,)."""
    env.seed(seed)
    env.action_space.seed(seed)
    env.reset()
    returns = np.zeros(env.num_envs)
    running = np.ones(env.num_envs, dtype=bool)
    for _ in range(max_steps):
        actions = np.stack([env.action_space.sample() for _ in range(env.num_envs)])
        _, rewards, dones, _ = env.step(actions)
        returns += np.where(running, rewards, 0.0)
        running &= ~dones
        if not running.any():
            break
    return returns

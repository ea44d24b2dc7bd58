"""Tiny models, and the arms of an experiment: same saved state, same seeds, one thing different."""

from __future__ import annotations

from typing import Any

import numpy as np
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from hyperprompt.agents import wrap
from hyperprompt.agents.base import ModelAgent

OFF_POLICY: dict[str, Any] = {"learning_starts": 8, "buffer_size": 400, "batch_size": 16, "learning_rate": 3e-3}
BASE: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 16, "batch_size": 16, "n_epochs": 4, "learning_rate": 1e-2},
    "a2c": {"n_steps": 8, "gae_lambda": 0.9},
    "sac": OFF_POLICY,
    "td3": OFF_POLICY,
    "dqn": OFF_POLICY | {"target_update_interval": 12, "train_freq": 2, "exploration_fraction": 0.5},
}
ENVS = {"ppo": "CartPole-v1", "a2c": "CartPole-v1", "sac": "Pendulum-v1", "td3": "Pendulum-v1", "dqn": "CartPole-v1"}
BEFORE, AFTER = 48, 96
"""Environment steps to the saved state, and from it: three updates of PPO, six of A2C, dozens of the others."""


def build(algorithm: str, library: str = "sb3", *, env: str | None = None, normalise: bool = False, **changes: Any) -> Any:
    """A model of a few dozen weights on two environments."""
    if library == "sbx":
        import sbx as module
    else:
        module = sb3
    venv = make_vec_env(env or ENVS[algorithm], n_envs=2, seed=0)
    if normalise:
        venv = VecNormalize(venv)
    settings = {"policy_kwargs": {"net_arch": [8]}, "seed": 0, "device": "cpu"} | BASE[algorithm] | changes
    return getattr(module, algorithm.upper())("MlpPolicy", venv, **settings)


def constructed_with(name: str, value: float) -> dict[str, Any]:
    """The constructor's arguments for a hyperparameter that holds from the first step on."""
    if name == "exploration_rate":
        return {"exploration_initial_eps": value, "exploration_final_eps": value}
    integers = ("n_epochs", "batch_size", "gradient_steps", "policy_delay", "target_update_interval")
    return {name: int(value) if name in integers else value}


def train(agent: ModelAgent, steps: int = AFTER, callback: Any = None) -> dict[str, Any]:
    """Train on from where the agent stands, on fresh environments and generators; returns its weights."""
    agent.seed(5)
    agent.model._last_obs = None
    agent.model.learn(steps, reset_num_timesteps=False, callback=callback, log_interval=1)
    return dict(agent.snapshot()["weights"])


def start(algorithm: str, library: str = "sb3", **changes: Any) -> tuple[ModelAgent, dict[str, Any]]:
    """An agent that has trained for a while, and its snapshot then."""
    agent = wrap(build(algorithm, library, **changes))
    train(agent, BEFORE)
    return agent, agent.snapshot()


def equal(a: Any, b: Any) -> bool:
    """Whether two trees of tensors and numbers are the same, bit for bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else bool(a == b)


def parameters(weights: dict[str, Any]) -> Any:
    """The networks alone: without optimisers, whose state names the learning rate."""
    if "states" in weights:
        return {name: state["params"] for name, state in weights["states"].items()}
    return {name: part for name, part in weights["modules"].items() if "optimizer" not in name}


def close(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    return bool(np.allclose(a, b, rtol=1e-5, atol=1e-7))

"""From what a library logs to the signals of the meta-state, in units that mean the same in every library and task (but for
SBX's KL, see `_LOGGED`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

EVERY = ("return_mean", "return_std", "episode_length", "gradient_norm")
_ON_POLICY = (*EVERY, "entropy_fraction", "value_loss", "policy_loss", "explained_variance")
NAMES: dict[str, tuple[str, ...]] = {
    "ppo": (*_ON_POLICY, "approx_kl", "clip_fraction"),
    "a2c": _ON_POLICY,
    "sac": (*EVERY, "td_error", "q_value", "actor_loss", "alpha"),
    "td3": (*EVERY, "td_error", "q_value", "actor_loss"),
    "dqn": (*EVERY, "td_error", "q_value", "exploration_rate"),
}
"""The signals an algorithm can report; one that could not be measured is absent from `Signals.values`."""

Q_BATCH = 256
"""Stored transitions over which `q_value` is a mean."""


def _as_is(model: Any, library: str, logged: float) -> float:
    return logged


def entropy_fraction(entropy: float, space: spaces.Space[Any]) -> float | None:
    """Entropy of the policy, in nats, as a share in [0, 1] of the uniform policy's.

    Discrete: H / sum_d ln n_d. Continuous: exp(H / D) over the geometric mean of (high - low), which is what one dimension
    of the policy covers of its range; a Gaussian wider than the range reads as 1. None where there is nothing to choose.
    """
    if isinstance(space, spaces.Box):
        width = np.log(space.high.astype(np.float64) - space.low.astype(np.float64)).mean()
        return min(1.0, math.exp(min(0.0, entropy / math.prod(space.shape) - float(width)))) if space.shape else None
    if isinstance(space, spaces.Discrete):
        most = math.log(space.n)
    elif isinstance(space, spaces.MultiDiscrete):
        most = float(np.log(space.nvec).sum())
    elif isinstance(space, spaces.MultiBinary):
        most = math.log(2.0) * float(np.prod(space.shape))
    else:
        return None
    return min(1.0, max(0.0, entropy / most)) if most > 0 else None


def _entropy(model: Any, library: str, logged: float) -> float | None:
    return entropy_fraction(-logged, model.action_space)


def _value_loss(model: Any, library: str, logged: float) -> float:
    # SBX logs it times vf_coef.
    return logged / model.vf_coef if library == "sbx" and model.vf_coef else logged


def _td_sac(model: Any, library: str, logged: float) -> float:
    """Root mean squared TD error of one critic: the loss is half the sum over the critics of their mean squares."""
    critics = model.policy.n_critics if library == "sbx" else model.critic.n_critics
    return math.sqrt(2.0 * logged / critics)


def _td_td3(model: Any, library: str, logged: float) -> float:
    """As `_td_sac`; this loss has no half."""
    return math.sqrt(logged / model.critic.n_critics)


def _td_dqn(model: Any, library: str, logged: float) -> float:
    """The error whose Huber loss (threshold 1) is the logged mean; at most the root mean squared error."""
    return math.sqrt(2.0 * logged) if logged < 0.5 else logged + 0.5


Reader = Callable[[Any, str, float], float | None]
_LOGGED: dict[str, dict[str, tuple[str, Reader]]] = {
    "ppo": {
        # Of the last epoch; SBX logs its mean over all epochs, which is lower, and nothing that the other could be told from.
        "approx_kl": ("train/approx_kl", _as_is),
        "clip_fraction": ("train/clip_fraction", _as_is),
        "entropy_fraction": ("train/entropy_loss", _entropy),
        "value_loss": ("train/value_loss", _value_loss),
        "policy_loss": ("train/policy_gradient_loss", _as_is),
        "explained_variance": ("train/explained_variance", _as_is),
    },
    "a2c": {
        "entropy_fraction": ("train/entropy_loss", _entropy),
        "value_loss": ("train/value_loss", _as_is),
        "policy_loss": ("train/policy_loss", _as_is),
        "explained_variance": ("train/explained_variance", _as_is),
    },
    "sac": {
        "td_error": ("train/critic_loss", _td_sac),
        "actor_loss": ("train/actor_loss", _as_is),
        "alpha": ("train/ent_coef", _as_is),
    },
    "td3": {"td_error": ("train/critic_loss", _td_td3), "actor_loss": ("train/actor_loss", _as_is)},
    "dqn": {"td_error": ("train/loss", _td_dqn)},
}


def logged(model: Any, algorithm: str, library: str, values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The signals of one update, from the logger's `name_to_value`. What is missing or not finite is left out."""
    for name, (key, reader) in _LOGGED[algorithm].items():
        value = values.get(key)
        if value is None or not math.isfinite(value):
            continue
        signal = reader(model, library, float(value))
        if signal is not None:
            yield name, signal


def gradient_norm(model: Any, algorithm: str) -> float | None:
    """Root of the summed squares of `.grad` as the last minibatch left them: AFTER clipping, where the algorithm clips.

    PPO and A2C: the whole policy; DQN: the Q network; SAC and TD3: the actor, because its own loss adds to the gradients
    of the critic. None before the first update.
    """
    module = {"sac": "actor", "td3": "actor", "dqn": "q_net"}.get(algorithm, "policy")
    norms = [torch.linalg.vector_norm(p.grad) for p in getattr(model, module).parameters() if p.grad is not None]
    return float(torch.linalg.vector_norm(torch.stack(norms))) if norms else None


def q_value(model: Any, algorithm: str, library: str) -> float | None:
    """Mean Q(o, a), over all critics, of the latest `Q_BATCH` stored transitions; fewer are repeated to that number.

    Draws no random number and leaves the networks as they are. None with an empty replay buffer.
    """
    buffer = model.replay_buffer
    rows = min(buffer.size(), -(-Q_BATCH // buffer.n_envs))
    if rows == 0:
        return None
    taken = (buffer.pos - 1 - np.arange(rows)) % buffer.buffer_size
    # The number stays the same, so that JAX compiles this once.
    pick = np.arange(Q_BATCH) % (rows * buffer.n_envs)

    def latest(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        flat: np.ndarray[Any, Any] = array[taken].reshape(rows * buffer.n_envs, *array.shape[2:])
        return np.asarray(flat[pick])

    stored = buffer.observations
    observations = {k: latest(v) for k, v in stored.items()} if isinstance(stored, dict) else latest(stored)
    observations = buffer._normalize_obs(observations, model.get_vec_normalize_env())
    actions = latest(buffer.actions)
    return _q_jax(model, observations, actions) if library == "sbx" else _q_torch(model, algorithm, observations, actions)


def _q_torch(model: Any, algorithm: str, observations: Any, actions: np.ndarray[Any, Any]) -> float:
    tensor = model.replay_buffer.to_torch
    obs = {k: tensor(v) for k, v in observations.items()} if isinstance(observations, dict) else tensor(observations)
    act = tensor(actions)
    training = model.policy.training
    model.policy.set_training_mode(False)  # in training mode batch norm would learn from this pass
    with torch.no_grad():
        if algorithm == "dqn":
            q = torch.gather(model.q_net(obs), dim=1, index=act.long())
        else:
            q = torch.stack(model.critic(obs, act))
    model.policy.set_training_mode(training)
    return float(q.mean())


def _q_jax(model: Any, observations: Any, actions: np.ndarray[Any, Any]) -> float:
    import jax

    if isinstance(observations, dict):
        observations = np.concatenate([observations[key] for key in model.observation_space], axis=1)
    # A fixed key: only dropout would draw from it.
    rngs = {"dropout": jax.random.PRNGKey(0)}
    return float(model.qf.apply(model.policy.qf_state.params, observations, actions, rngs=rngs).mean())

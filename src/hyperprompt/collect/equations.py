"""The equations of PPO (Schulman et al. 2017, arXiv:1707.06347) on one run, as Stable-Baselines3 computes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from hyperprompt.collect.tasks import EnvState, Variant

HYPERPARAMETERS = (
    "learning_rate", "n_epochs", "ent_coef", "clip_range", "gamma", "gae_lambda", "vf_coef", "max_grad_norm",
)  # fmt: skip
DEFAULTS: Mapping[str, float] = dict(
    zip(HYPERPARAMETERS, (3e-4, 10, 0.0, 0.2, 0.99, 0.95, 0.5, 0.5), strict=True)  # Stable-Baselines3's
)
Params = dict[str, Array]


class State(NamedTuple):
    """Everything a run needs to go on; arrays lead with (runs,) outside of the compiled functions."""

    key: Array
    params: Params
    first: Params
    """Adam's first moments."""
    second: Params
    count: Array
    env: EnvState
    observation: Array
    running: Array
    """Return and length of the episode under way, shape (envs, 2)."""
    variant: Variant


class Batch(NamedTuple):
    """Rollout data, leading axes (steps, envs) or flattened; names as in the equations."""

    observation: Array
    action: Array
    log_probability: Array
    advantage: Array
    target: Array


def orthogonal(key: Array, shape: tuple[int, int], gain: float) -> Array:
    """Orthogonal weights times `gain` (Saxe et al. 2014, arXiv:1312.6120)."""
    return gain * jax.nn.initializers.orthogonal()(key, shape, jnp.float32)


def forward(params: Params, x: Array, gain: Array) -> tuple[Array, Array]:
    """(batch, observation) -> logits (batch, actions), values (batch,). Policy and value network share nothing."""
    out = []
    for net in ("pi", "vf"):
        h = jnp.tanh(x @ params[f"{net}_w1"] + params[f"{net}_b1"])
        h = jnp.tanh(h @ params[f"{net}_w2"] + params[f"{net}_b2"])
        out.append(h @ params[f"{net}_w3"] + params[f"{net}_b3"])
    return gain * out[0], out[1][..., 0]


def loss(params: Params, batch: Batch, theta: Mapping[str, Array], gain: Array) -> tuple[Array, dict[str, Array]]:
    """L = L_clip + vf_coef mean (R - V)^2 - ent_coef H, as Stable-Baselines3 computes it."""
    logits, values = forward(params, batch.observation, gain)
    log_all = jax.nn.log_softmax(logits)
    log_new = jnp.take_along_axis(log_all, batch.action[:, None], 1)[:, 0]
    advantage = (batch.advantage - batch.advantage.mean()) / (batch.advantage.std(ddof=1) + 1e-8)
    log_ratio = log_new - batch.log_probability
    ratio = jnp.exp(log_ratio)
    clip = theta["clip_range"]
    policy_loss = -jnp.minimum(advantage * ratio, advantage * jnp.clip(ratio, 1 - clip, 1 + clip)).mean()
    value_loss = jnp.square(batch.target - values).mean()
    entropy = -(jnp.exp(log_all) * log_all).sum(1).mean()
    report = {
        "approx_kl": (ratio - 1 - log_ratio).mean(),
        "clip_fraction": (jnp.abs(ratio - 1) > clip).mean(),
        "entropy_fraction": entropy / np.log(logits.shape[-1]),
        "value_loss": value_loss,
        "policy_loss": policy_loss,
    }
    return policy_loss + theta["vf_coef"] * value_loss - theta["ent_coef"] * entropy, report


def gae(reward: Array, value: Array, done: Array, last: Array, theta: dict[str, Array]) -> Array:
    """A_t = delta_t + gamma lambda (1 - d_t) A_{t+1}, delta_t = r_t + gamma (1 - d_t) V_{t+1} - V_t; shapes (steps, envs)."""
    following = jnp.concatenate([value[1:], last[None]])
    delta = reward + theta["gamma"] * (1 - done) * following - value

    def back(advantage: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
        advantage = row[0] + theta["gamma"] * theta["gae_lambda"] * (1 - row[1]) * advantage
        return advantage, advantage

    advantages: Array = jax.lax.scan(back, jnp.zeros_like(last), (delta, done.astype(jnp.float32)), reverse=True)[1]
    return advantages

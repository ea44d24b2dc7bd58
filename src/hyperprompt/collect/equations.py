"""The equations of PPO (Schulman et al. 2017, arXiv:1707.06347) on one run, as Stable-Baselines3 computes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from hyperprompt.collect.sources import TUNABLE
from hyperprompt.collect.tasks import EnvState, Variant

DEFAULTS: Mapping[str, float] = dict(
    zip(TUNABLE["ppo"], (3e-4, 10, 0.0, 0.2, 0.99, 0.95, 0.5, 0.5), strict=True)  # Stable-Baselines3's
)
HALF_LOG_TAU = 0.5 * float(np.log(2 * np.pi))
Params = dict[str, Array]
"""pi and vf: {net}_w1, {net}_b1 to {net}_b3; on continuous actions also log_std (actions,), the same in every state."""


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


class Policy(Protocol):
    """pi(. | o) of a batch of observations."""

    def sample(self, key: Array) -> Array:
        """Actions, leading axis (batch,)."""
        ...

    def log_probability(self, action: Array) -> Array:
        """log pi(a | o), (batch,)."""
        ...

    def entropy(self) -> Array:
        """Mean over the batch, in nats, ()."""
        ...

    def entropy_fraction(self, entropy: Array) -> Array:
        """`hyperprompt.agents.measures.entropy_fraction` of that entropy, ()."""
        ...


@dataclass(frozen=True)
class Categorical:
    """One of `actions`; `logits`: (batch, actions)."""

    logits: Array

    @cached_property
    def log_all(self) -> Array:
        result: Array = jax.nn.log_softmax(self.logits)
        return result

    def sample(self, key: Array) -> Array:
        return jax.random.categorical(key, self.logits)

    def log_probability(self, action: Array) -> Array:
        return jnp.take_along_axis(self.log_all, action[:, None], 1)[:, 0]

    def entropy(self) -> Array:
        return -(jnp.exp(self.log_all) * self.log_all).sum(1).mean()

    def entropy_fraction(self, entropy: Array) -> Array:
        return entropy / np.log(self.logits.shape[-1])


@dataclass(frozen=True)
class Gaussian:
    """N(mean, exp(log_std)^2) in every dimension; `mean`: (batch, actions), `log_std`: (actions,).

    Its actions have no bounds: the task clips what it is given to [-1, 1], and the learner knows nothing of that.
    """

    mean: Array
    log_std: Array

    def sample(self, key: Array) -> Array:
        action = self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)
        # A network that has diverged does nothing: the run is data, not a crash.
        return jnp.nan_to_num(action)

    def log_probability(self, action: Array) -> Array:
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return (-0.5 * jnp.square(z) - self.log_std - HALF_LOG_TAU).sum(-1)

    def entropy(self) -> Array:
        return (0.5 + HALF_LOG_TAU + self.log_std).sum()

    def entropy_fraction(self, entropy: Array) -> Array:
        return jnp.exp(jnp.minimum(0.0, entropy / self.log_std.shape[0] - np.log(2.0)))


def orthogonal(key: Array, shape: tuple[int, int], gain: float) -> Array:
    """Orthogonal weights times `gain` (Saxe et al. 2014, arXiv:1312.6120)."""
    return gain * jax.nn.initializers.orthogonal()(key, shape, jnp.float32)


def forward(params: Params, x: Array, gain: Array) -> tuple[Policy, Array]:
    """(batch, observation) -> the policy there, values (batch,). Policy and value network share nothing.

    Logits are multiplied by `gain`; of continuous actions the task multiplies what it is given.
    """
    out = []
    for net in ("pi", "vf"):
        h = jnp.tanh(x @ params[f"{net}_w1"] + params[f"{net}_b1"])
        h = jnp.tanh(h @ params[f"{net}_w2"] + params[f"{net}_b2"])
        out.append(h @ params[f"{net}_w3"] + params[f"{net}_b3"])
    policy: Policy = Gaussian(out[0], params["log_std"]) if "log_std" in params else Categorical(gain * out[0])
    return policy, out[1][..., 0]


def loss(params: Params, batch: Batch, theta: Mapping[str, Array], gain: Array) -> tuple[Array, dict[str, Array]]:
    """L = L_clip + vf_coef mean (R - V)^2 - ent_coef H, as Stable-Baselines3 computes it."""
    policy, values = forward(params, batch.observation, gain)
    advantage = (batch.advantage - batch.advantage.mean()) / (batch.advantage.std(ddof=1) + 1e-8)
    log_ratio = policy.log_probability(batch.action) - batch.log_probability
    ratio = jnp.exp(log_ratio)
    clip = theta["clip_range"]
    policy_loss = -jnp.minimum(advantage * ratio, advantage * jnp.clip(ratio, 1 - clip, 1 + clip)).mean()
    value_loss = jnp.square(batch.target - values).mean()
    entropy = policy.entropy()
    report = {
        "approx_kl": (ratio - 1 - log_ratio).mean(),
        "clip_fraction": (jnp.abs(ratio - 1) > clip).mean(),
        "entropy_fraction": policy.entropy_fraction(entropy),
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

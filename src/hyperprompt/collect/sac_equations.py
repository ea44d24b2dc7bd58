"""The equations of SAC (Haarnoja et al. 2018, arXiv:1812.05905) on one run, as Stable-Baselines3 computes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from hyperprompt.collect.equations import HALF_LOG_TAU
from hyperprompt.collect.tasks import EnvState, Variant

CRITICS = 2
LOG_STD = (-20.0, 2.0)
Params = dict[str, Any]
"""pi and qf: {w1, b1, w2, b2, w3, b3}, those of qf with a leading axis of two critics; log_alpha: ()."""


class Learner(NamedTuple):
    """What gradient steps change. One count serves all three of the library's optimisers: they step together."""

    params: Params
    target: Params
    """Of the critics, the slow copies."""
    first: Params
    """Adam's first moments."""
    second: Params
    count: Array


class State(NamedTuple):
    """Everything a run needs to go on; arrays lead with (runs,) outside of the compiled functions."""

    key: Array
    learner: Learner
    env: EnvState
    observation: Array
    running: Array
    """Return and length of the episode under way, shape (envs, 2)."""
    variant: Variant
    replay: Array
    """(capacity, width): rows of o, a, r, whether s' is terminal, o'; overwritten from the start when full."""
    stored: Array
    """Transitions stored so far, those that are overwritten included."""


class Batch(NamedTuple):
    """Stored transitions, leading axis (batch,); actions in [-1, 1]."""

    observation: Array
    action: Array
    reward: Array
    terminal: Array
    following: Array


def split(rows: Array, observations: int, actions: int) -> Batch:
    """Rows of a replay buffer, (batch, width), as what they hold."""
    at = np.cumsum([observations, actions, 1, 1])
    observation, action, reward, terminal, following = jnp.split(rows, at, axis=-1)
    return Batch(observation, action, reward[..., 0], terminal[..., 0], following)


def network(key: Array, sizes: tuple[int, int, int]) -> Params:
    """Three layers, weights and biases uniform within 1/sqrt(inputs), torch's default."""
    inputs, hidden, outputs = sizes
    params: Params = {}
    for i, (rows, columns) in enumerate(((inputs, hidden), (hidden, hidden), (hidden, outputs)), 1):
        key, key_w, key_b = jax.random.split(key, 3)
        bound = rows**-0.5
        params[f"w{i}"] = jax.random.uniform(key_w, (rows, columns), minval=-bound, maxval=bound)
        params[f"b{i}"] = jax.random.uniform(key_b, (columns,), minval=-bound, maxval=bound)
    return params


def forward(net: Params, x: Array) -> Array:
    """(batch, inputs) -> (batch, outputs), ReLU in between."""
    x = jax.nn.relu(x @ net["w1"] + net["b1"])
    x = jax.nn.relu(x @ net["w2"] + net["b2"])
    y: Array = x @ net["w3"] + net["b3"]
    return y


def act(pi: Params, observation: Array, noise: Array) -> tuple[Array, Array]:
    """a = tanh(mu + sigma noise) (batch, actions), and log pi(a | o) (batch,)."""
    mean, log_std = jnp.split(forward(pi, observation), 2, axis=-1)
    log_std = jnp.clip(log_std, *LOG_STD)
    action = jnp.tanh(mean + jnp.exp(log_std) * noise)
    gaussian = -0.5 * jnp.square(noise) - log_std - HALF_LOG_TAU
    return action, (gaussian - jnp.log(1 - jnp.square(action) + 1e-6)).sum(-1)


def values(qf: Params, observation: Array, action: Array) -> Array:
    """Q_i(o, a), (critics, batch)."""
    return jax.vmap(forward, (0, None))(qf, jnp.concatenate([observation, action], -1))[..., 0]


def update(learner: Learner, batch: Batch, noise: Array, theta: Mapping[str, Array]) -> tuple[Learner, dict[str, Array]]:
    """One gradient step of alpha, critics and actor, in the library's order; `noise`: (2, batch, actions), for o and o'.

    J_alpha = -log alpha mean(log pi + target entropy)
    J_Q     = 1/2 sum_i mean (Q_i(o, a) - r - gamma (1 - d) (min_i Q'_i(o', a') - alpha log pi(a' | o')))^2
    J_pi    = mean (alpha log pi(a | o) - min_i Q_i(o, a))          with the critics after their step
    Q'_i    <- (1 - tau) Q'_i + tau Q_i
    """
    params, target, first, second, count = learner
    alpha = jnp.exp(params["log_alpha"])
    action, log_probability = act(params["pi"], batch.following, noise[1])
    ahead = values(target, batch.following, action).min(0) - alpha * log_probability
    wanted = batch.reward + theta["gamma"] * (1 - batch.terminal) * ahead

    def critic_loss(qf: Params) -> Array:
        return 0.5 * jnp.square(values(qf, batch.observation, batch.action) - wanted).mean(1).sum()

    def actor_loss(pi: Params, qf: Params) -> tuple[Array, Array]:
        action, log_probability = act(pi, batch.observation, noise[0])
        return (alpha * log_probability - values(qf, batch.observation, action).min(0)).mean(), log_probability.mean()

    count = count + 1

    def adam(name: str, gradient: Any) -> tuple[Any, Any, Any]:
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first[name], gradient)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * jnp.square(g), second[name], gradient)
        rate, root = theta["learning_rate"] / (1 - 0.9**count), jnp.sqrt(1 - 0.999**count)
        return jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + 1e-8), params[name], m, v), m, v

    error, gradient_q = jax.value_and_grad(critic_loss)(params["qf"])
    stepped = {"qf": adam("qf", gradient_q)}
    (loss, log_mean), gradient_pi = jax.value_and_grad(actor_loss, has_aux=True)(params["pi"], stepped["qf"][0])
    stepped["pi"] = adam("pi", gradient_pi)
    stepped["log_alpha"] = adam("log_alpha", -(log_mean + theta["target_entropy"]))
    params, first, second = ({name: found[i] for name, found in stepped.items()} for i in range(3))
    target = jax.tree.map(lambda slow, q: (1 - theta["tau"]) * slow + theta["tau"] * q, target, params["qf"])
    report = {
        "critic_loss": error,
        "actor_loss": loss,
        "alpha": alpha,
        "gradient_norm": jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in jax.tree.leaves(gradient_pi))),
    }
    return Learner(params, target, first, second, count), report

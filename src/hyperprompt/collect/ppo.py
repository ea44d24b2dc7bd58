"""PPO compiled whole in JAX and vmapped over runs, whose hyperparameters are traced: one value a run, changed at any update.

With its defaults this is Stable-Baselines3's `PPO("MlpPolicy")` (Schulman et al. 2017, arXiv:1707.06347): 16 environments x
128 steps, minibatches of 64, two tanh networks of 64 x 64 with orthogonal weights, Adam with eps 1e-5, advantages normalised
per minibatch, values of truncated episodes bootstrapped, on continuous actions a Gaussian of one width in all states.
A run is continued from its whole state, so it can be branched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from hyperprompt.collect import compiled
from hyperprompt.collect.compiled import Ended, Rows, Theta
from hyperprompt.collect.equations import DEFAULTS, Batch, Params, State, forward, gae, loss, orthogonal
from hyperprompt.collect.tasks import EnvState, JaxTask, Step, Variant
from hyperprompt.errors import InvalidValue

SPACE = compiled.tuned("ppo")
"""The default tuned set."""


@dataclass(frozen=True)
class Collector:
    """PPO runs on one base task, side by side. Compiled once per number of runs.

    Args:
        task: the base task; every run has its own variant of it.
        n_envs, n_steps, batch_size: as in Stable-Baselines3.

    Raises:
        InvalidValue: minibatches that do not divide the rollout.
    """

    algorithm: ClassVar[str] = "ppo"
    updates: ClassVar[int] = 64
    idle: ClassVar[int] = 0
    dear: ClassVar[str] = "n_epochs"
    # Few epochs and low rates look alike: nothing happens. Half of the range is enough of that.
    narrow: ClassVar[Mapping[str, tuple[float, float]]] = {
        **compiled.places("ppo", learning_rate=(2e-4, 2e-2)),
        "n_epochs": (0.5, 1.0),
    }

    task: JaxTask
    n_envs: int = 16
    n_steps: int = 128
    batch_size: int = 64
    hidden: int = 64

    def __post_init__(self) -> None:
        if (self.n_envs * self.n_steps) % self.batch_size:
            raise InvalidValue(f"batch_size {self.batch_size} does not divide a rollout of {self.n_envs} x {self.n_steps}")

    @property
    def update_steps(self) -> int:
        """Environment steps of one update."""
        return self.n_envs * self.n_steps

    # -- the three functions a caller needs ---------------------------------------------------------------------------

    def init(self, keys: Array, variants: Sequence[Variant] | Variant = Variant()) -> State:  # noqa: B008 (immutable)
        """Fresh runs. `keys`: typed keys, shape (runs,); `variants`: one for all or one a run."""
        state: State = self._init(keys, compiled.stacked(variants, keys.shape[0]))
        return state

    def advance(self, state: State, theta: Theta, n_updates: int) -> tuple[State, Rows]:
        """`n_updates` updates under constant `theta`.

        Returns the new state and, per update, the signals of `hyperprompt.agents.measures` as arrays (n_updates, runs), with
        `episodes`, `return_sum`, `return_square` and `length_sum` in place of means, so that intervals can be summed up.

        Raises:
            UnknownName: a hyperparameter that PPO does not have.
        """
        values = compiled.traced(theta, DEFAULTS, ("n_epochs",), state.count.shape[0])
        return compiled.repeat(self._update, state, values, n_updates)

    def branch(self, state: State, keys: Array) -> State:
        """The same runs under other random numbers, `keys`: shape (runs,); in new episodes where environments do not fork."""
        state = state._replace(key=keys)
        return self._begin(state) if self.task.host else state

    def evaluate(self, state: State, keys: Array, episodes: int = 16) -> np.ndarray[Any, Any]:
        """Returns of whole episodes under the stochastic policy, shape (runs, episodes); `keys`: shape (runs,)."""
        with self.task.visit():
            return np.asarray(self._evaluate(state, keys, episodes))

    # -- compiled -----------------------------------------------------------------------------------------------------

    @cached_property
    def _init(self) -> Any:
        def run(keys: Array, variants: Variant) -> State:
            keys = jax.vmap(lambda key: jax.random.split(key, 8))(keys)
            # One run after the other: jaxlib's batched QR decompositions can wait for each other's threads for good.
            params = jax.lax.map(self._weights, keys[:, 2:])
            state: State = jax.vmap(self._init_one)(keys[:, 0], keys[:, 1], params, variants)
            return state

        return jax.jit(run)

    @cached_property
    def _begin(self) -> Any:
        return jax.jit(jax.vmap(self._begin_one))

    @cached_property
    def _update(self) -> Any:
        return jax.jit(jax.vmap(self._update_one))

    @cached_property
    def _evaluate(self) -> Any:
        def run(state: State, keys: Array, episodes: int) -> Array:
            return jax.vmap(partial(self._evaluate_one, episodes=episodes))(state, keys)

        return jax.jit(run, static_argnums=2)

    def _weights(self, keys: Array) -> Params:
        """Weights of both networks of one run; `keys`: shape (6,), one a layer."""
        sizes = {"pi": (self.task.action_size, 0.01), "vf": (1, 1.0)}
        params: Params = {}
        for i, (net, (outputs, gain)) in enumerate(sizes.items()):
            shapes = ((self.task.observation_size, self.hidden), (self.hidden, self.hidden), (self.hidden, outputs))
            for j, shape in enumerate(shapes):
                params[f"{net}_w{j + 1}"] = orthogonal(keys[3 * i + j], shape, gain if j == 2 else float(np.sqrt(2)))
                params[f"{net}_b{j + 1}"] = jnp.zeros(shape[1])
        if self.task.continuous:
            params["log_std"] = jnp.zeros(self.task.action_size)
        return params

    def _init_one(self, key: Array, key_env: Array, params: Params, variant: Variant) -> State:
        zeros = jax.tree.map(jnp.zeros_like, params)
        env, observation, running = self._episodes(key_env, variant)
        return State(key, params, zeros, zeros, jnp.float32(0), env, observation, running, variant)

    def _begin_one(self, state: State) -> State:
        key, key_env = jax.random.split(state.key)
        env, observation, running = self._episodes(key_env, state.variant)
        return state._replace(key=key, env=env, observation=observation, running=running)

    def _episodes(self, key: Array, variant: Variant) -> tuple[EnvState, Array, Array]:
        observation, env = jax.vmap(self.task.reset, (0, None))(jax.random.split(key, self.n_envs), variant)
        return env, observation, jnp.zeros((self.n_envs, 2))

    def _update_one(self, state: State, theta: dict[str, Array]) -> tuple[State, dict[str, Array]]:
        state, batch, values, signals = self._rollout(state, theta)
        flat: Batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
        unexplained = jnp.var(flat.target - values.reshape(-1)) / jnp.var(flat.target)
        state, report = self.learn(state, flat, theta)
        return state, {**signals, **report, "explained_variance": 1.0 - unexplained}

    def learn(self, state: State, batch: Batch, theta: dict[str, Array]) -> tuple[State, dict[str, Array]]:
        """n_epochs passes over one run's rollout, flattened to (update_steps, ...); pure, what `train()` is in the library."""
        size, parts = self.update_steps, self.update_steps // self.batch_size

        def minibatch(carry: Any, rows: Array) -> tuple[Any, dict[str, Array]]:
            params, first, second, count = carry
            part = jax.tree.map(lambda x: x[rows], batch)
            gradient, report = jax.grad(loss, has_aux=True)(params, part, theta, state.variant.gain)
            norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in jax.tree.leaves(gradient)))
            scale = jnp.minimum(1.0, theta["max_grad_norm"] / (norm + 1e-6))
            count = count + 1
            first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * scale * g, first, gradient)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * jnp.square(scale * g), second, gradient)
            rate = theta["learning_rate"] / (1 - 0.9**count)
            root = jnp.sqrt(1 - 0.999**count)
            params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + 1e-5), params, first, second)
            return (params, first, second, count), {**report, "gradient_norm": scale * norm}

        def epoch(i: Array, carry: Any) -> Any:
            learner, key, sums, _ = carry
            key, key_order = jax.random.split(key)
            order = jnp.argsort(jax.random.bits(key_order, (size,))).reshape(parts, self.batch_size)
            learner, reports = jax.lax.scan(minibatch, learner, order)
            sums = {name: sums[name] + reports[name].mean() for name in sums}
            # Stable-Baselines3 reports the last epoch's KL, and this project the last minibatch's gradient.
            last = {"approx_kl": reports["approx_kl"].mean(), "gradient_norm": reports["gradient_norm"][-1]}
            return learner, key, sums, last

        learner = (state.params, state.first, state.second, state.count)
        sums = dict.fromkeys(("clip_fraction", "entropy_fraction", "value_loss", "policy_loss"), jnp.float32(0))
        last = {"approx_kl": jnp.float32(0), "gradient_norm": jnp.float32(0)}
        # Under vmap this goes on to the largest n_epochs and leaves the finished runs untouched.
        learner, key, sums, last = jax.lax.fori_loop(0, theta["n_epochs"], epoch, (learner, state.key, sums, last))
        report = {name: total / theta["n_epochs"] for name, total in sums.items()} | last
        params, first, second, count = learner
        return state._replace(key=key, params=params, first=first, second=second, count=count), report

    def _rollout(self, state: State, theta: dict[str, Array]) -> tuple[State, Batch, Array, dict[str, Array]]:
        params, variant = state.params, state.variant

        def step(carry: Any, key: Array) -> tuple[Any, Any]:
            env, observation, running = carry
            key_action, key_env = jax.random.split(key)
            policy, value = forward(params, observation, variant.gain)
            action = policy.sample(key_action)
            log_probability = policy.log_probability(action)
            keys = jax.random.split(key_env, self.n_envs)
            outcome: Step
            env, outcome = jax.vmap(self.task.step, (0, 0, 0, None))(keys, env, action, variant)
            running = running + jnp.stack([outcome.score, jnp.ones(self.n_envs)], 1)
            done = outcome.terminated | outcome.truncated
            # r + gamma V(s_T) where only the clock ended the episode.
            beyond = forward(params, outcome.final_observation, variant.gain)[1]
            reward = outcome.reward + theta["gamma"] * outcome.truncated * beyond
            ended = jnp.where(done[:, None], running, 0.0)
            carry = env, outcome.observation, jnp.where(done[:, None], 0.0, running)
            return carry, (observation, action, log_probability, value, reward, done, ended)

        key, key_steps = jax.random.split(state.key)
        carry = state.env, state.observation, state.running
        carry, rows = jax.lax.scan(step, carry, jax.random.split(key_steps, self.n_steps))
        observation, action, log_probability, value, reward, done, ended = rows
        env, last, running = carry
        advantage = gae(reward, value, done, forward(params, last, variant.gain)[1], theta)
        batch = Batch(observation, action, log_probability, advantage, advantage + value)
        signals: dict[str, Array] = Ended.of(done, ended)._asdict()
        return state._replace(key=key, env=env, observation=last, running=running), batch, value, signals

    def _evaluate_one(self, state: State, key: Array, episodes: int) -> Array:
        def act(key: Array, observation: Array) -> Array:
            return forward(state.params, observation, state.variant.gain)[0].sample(key)

        return compiled.play(self.task, act, state.variant, key, episodes)

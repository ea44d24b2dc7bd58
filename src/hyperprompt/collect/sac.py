"""SAC compiled whole in JAX, run after run, whose hyperparameters are traced: one value a run, changed at any block.

With its defaults this is Stable-Baselines3's `SAC("MlpPolicy")` (Haarnoja et al. 2018, arXiv:1812.05905) on one environment:
an update a step after 100 random ones, two critics with slow copies, a learnt alpha, Adam, episodes that the clock ended
bootstrapped. Networks are 32 x 32 and not 256 x 256, and batches 64 transitions and not 256, so that an update costs 0.14 ms
on one core (64 x 64: 0.24 ms). A run is continued from its whole state, replay buffer included, so it can be branched.

Lanes go one after the other (`lax.map`). Side by side (`vmap`) eight lanes cost three quarters of that an update, but all of
them go on to the largest `gradient_steps` among them, and twice the time to compile.
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
from hyperprompt.collect import sac_equations as sac
from hyperprompt.collect.compiled import Ended, Rows, Theta
from hyperprompt.collect.sac_equations import CRITICS, Learner, State
from hyperprompt.collect.sources import TUNABLE
from hyperprompt.collect.tasks import JaxTask, Step, Variant
from hyperprompt.errors import InvalidValue

Q_BATCH = 256
"""Stored transitions over which `q_value` is a mean: that of `hyperprompt.agents.measures`, which needs torch."""


@dataclass(frozen=True)
class Collector:
    """SAC runs on one base task of continuous actions. Compiled once per number of runs.

    Args:
        task: the base task; every run has its own variant of it.
        n_steps: steps of a block, the smallest interval here; the library's is one step.
        n_envs, batch_size, learning_starts, buffer_size: as in Stable-Baselines3.

    Raises:
        InvalidValue: a task of discrete actions, or a buffer that does not hold a block and a batch.
    """

    algorithm: ClassVar[str] = "sac"
    updates: ClassVar[int] = 96
    """9,600 steps: 24 intervals of four blocks, the first one block long as in live runs."""
    dear: ClassVar[str] = "gradient_steps"
    # Rates below 1e-4 and many gradient steps cost time and show nothing.
    narrow: ClassVar[Mapping[str, tuple[float, float]]] = compiled.places(
        "sac", learning_rate=(1e-4, 1e-2), gamma=(0.95, 0.998), gradient_steps=(1.0, 4.0)
    )

    task: JaxTask
    n_envs: int = 1
    n_steps: int = 100
    batch_size: int = 64
    hidden: int = 32
    learning_starts: int = 100
    buffer_size: int = 10_000

    def __post_init__(self) -> None:
        if not self.task.continuous:
            raise InvalidValue(f"SAC needs continuous actions, and those of {self.task.name} are discrete")
        if self.buffer_size < max(self.update_steps, self.batch_size) or self.buffer_size % self.n_envs:
            raise InvalidValue(
                f"a buffer of {self.buffer_size} does not hold blocks of {self.update_steps}, batches of {self.batch_size}"
            )

    @property
    def update_steps(self) -> int:
        """Environment steps of one block."""
        return self.n_envs * self.n_steps

    @property
    def idle(self) -> int:
        """Blocks before the first gradient step."""
        return self.learning_starts // self.update_steps

    @property
    def defaults(self) -> dict[str, float]:
        """Stable-Baselines3's."""
        return dict(zip(TUNABLE["sac"], (3e-4, 5e-3, 0.99, 1, -float(self.task.action_size)), strict=True))

    # -- the three functions a caller needs ---------------------------------------------------------------------------

    def init(self, keys: Array, variants: Sequence[Variant] | Variant = Variant()) -> State:  # noqa: B008 (immutable)
        """Fresh runs. `keys`: typed keys, shape (runs,); `variants`: one for all or one a run."""
        state: State = self._init(keys, compiled.stacked(variants, keys.shape[0]))
        return state

    def advance(self, state: State, theta: Theta, n_updates: int) -> tuple[State, Rows]:
        """`n_updates` blocks under constant `theta`.

        Returns the new state and, per block, the signals of `hyperprompt.agents.measures` as arrays (n_updates, runs), with
        `episodes`, `return_sum`, `return_square` and `length_sum` in place of means, and `learnt`: the steps of the block
        that were followed by gradient steps. Without any, what they report is 0.

        Raises:
            UnknownName: a hyperparameter that this SAC does not have.
        """
        values = compiled.traced(theta, self.defaults, ("gradient_steps",), state.stored.shape[0])
        return compiled.repeat(self._update, state, values, n_updates)

    def branch(self, state: State, keys: Array) -> State:
        """The same runs under other random numbers, `keys` of shape (runs,)."""
        return state._replace(key=keys)

    def evaluate(self, state: State, keys: Array, episodes: int = 16) -> np.ndarray[Any, Any]:
        """Returns of whole episodes under the stochastic policy, shape (runs, episodes); `keys`: shape (runs,)."""
        return np.asarray(self._evaluate(state.learner.params["pi"], state.variant, keys, episodes))

    # -- compiled -----------------------------------------------------------------------------------------------------

    @cached_property
    def _init(self) -> Any:
        return jax.jit(jax.vmap(self._init_one))

    @cached_property
    def _update(self) -> Any:
        return jax.jit(lambda *lanes: jax.lax.map(lambda lane: self._update_one(*lane), lanes))

    @cached_property
    def _evaluate(self) -> Any:
        def run(pi: sac.Params, variant: Variant, keys: Array, episodes: int) -> Array:
            play = partial(compiled.play, self.task, episodes=episodes)
            return jax.vmap(lambda pi, variant, key: play(partial(self._act, pi), variant=variant, key=key))(pi, variant, keys)

        return jax.jit(run, static_argnums=3)

    def _init_one(self, key: Array, variant: Variant) -> State:
        key, key_env, key_pi, key_qf = jax.random.split(key, 4)
        observations, actions = self.task.observation_size, self.task.action_size
        pi = sac.network(key_pi, (observations, self.hidden, 2 * actions))
        critic = partial(sac.network, sizes=(observations + actions, self.hidden, 1))
        qf = jax.vmap(critic)(jax.random.split(key_qf, CRITICS))
        params = {"pi": pi, "qf": qf, "log_alpha": jnp.float32(0)}
        zeros = jax.tree.map(jnp.zeros_like, params)
        observation, env = jax.vmap(self.task.reset, (0, None))(jax.random.split(key_env, self.n_envs), variant)
        replay = jnp.zeros((self.buffer_size, 2 * observations + actions + 2))
        learner = Learner(params, qf, zeros, zeros, jnp.float32(0))
        return State(key, learner, env, observation, jnp.zeros((self.n_envs, 2)), variant, replay, jnp.int32(0))

    def _act(self, pi: sac.Params, key: Array, observation: Array) -> Array:
        action, _ = sac.act(pi, observation, jax.random.normal(key, (*observation.shape[:-1], self.task.action_size)))
        # A network that has diverged does nothing: the run is data, not a crash.
        return jnp.nan_to_num(action)

    def _batch(self, replay: Array, rows: Array) -> sac.Batch:
        return sac.split(replay[rows], self.task.observation_size, self.task.action_size)

    def _update_one(self, state: State, theta: dict[str, Array]) -> tuple[State, dict[str, Array]]:
        variant = state.variant

        def step(carry: Any, key: Array) -> tuple[Any, Any]:
            learner, env, observation, running, replay, stored = carry
            key_action, key_env, key_learn = jax.random.split(key, 3)
            action = jnp.where(
                stored < self.learning_starts,
                jax.random.uniform(key_action, (self.n_envs, self.task.action_size), minval=-1.0),
                self._act(learner.params["pi"], key_action, observation),
            )
            outcome: Step
            keys = jax.random.split(key_env, self.n_envs)
            env, outcome = jax.vmap(self.task.step, (0, 0, 0, None))(keys, env, action, variant)
            running = running + jnp.stack([outcome.score, jnp.ones(self.n_envs)], 1)
            done = outcome.terminated | outcome.truncated
            parts = observation, action, outcome.reward[:, None], outcome.terminated[:, None], outcome.final_observation
            rows = jnp.concatenate([part.astype(jnp.float32) for part in parts], 1)
            replay = jax.lax.dynamic_update_slice(replay, rows, (stored % self.buffer_size, 0))
            stored = stored + self.n_envs
            steps = jnp.where(stored > self.learning_starts, theta["gradient_steps"], 0)
            learner, report = self._learn(learner, replay, jnp.minimum(stored, self.buffer_size), steps, theta, key_learn)
            ended = jnp.where(done[:, None], running, 0.0)
            carry = learner, env, outcome.observation, jnp.where(done[:, None], 0.0, running), replay, stored
            return carry, (done, ended, report)

        key, key_steps = jax.random.split(state.key)
        carry = state.learner, state.env, state.observation, state.running, state.replay, state.stored
        carry, (done, ended, reports) = jax.lax.scan(step, carry, jax.random.split(key_steps, self.n_steps))
        learner, env, observation, running, replay, stored = carry
        learnt = reports.pop("learnt").sum()
        signals = Ended.of(done, ended)._asdict() | {n: v.sum() / jnp.maximum(learnt, 1.0) for n, v in reports.items()}
        signals |= {"learnt": learnt, "q_value": self._q_value(learner, replay, stored)}
        return State(key, learner, env, observation, running, variant, replay, stored), signals

    def _learn(
        self, learner: Learner, replay: Array, size: Array, steps: Array, theta: dict[str, Array], key: Array
    ) -> tuple[Learner, dict[str, Array]]:
        """`steps` gradient steps, what `train()` is in the library, and what is reported of them; 0 without any."""

        def gradient_step(i: Array, carry: Any) -> Any:
            learner, sums, _ = carry
            key_rows, key_noise = jax.random.split(jax.random.fold_in(key, i))
            batch = self._batch(replay, jax.random.randint(key_rows, (self.batch_size,), 0, size))
            noise = jax.random.normal(key_noise, (2, self.batch_size, self.task.action_size))
            learner, report = sac.update(learner, batch, noise, theta)
            # The norm is what the last step leaves behind, all else a mean over the steps.
            norm = report.pop("gradient_norm")
            return learner, {name: sums[name] + report[name] for name in sums}, norm

        sums = dict.fromkeys(("critic_loss", "actor_loss", "alpha"), jnp.float32(0))
        learner, sums, norm = jax.lax.fori_loop(0, steps, gradient_step, (learner, sums, jnp.float32(0)))
        means = {name: total / jnp.maximum(steps, 1) for name, total in sums.items()}
        # Root mean squared error of one critic: the loss is half the sum of their mean squares.
        error = jnp.sqrt(2.0 * means.pop("critic_loss") / CRITICS)
        return learner, {**means, "td_error": error, "gradient_norm": norm, "learnt": (steps > 0).astype(jnp.float32)}

    def _q_value(self, learner: Learner, replay: Array, stored: Array) -> Array:
        """Mean Q(o, a) over both critics and the latest stored transitions, as `measures.q_value` has it."""
        latest = jnp.arange(Q_BATCH) % jnp.clip(stored, 1, min(Q_BATCH, self.buffer_size))
        batch = self._batch(replay, (stored - 1 - latest) % self.buffer_size)
        return sac.values(learner.params["qf"], batch.observation, batch.action).mean()

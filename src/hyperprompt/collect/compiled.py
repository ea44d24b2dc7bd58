"""What the compiled collectors have in common: runs of one algorithm on one base task, hyperparameters traced, one a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from hyperprompt.collect.tasks import EnvState, JaxTask, Variant
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, HyperparameterSpace, for_algorithm

Theta = Mapping[str, Any]
"""Name -> one value, or an array of shape (runs,). Names left out have Stable-Baselines3's defaults."""
Rows = dict[str, np.ndarray[Any, Any]]
S = TypeVar("S")


class RunState(Protocol):
    """Everything a run needs to go on: a NamedTuple whose arrays lead with (runs,), these among others."""

    @property
    def key(self) -> Array: ...
    @property
    def variant(self) -> Variant: ...
    def _replace(self, **fields: Any) -> Any: ...


class Collector(Protocol):
    """Compiled runs. An *update* is the smallest interval: a rollout of PPO, a block of SAC's steps."""

    @property
    def algorithm(self) -> str: ...
    @property
    def updates(self) -> int:
        """Of a run, by default."""
        ...

    @property
    def idle(self) -> int:
        """Updates before anything is learned."""
        ...

    @property
    def dear(self) -> str:
        """The hyperparameter that multiplies what an update costs."""
        ...

    @property
    def narrow(self) -> Mapping[str, tuple[float, float]]:
        """Where first settings of behaviour runs lie, as places in [0, 1]; others use the whole range."""
        ...

    @property
    def task(self) -> JaxTask: ...
    @property
    def n_envs(self) -> int: ...
    @property
    def update_steps(self) -> int:
        """Environment steps of one update."""
        ...

    def init(self, keys: Array, variants: Sequence[Variant] | Variant = ...) -> Any:
        """Fresh runs. `keys`: typed keys, shape (runs,); `variants`: one for all or one a run."""
        ...

    def advance(self, state: Any, theta: Theta, n_updates: int) -> tuple[Any, Rows]:
        """`n_updates` updates under constant `theta`: the new state, and signals of shape (n_updates, runs)."""
        ...

    def branch(self, state: Any, keys: Array) -> Any:
        """The same runs under other random numbers, `keys`: shape (runs,); in new episodes where environments do not fork."""
        ...

    def evaluate(self, state: Any, keys: Array, episodes: int = ...) -> np.ndarray[Any, Any]:
        """Returns of whole episodes under the stochastic policy, shape (runs, episodes); `keys`: shape (runs,)."""
        ...


def tuned(algorithm: str, action_dimensions: int = 1, names: Sequence[str] = ()) -> HyperparameterSpace:
    """The named hyperparameters of an algorithm, by default its tuned set.

    Raises:
        UnknownName: one that the algorithm does not have.
    """
    return for_algorithm(algorithm, action_dimensions).subset(names or TUNED_BY_DEFAULT[algorithm])


def space_of(collector: Collector, names: Sequence[str] = ()) -> HyperparameterSpace:
    """`tuned` of a collector's algorithm on its task."""
    return tuned(collector.algorithm, collector.task.action_size if collector.task.continuous else 1, names)


def places(algorithm: str, **values: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """Ranges of values as places within the bounds, for `Collector.narrow`."""
    space = for_algorithm(algorithm)
    return {name: (space[name].position(low), space[name].position(high)) for name, (low, high) in values.items()}


def stacked(variants: Sequence[Variant] | Variant, runs: int) -> Variant:
    """One variant a run, as arrays of shape (runs,).

    Raises:
        InvalidValue: another number of variants than of runs.
    """
    rows = [variants] * runs if isinstance(variants, Variant) else list(variants)
    if len(rows) != runs:
        raise InvalidValue(f"{len(rows)} variants for {runs} runs")
    return Variant(*(jnp.asarray(column, jnp.float32) for column in zip(*rows, strict=True)))


def traced(theta: Theta, defaults: Mapping[str, float], integers: Sequence[str], runs: int) -> dict[str, Array]:
    """Every hyperparameter as an array of shape (runs,).

    Raises:
        UnknownName: a hyperparameter without a default.
    """
    for name in theta:
        if name not in defaults:
            raise UnknownName("hyperparameter", name, defaults)
    values = {**defaults, **theta}
    kind = {name: jnp.int32 if name in integers else jnp.float32 for name in values}
    return {name: jnp.broadcast_to(jnp.asarray(value, kind[name]), (runs,)) for name, value in values.items()}


def repeat(
    update: Callable[[S, Mapping[str, Array]], tuple[S, Any]], state: S, theta: Mapping[str, Array], times: int
) -> tuple[S, Rows]:
    """The state after `times` updates, and what each reported, stacked: name -> (times, runs)."""
    reports = []
    for _ in range(times):
        state, report = update(state, theta)
        reports.append(report)
    return state, {name: np.asarray([r[name] for r in reports]) for name in reports[0]} if reports else {}


class Ended(NamedTuple):
    """The episodes that ended in an update, as sums, so that intervals can be summed up."""

    episodes: Array
    return_sum: Array
    return_square: Array
    length_sum: Array

    @classmethod
    def of(cls, done: Array, ended: Array) -> Ended:
        """`done`: (steps, envs); `ended`: return and length where an episode ended, else 0, (steps, envs, 2)."""
        returns, lengths = ended[..., 0], ended[..., 1]
        return cls(done.sum().astype(jnp.float32), returns.sum(), jnp.square(returns).sum(), lengths.sum())


def play(task: JaxTask, act: Callable[[Array, Array], Array], variant: Variant, key: Array, episodes: int) -> Array:
    """Returns of whole episodes, (episodes,), under `act`: key and observations (episodes, size) -> actions."""
    key_reset, key = jax.random.split(key)
    observation, env = jax.vmap(task.reset, (0, None))(jax.random.split(key_reset, episodes), variant)

    def go_on(carry: Any) -> Array:
        return ~carry[3].all()

    def step(carry: Any) -> Any:
        env, observation, total, finished, key = carry
        key, key_action, key_env = jax.random.split(key, 3)
        action = act(key_action, observation)
        keys = jax.random.split(key_env, episodes)
        env, outcome = jax.vmap(task.step, (0, 0, 0, None))(keys, env, action, variant)
        total = total + jnp.where(finished, 0.0, outcome.score)
        return env, outcome.observation, total, finished | outcome.terminated | outcome.truncated, key

    start: tuple[EnvState, Array, Array, Array, Array]
    start = env, observation, jnp.zeros(episodes), jnp.zeros(episodes, bool), key
    total: Array = jax.lax.while_loop(go_on, step, start)[2]
    return total

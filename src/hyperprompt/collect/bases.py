"""What the tasks of the compiled collectors are made of, and gymnax's environments as such."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from hyperprompt.collect.sources import Source
from hyperprompt.errors import MissingDependency


class Raw(NamedTuple):
    """What one step of a base task gives, before a variant is applied."""

    observation: Array
    final_observation: Array
    score: Array
    terminated: Array
    truncated: Array


class Base(Protocol):
    """A task before a variant is applied, written for one environment: what `Gymnax` and `hosted.Host` have in common."""

    observation_size: int
    action_size: int
    continuous: bool
    image: bool
    limit: int

    def reset(self, key: Array) -> tuple[Array, Any]: ...
    def step(self, key: Array, inner: Any, action: Array) -> tuple[Any, Raw]: ...


class Gymnax:
    """An environment of gymnax.

    Raises:
        MissingDependency: gymnax is not installed.
    """

    def __init__(self, source: Source) -> None:
        try:
            gymnax: Any = import_module("gymnax")
        except ImportError as error:
            raise MissingDependency("the compiled collector", "collect") from error
        self._source, (self._env, parameters) = source, gymnax.make(source.id, **(source.arguments or {}))
        self._parameters = parameters.replace(**(source.parameters or {}))
        observation, _ = self._env.reset(jax.random.key(0), self._parameters)
        self.observation_size = source.one_hot or int(np.prod(observation.shape))
        self.action_size = source.actions or int(self._env.num_actions)
        self.continuous, self.image = source.continuous, observation.ndim >= 3
        self.limit = int(self._parameters.max_steps_in_episode)

    def _see(self, raw: Array) -> Array:
        one_hot = self._source.one_hot
        return jax.nn.one_hot(raw, one_hot) if one_hot else raw.reshape(-1).astype(jnp.float32)

    def reset(self, key: Array) -> tuple[Array, Any]:
        raw, inner = self._env.reset(key, self._parameters)
        return self._see(raw), inner

    def step(self, key: Array, inner: Any, action: Array) -> tuple[Any, Raw]:
        if self.continuous:
            action = jnp.clip(action, -1.0, 1.0)
        raw, inner, score, terminated, truncated, info = self._env.step(
            key, inner, self._source.action(action), self._parameters
        )
        score = jnp.asarray(score, jnp.float32)
        return inner, Raw(self._see(raw), self._see(info["final_observation"]), score, terminated, truncated & ~terminated)

"""EnvPool's tasks under a compiled learner: the host steps the environments of all runs in one pool.

An environment is not a value here: it lives in a pool, and a state holds the pool's number and how many steps it has made. So
a state goes on once only, and what branches begins new episodes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jax import Array
from numpy.typing import NDArray

from hyperprompt.collect.bases import Raw
from hyperprompt.envs.envpool import build
from hyperprompt.envs.minigrid import encode
from hyperprompt.envs.plain import MINIGRID
from hyperprompt.errors import InvalidValue

ALIVE = 2
"""Runs that go on side by side; a pool of a hundred bodies is half a gigabyte."""


class Handle(NamedTuple):
    """Where an environment lives; its place there is its place in the batch."""

    pool: Array
    steps: Array


class Pool:
    """Environments of one EnvPool task that begin a new episode within the step that ends the last one."""

    def __init__(self, name: str, seeds: list[int]) -> None:
        self._envs = build(name, seeds, {"num_envs": len(seeds), "num_threads": 1})
        self._read = reading(name)
        self.steps = 0

    def reset(self) -> NDArray[np.float32]:
        return self._read(self._envs.reset()[0])

    def step(self, action: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        raw, reward, terminated, truncated, _ = self._envs.step(action)
        observation = final = self._read(raw)
        if (finished := np.flatnonzero(terminated | truncated)).size:
            observation = final.copy()
            observation[finished] = self._read(self._envs.reset(finished.astype(np.int32))[0])
        self.steps += 1
        return observation, final, np.asarray(reward, np.float32), terminated, truncated & ~terminated

    def close(self) -> None:
        self._envs.close()


def reading(name: str) -> Callable[[Any], NDArray[np.float32]]:
    """How a task's observations become (environments, size), float32: those of MiniGrid are codes, as they are live."""
    return encode if name.startswith(MINIGRID) else flat


def flat(observations: Any) -> NDArray[np.float32]:
    """(environments, ...) -> (environments, size), float32; the parts of a dict one after the other."""
    parts = list(observations.values()) if isinstance(observations, dict) else [observations]
    return np.concatenate([np.asarray(part, np.float32).reshape(len(part), -1) for part in parts], axis=1)


class Host:
    """One EnvPool task as two pure-looking functions for one environment, to be vmapped over whatever is asked of it.

    Args:
        name: the task's id.

    Raises:
        InvalidValue: a task whose observations or actions a small network cannot take.
        MissingDependency: EnvPool is not installed.
    """

    image = False

    def __init__(self, name: str) -> None:
        self.name = name
        probe = build(name, [0], {"num_envs": 1, "num_threads": 1})
        seen, action, self.limit = probe.observation_space, probe.action_space, int(probe.config["max_episode_steps"])
        read = reading(name)
        parts = seen.values() if isinstance(seen, spaces.Dict) else [seen]
        for part in parts if read is flat else ():
            if not isinstance(part, spaces.Box) or not np.issubdtype(part.dtype, np.floating) or len(part.shape) > 2:
                raise InvalidValue(f"{name}: a small network takes vectors of numbers, not {part}")
        if not isinstance(action, spaces.Box | spaces.Discrete):
            raise InvalidValue(f"{name}: expected one discrete action or a vector of numbers, not {action}")
        self.observation_size = read(probe.reset()[0]).shape[1]
        self.continuous = isinstance(action, spaces.Box)
        self._bounds = (action.low, action.high) if isinstance(action, spaces.Box) else None
        self.action_size = int(action.shape[0]) if isinstance(action, spaces.Box) else int(action.n)
        self._action_dtype = action.dtype
        probe.close()
        self._pools: OrderedDict[int, Pool] = OrderedDict()
        self._numbers = count()
        self._visits = 0

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Environments that are begun within are closed at its end, and cost no run that goes on its place."""
        known = set(self._pools)
        self._visits += 1
        try:
            yield
        finally:
            self._visits -= 1
            for number in self._pools.keys() - known:
                self._pools.pop(number).close()

    def reset(self, key: Array) -> tuple[Array, Handle]:
        seen = jax.ShapeDtypeStruct((self.observation_size,), jnp.float32)
        number = jax.ShapeDtypeStruct((), jnp.int32)
        seed = jax.random.bits(key, dtype=jnp.uint32)
        observation, pool = _call(self._begin, (seen, number), seed)
        return observation, Handle(pool, jnp.int32(0))

    def step(self, key: Array, handle: Handle, action: Array) -> tuple[Handle, Raw]:
        seen, number = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((self.observation_size,), ()))
        flag = jax.ShapeDtypeStruct((), jnp.bool_)
        outcome = _call(self._go_on, (seen, seen, number, flag, flag), handle.pool, handle.steps, action)
        return Handle(handle.pool, handle.steps + 1), Raw(*outcome)

    def _begin(self, seeds: Any) -> tuple[NDArray[Any], ...]:
        seeds = np.asarray(seeds)
        number, pool = next(self._numbers), Pool(self.name, [int(s) % 2**31 for s in seeds.reshape(-1)])
        self._pools[number] = pool
        while len(self._pools) > ALIVE and not self._visits:
            self._pools.popitem(last=False)[1].close()
        return pool.reset().reshape(*seeds.shape, -1), np.full(seeds.shape, number, np.int32)

    def _go_on(self, numbers: Any, steps: Any, action: Any) -> tuple[NDArray[Any], ...]:
        numbers, steps, action = (np.asarray(part) for part in (numbers, steps, action))
        # Under vmap a loop freezes the state of runs that are finished, and steps them on with the others.
        number, done = int(numbers.flat[0]), int(steps.max())
        pool = self._pools.get(number)
        if pool is None or (numbers != number).any() or done != pool.steps:
            raise InvalidValue(f"{self.name}: these environments are not those of pool {number} after {done} steps")
        self._pools.move_to_end(number)
        rows = action.reshape(numbers.size, *action.shape[numbers.ndim :])
        if self._bounds:
            rows = np.clip(rows, *self._bounds)
        outcome = pool.step(rows.astype(self._action_dtype))
        return tuple(part.reshape(*numbers.shape, *part.shape[1:]) for part in outcome)


def _call(function: Callable[..., Any], results: Any, *arguments: Array) -> Any:
    return jax.pure_callback(function, results, *arguments, vmap_method="broadcast_all")

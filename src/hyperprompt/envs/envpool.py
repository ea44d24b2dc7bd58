"""EnvPool behind Stable-Baselines3's `VecEnv`: the same contract, several times the speed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from hyperprompt.envs.opaque import OpaqueVecEnv
from hyperprompt.envs.seeding import draw, spread
from hyperprompt.errors import InvalidValue, MissingDependency


class EnvPoolVecEnv(OpaqueVecEnv):
    """`n_envs` environments of the EnvPool task `name`, stepped in one call.

    Observations are (n_envs, *shape) arrays, or a dict of them; floating ones, and rewards, are float32. What SB3 expects
    and EnvPool does not do by itself: a finished environment is reset within the step that ends it (EnvPool does so in the
    next one, with reward 0), and `infos` carry `terminal_observation`, `TimeLimit.truncated` and `episode`.
    EnvPool calls every episode truncated that ends on the last step of its limit, also one that reaches a terminal state
    on exactly that step.

    One thread: with PPO on LunarLander, 64 environments, a second one adds 5 to 10% steps/s and takes a core from the run
    beside; on CartPole it costs. `options` go to `envpool.make`.

    Raises MissingDependency, or InvalidValue for a task that SB3 cannot train on.
    """

    def __init__(self, name: str, n_envs: int, seed: int, threads: int = 1, **options: Any) -> None:
        self._name = name
        self._pool_options = options | {"num_envs": n_envs, "num_threads": threads}
        self._pool = build(name, spread(seed, n_envs), self._pool_options)
        self._pool_seed = seed
        self._wanted_seed: int | None = None
        self._fresh = True
        self._actions: np.ndarray = np.empty(0)
        self._returns = np.zeros(n_envs, dtype=np.float64)
        self._lengths = np.zeros(n_envs, dtype=np.int64)
        self._start = time.time()
        super().__init__(n_envs, *_trainable_spaces(name, self._pool))

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Takes effect at the next `reset`, once, like every `VecEnv` of SB3. None draws a seed.

        EnvPool takes seeds at construction only, so that `reset` then builds a new pool, unless the pool has this seed and
        has not been used. Returns the seed of each environment.
        """
        self._wanted_seed = draw() if seed is None else seed
        return list(spread(self._wanted_seed, self.num_envs))

    def reset(self) -> VecEnvObs:
        """Starts every environment anew. Returns the first observations."""
        if self._wanted_seed is not None and not (self._fresh and self._wanted_seed == self._pool_seed):
            self._pool.close()
            self._pool = build(self._name, spread(self._wanted_seed, self.num_envs), self._pool_options)
            self._pool_seed = self._wanted_seed
        self._wanted_seed = None
        self._fresh = False
        self._returns[:] = 0.0
        self._lengths[:] = 0
        observations: VecEnvObs = _float32(self._pool.reset()[0])
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Takes (n, *action shape). Raises InvalidValue for another n: EnvPool checks its first call only, then reads on."""
        if len(actions) != self.num_envs:
            raise InvalidValue(f"{self.num_envs} environments need {self.num_envs} actions, got {len(actions)}")
        self._actions = np.asarray(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """One step of every environment: observations (n, *shape), rewards (n,), dones (n,), infos (n dicts)."""
        observations, rewards, terminated, truncated, _ = self._pool.step(self._actions)
        observations = _float32(observations)
        self._fresh = False
        self._returns += rewards
        self._lengths += 1
        dones: np.ndarray = terminated | truncated
        # SB3 walks over the infos in Python. Empty ones cost 20 ns each; EnvPool's own are a dict of arrays, and unused.
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        finished = np.flatnonzero(dones)
        if finished.size:
            elapsed = round(time.time() - self._start, 6)
            for i in finished.tolist():
                infos[i] = {
                    "terminal_observation": _row(observations, i),
                    "TimeLimit.truncated": bool(truncated[i]),
                    "episode": {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": elapsed},
                }
            self._returns[finished] = 0.0
            self._lengths[finished] = 0
            first, _ = self._pool.reset(finished.astype(np.int32))
            _overwrite(observations, finished, first)
        return observations, np.asarray(rewards, dtype=np.float32), dones, infos

    def close(self) -> None:
        self._pool.close()

    def _opaque(self) -> tuple[str, str]:
        return repr(self._name), "EnvPool has no Python environments; take backend='gymnasium'"


def build(name: str, seeds: list[int], options: dict[str, Any]) -> Any:
    """EnvPool's own pool, one seed an environment. Raises MissingDependency, or InvalidValue for what EnvPool cannot build."""
    try:
        import envpool
    except ImportError as error:
        raise MissingDependency("the EnvPool backend", "envs") from error
    try:
        with warnings.catch_warnings():
            # Said of bounds that float32 cannot hold exactly, at the first look at a space. A pool keeps its spaces.
            warnings.filterwarnings("ignore", message=".*precision lowered by casting.*")
            pool = envpool.make_gymnasium(name, seed=seeds, **options)
            _ = pool.observation_space, pool.action_space
            return pool
    except Exception as error:  # it raises what its C++ side happens to raise: assertions, import errors, runtime errors
        raise InvalidValue(f"EnvPool cannot build {name!r}: {error}") from error


def _trainable_spaces(name: str, pool: Any) -> tuple[Space[Any], Space[Any]]:
    """Observation and action space of one environment, as SB3 is to see them. Raises InvalidValue."""
    observation, action = pool.observation_space, pool.action_space
    flat = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
    parts = observation.spaces.values() if isinstance(observation, spaces.Dict) else [observation]
    if not all(isinstance(part, flat) for part in (*parts, action)) or pool.config.get("max_num_players", 1) != 1:
        raise InvalidValue(f"SB3 cannot train on {name!r}: nested spaces or several players ({observation}, {action})")
    if isinstance(observation, spaces.Dict):
        return spaces.Dict({key: _repaired(part) for key, part in observation.spaces.items()}), _repaired(action)
    return _repaired(observation), _repaired(action)


def _repaired(space: Space[Any]) -> Space[Any]:
    """Floating boxes in float32, and with infinite bounds where EnvPool has its type's extreme numbers.

    Its LunarLander claims [1e-38, 3e38], its dm_control [2e-308, ...]: C++'s `numeric_limits<T>::min()` is the smallest
    POSITIVE number.
    """
    if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
        return space
    own, single = np.finfo(space.dtype), np.finfo(np.float32)
    with np.errstate(over="ignore"):
        low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    low[(space.low == own.tiny) | (low <= single.min)] = -np.inf
    high[high >= single.max] = np.inf
    return spaces.Box(low, high, dtype=np.float32)


def _float32(observations: Any) -> Any:
    """Observations with float64 arrays turned into float32 ones; others as they are."""
    if isinstance(observations, dict):
        return {key: _float32(part) for key, part in observations.items()}
    return observations.astype(np.float32) if observations.dtype == np.float64 else observations


def _row(observations: Any, i: int) -> Any:
    """A copy of one environment's observation."""
    if isinstance(observations, dict):
        return {key: part[i].copy() for key, part in observations.items()}
    return observations[i].copy()


def _overwrite(observations: Any, ids: np.ndarray, new: Any) -> None:
    """observations[ids] = new, for arrays and dicts of arrays."""
    if isinstance(observations, dict):
        for key, part in observations.items():
            part[ids] = new[key]
    else:
        observations[ids] = new

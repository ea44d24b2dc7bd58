"""The backend that is always there: Gymnasium's environments, one after the other in this process."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from hyperprompt.envs.seeding import draw, spread
from hyperprompt.errors import InvalidValue, MissingDependency


class GymnasiumVecEnv(DummyVecEnv):
    """SB3's own `DummyVecEnv` with `Monitor`s, so that both backends are held to the same semantics, and spread seeds.

    Gymnasium's `SyncVectorEnv` is about 15% faster on CartPole and would need an adapter of its own; whoever minds
    takes EnvPool.
    """

    def __init__(self, constructors: list[Callable[[], gymnasium.Env[Any, Any]]], seed: int) -> None:
        super().__init__(constructors)
        self.seed(seed)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Takes effect at the next `reset`, once, like every `VecEnv` of SB3."""
        self._seeds = list(spread(draw() if seed is None else seed, self.num_envs))
        return self._seeds


def make_gymnasium(name: str, n_envs: int, seed: int) -> GymnasiumVecEnv:
    """`n_envs` copies of a registered Gymnasium id. Raises MissingDependency or InvalidValue if it cannot be built."""

    def construct() -> gymnasium.Env[Any, Any]:
        env: gymnasium.Env[Any, Any] = gymnasium.make(name)
        space = env.observation_space
        if isinstance(space, gymnasium.spaces.Box) and space.dtype == np.float64:
            env = gymnasium.wrappers.DtypeObservation(env, np.float32)
        return Monitor(env)

    try:
        with warnings.catch_warnings():
            # Bounds that float32 cannot hold exactly are of no consequence, and it is said once per environment.
            warnings.filterwarnings("ignore", message=".*precision lowered by casting.*")
            return GymnasiumVecEnv([construct] * n_envs, seed)
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise MissingDependency(f"Gymnasium's {name!r} ({error})", "envs") from error
    except gymnasium.error.Error as error:
        raise InvalidValue(f"Gymnasium cannot build {name!r}: {error}") from error

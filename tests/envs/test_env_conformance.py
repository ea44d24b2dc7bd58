"""The contract of `make`, held against both backends and four tasks of very different ends."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

from hyperprompt.envs.make import make
from hyperprompt.testing import VecEnvConformance

envpool_only = pytest.mark.skipif(find_spec("envpool") is None, reason="extra not installed")
box2d = pytest.mark.skipif(find_spec("Box2D") is None or find_spec("pygame") is None, reason="extra not installed")


class CartPole(VecEnvConformance):
    backend = "gymnasium"
    reward_bound = 1.0
    time_limit = 500

    def make_env(self, n_envs: int, seed: int) -> VecEnv:
        return make("CartPole-v1", n_envs, seed, self.backend)  # type: ignore[arg-type]

    def is_first(self, observation: np.ndarray) -> bool:
        return bool(np.all(np.abs(observation) <= 0.05))

    def test_no_step_is_spent_on_resetting(self) -> None:
        env = self.make_env(3, 0)
        env.reset()
        for _ in range(100):
            _, rewards, dones, infos = env.step(np.zeros(3, np.int64))
            assert np.all(rewards == 1.0)
            for i in np.flatnonzero(dones):
                last = infos[i]["terminal_observation"]
                assert abs(last[0]) > 2.4 or abs(last[2]) > 0.2


class LunarLander(VecEnvConformance):
    backend = "gymnasium"
    reward_bound = 400.0
    in_space = False  # it flies off

    def make_env(self, n_envs: int, seed: int) -> VecEnv:
        return make("LunarLander-v3", n_envs, seed, self.backend)  # type: ignore[arg-type]

    def is_first(self, observation: np.ndarray) -> bool:
        return abs(observation[0]) < 0.02 and 1.38 < observation[1] < 1.45 and not observation[6:].any()


class Acrobot(VecEnvConformance):
    backend = "gymnasium"
    reward_bound = 1.0
    time_limit = 500
    steps = 1100

    def make_env(self, n_envs: int, seed: int) -> VecEnv:
        return make("Acrobot-v1", n_envs, seed, self.backend)  # type: ignore[arg-type]

    def is_first(self, observation: np.ndarray) -> bool:
        return bool(np.all(observation[[0, 2]] > 0.99) and np.all(np.abs(observation[4:]) <= 0.1))


class Pendulum(VecEnvConformance):
    backend = "gymnasium"
    reward_bound = 17.0
    time_limit = 200
    terminates = False

    def make_env(self, n_envs: int, seed: int) -> VecEnv:
        return make("Pendulum-v1", n_envs, seed, self.backend)  # type: ignore[arg-type]

    def is_first(self, observation: np.ndarray) -> bool:
        return abs(observation[2]) <= 1.0


class TestGymnasiumCartPole(CartPole): ...


@box2d
class TestGymnasiumLunarLander(LunarLander): ...


class TestGymnasiumAcrobot(Acrobot): ...


class TestGymnasiumPendulum(Pendulum): ...


@envpool_only
class TestEnvPoolCartPole(CartPole):
    backend = "envpool"


@envpool_only
class TestEnvPoolLunarLander(LunarLander):
    backend = "envpool"


@envpool_only
class TestEnvPoolAcrobot(Acrobot):
    backend = "envpool"


@envpool_only
class TestEnvPoolPendulum(Pendulum):
    backend = "envpool"

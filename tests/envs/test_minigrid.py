"""MiniGrid as a vector: the contract, and that nothing of the view is lost."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

from hyperprompt.envs.make import make
from hyperprompt.envs.minigrid import CODES, SIZE, VIEW, encode
from hyperprompt.testing import VecEnvConformance

pytestmark = pytest.mark.skipif(find_spec("envpool") is None, reason="extra not installed")


class TestDynamicObstacles(VecEnvConformance):
    time_limit = 144
    reward_bound = 1.0
    starts_differ = False  # a 6 x 6 room has few

    def make_env(self, n_envs: int, seed: int) -> VecEnv:
        return make("MiniGrid-Dynamic-Obstacles-6x6-v0", n_envs, seed)

    def is_first(self, observation: np.ndarray) -> bool:
        return bool(observation[-4:].sum() == 1.0)


def test_the_view_can_be_read_back() -> None:
    rng = np.random.default_rng(0)
    image = np.stack([rng.integers(0, size, (6, VIEW, VIEW)) for size in CODES], axis=-1).astype(np.uint8)
    direction = np.arange(6) % 4
    vector = encode({"image": image, "direction": direction})
    assert vector.shape == (6, SIZE)
    squares = vector[:, :-4].reshape(6, VIEW, VIEW, sum(CODES))
    at = 0
    for i, size in enumerate(CODES):
        np.testing.assert_array_equal(squares[..., at : at + size].argmax(-1), image[..., i])
        at += size
    np.testing.assert_array_equal(vector[:, -4:].argmax(-1), direction)

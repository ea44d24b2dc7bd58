"""MiniGrid's dict of a tiny picture of codes, a direction and a text as one vector that a perceptron can read."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

CODES = (11, 6, 4)
"""How many objects, colours and states a square's three codes can name."""
VIEW, DIRECTIONS = 7, 4
SIZE = VIEW * VIEW * sum(CODES) + DIRECTIONS


class MiniGridVector(VecEnvWrapper):
    """Observations (n, 1033) float32: one-hot codes of the 7 x 7 squares in view, then the one-hot direction.

    The text of the mission is left out: it is the same in every episode of the tasks listed.
    """

    def __init__(self, env: VecEnv) -> None:
        super().__init__(env, observation_space=spaces.Box(0.0, 1.0, (SIZE,), np.float32))

    def reset(self) -> np.ndarray:
        return encode(self.venv.reset())

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        for i in np.flatnonzero(dones):
            last = infos[i]["terminal_observation"]
            infos[i]["terminal_observation"] = encode({key: np.asarray(value)[None] for key, value in last.items()})[0]
        return encode(observations), rewards, dones, infos


def encode(observations: Any) -> np.ndarray:
    """{"image": (n, 7, 7, 3) codes, "direction": (n,)} -> (n, 1033)."""
    image, direction = observations["image"], np.asarray(observations["direction"]).reshape(-1)
    n = len(image)
    parts = [np.eye(size, dtype=np.float32)[np.minimum(image[..., i], size - 1)] for i, size in enumerate(CODES)]
    squares = np.concatenate(parts, axis=-1).reshape(n, -1)
    return np.concatenate([squares, np.eye(DIRECTIONS, dtype=np.float32)[direction]], axis=1)

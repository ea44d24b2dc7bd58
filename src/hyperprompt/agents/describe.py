"""The task line: what a model's spaces look like from outside."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space

from hyperprompt.core import Task


def task(env: str, algorithm: str, model: Any, total_steps: int) -> Task:
    """`observation_size` counts numbers, `action_size` the dimensions (continuous) or the choices (discrete) of an action."""
    observation = model.observation_space
    action = model.action_space
    return Task(
        env=env,
        algorithm=algorithm,
        action="continuous" if isinstance(action, spaces.Box) else "discrete",
        observation=observation_kind(observation),
        observation_size=int(spaces.flatdim(observation)),
        action_size=int(np.prod(action.shape)) if isinstance(action, spaces.Box) else int(spaces.flatdim(action)),
        n_envs=int(model.n_envs),
        total_steps=total_steps,
    )


def observation_kind(space: spaces.Space[Any]) -> Literal["vector", "image", "mixed"]:
    """ "image" also covers grids of three dimensions that are not stored as bytes."""
    if isinstance(space, spaces.Dict):
        return "mixed"
    if isinstance(space, spaces.Box) and (is_image_space(space) or len(space.shape) >= 3):
        return "image"
    return "vector"

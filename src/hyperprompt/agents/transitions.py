"""Sampled transitions (o, a, r) as a few numbers each, read at fixed positions: no random number is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from hyperprompt.agents.describe import observation_kind
from hyperprompt.core import Transition

AT_MOST = 4
"""A vector of at most this many numbers stands as it is; a longer one as mean, standard deviation, minimum, maximum."""


def statistics(values: np.ndarray[Any, Any]) -> tuple[float, ...]:
    flat = np.asarray(values, dtype=np.float64)
    return (float(flat.mean()), float(flat.std()), float(flat.min()), float(flat.max()))


def numbers(values: Any) -> tuple[float, ...]:
    flat = np.asarray(values, dtype=np.float64).ravel()
    return tuple(float(x) for x in flat) if flat.size <= AT_MOST else statistics(flat)


def observation(value: Any, space: spaces.Space[Any]) -> tuple[float, ...]:
    """An observation without batch dimension. Images always as statistics, bytes scaled to [0, 1]; dicts concatenated."""
    if isinstance(space, spaces.Dict):
        return numbers(np.concatenate([_scaled(value[key], sub).ravel() for key, sub in space.spaces.items()]))
    scaled = _scaled(value, space)
    return statistics(scaled) if observation_kind(space) == "image" else numbers(scaled)


def _scaled(value: Any, space: spaces.Space[Any]) -> np.ndarray[Any, Any]:
    image = observation_kind(space) == "image" and space.dtype == np.uint8
    return np.asarray(value, dtype=np.float64) / (255.0 if image else 1.0)


def at(buffer: Any, row: int, env: int, reward: float | None, space: spaces.Space[Any], normaliser: Any = None) -> Transition:
    """The transition in `row` of environment `env` of a rollout or replay buffer, observed as the agent sees it.

    `reward` is the raw one where the buffer does not hold it; `normaliser` is applied to a buffer of raw observations.
    """
    stored = buffer.observations
    seen = {key: value[row, env] for key, value in stored.items()} if isinstance(stored, dict) else stored[row, env]
    return Transition(
        observation=observation(buffer._normalize_obs(seen, normaliser), space),
        action=numbers(buffer.actions[row, env]),
        reward=float(buffer.rewards[row, env]) if reward is None else reward,
    )

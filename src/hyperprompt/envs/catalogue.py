"""What a task looks like from outside: kinds and sizes of its observations and actions. Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hyperprompt.meta.interval import DEFAULT_DECISIONS

if TYPE_CHECKING:
    from gymnasium import spaces

Backend = Literal["auto", "envpool", "gymnasium"]
ActionKind = Literal["discrete", "continuous"]
Algorithm = Literal["ppo", "sac", "sbx-ppo", "sbx-sac"]
ObservationKind = Literal["vector", "image", "mixed"]


@dataclass(frozen=True)
class EnvInfo:
    """One task, as `hyperprompt envs` lists it."""

    name: str
    family: str
    backend: str
    """What `make` takes for it here: "envpool", "gymnasium", or "" where neither is installed."""
    action: ActionKind
    action_size: int
    """Number of choices (discrete) or of dimensions (continuous)."""
    observation: ObservationKind
    observation_shape: tuple[int, ...]
    """Shape of one observation; () for a discrete or a mixed one."""
    algorithm: Algorithm
    """The default algorithm for the task."""
    steps: int
    """T, the default budget in environment steps: what a run here can afford, and the x-axis of the fixed task scale."""
    every: int
    """U, environment steps between two decisions."""
    install: str = ""
    """The command that installs what the task needs; "" where it works."""


STEPS = 100_000
"""T of a task nobody has chosen one for."""


def describe_spaces(
    name: str,
    family: str,
    backend: str,
    observation_space: spaces.Space[object],
    action_space: spaces.Space[object],
    steps: int = STEPS,
) -> EnvInfo:
    """The `EnvInfo` that follows from a task's real spaces (gymnasium ones)."""
    from gymnasium import spaces

    observation: ObservationKind = "vector"
    if isinstance(observation_space, (spaces.Dict, spaces.Tuple)):
        observation = "mixed"
    elif isinstance(observation_space, spaces.Box) and len(observation_space.shape) == 3:
        observation = "image"
    if isinstance(action_space, spaces.Discrete):
        kind, size = "discrete", int(action_space.n)
    elif isinstance(action_space, spaces.MultiDiscrete):
        kind, size = "discrete", int(action_space.nvec.sum())
    elif isinstance(action_space, spaces.MultiBinary):
        kind, size = "discrete", 2 * math.prod(action_space.shape)
    else:
        kind, size = "continuous", math.prod(action_space.shape or (1,))
    return info(name, family, backend, kind, size, observation, observation_space.shape or (), steps)


def info(
    name: str,
    family: str,
    backend: str,
    action: str,
    size: int,
    observation: ObservationKind,
    shape: tuple[int, ...],
    steps: int = STEPS,
    install: str = "",
    algorithm: Algorithm | None = None,
) -> EnvInfo:
    """An `EnvInfo` with its interval (U = T / 24) and, if none is given, an algorithm: SAC for continuous actions, else PPO.

    Images take PPO in any case: SAC's replay buffer of a million of them does not fit in memory.
    """
    continuous = action == "continuous"
    return EnvInfo(
        name=name,
        family=family,
        backend=backend,
        action="continuous" if continuous else "discrete",
        action_size=size,
        observation=observation,
        observation_shape=tuple(shape),
        algorithm=algorithm or ("sac" if continuous and observation != "image" else "ppo"),
        steps=steps,
        every=steps // DEFAULT_DECISIONS,
        install=install,
    )

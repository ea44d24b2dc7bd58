"""Agents: the inner RL learners, seen through `core.Agent`. `wrap` is the way in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperprompt.errors import UnknownName

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

    from hyperprompt.agents.base import ModelAgent

# Where each supported algorithm is defined: (module, class) -> (library, algorithm).
_SUPPORTED: dict[tuple[str, str], tuple[str, str]] = {
    ("stable_baselines3.ppo.ppo", "PPO"): ("sb3", "ppo"),
    ("stable_baselines3.a2c.a2c", "A2C"): ("sb3", "a2c"),
    ("stable_baselines3.sac.sac", "SAC"): ("sb3", "sac"),
    ("stable_baselines3.td3.td3", "TD3"): ("sb3", "td3"),
    ("stable_baselines3.dqn.dqn", "DQN"): ("sb3", "dqn"),
    ("sbx.ppo.ppo", "PPO"): ("sbx", "ppo"),
    ("sbx.sac.sac", "SAC"): ("sbx", "sac"),
}


def wrap(model: BaseAlgorithm) -> ModelAgent:
    """`model` as a `core.Agent`: Stable-Baselines3 PPO, A2C, SAC, TD3, DQN; SBX PPO, SAC; and classes derived from them.

    Raises:
        UnknownName: any other algorithm.
    """
    # By name, so that asking costs no import of JAX.
    for ancestor in type(model).__mro__:
        library, algorithm = _SUPPORTED.get((ancestor.__module__, ancestor.__name__), ("", ""))
        if library == "sb3":
            from hyperprompt.agents.sb3 import Sb3Agent

            return Sb3Agent(model, algorithm)
        if library == "sbx":
            from hyperprompt.agents.sbx import SbxAgent

            return SbxAgent(model, algorithm)
    valid = [f"{library}.{algorithm.upper()}" for library, algorithm in _SUPPORTED.values()]
    raise UnknownName("algorithm", f"{type(model).__module__.partition('.')[0]}.{type(model).__name__}", valid)

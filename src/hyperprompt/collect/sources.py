"""The cheap tasks, by name: which gymnax environment, and what is changed in it. Needs neither JAX nor gymnax.

Whether actions are discrete decides who trains there: PPO on these, SAC on tasks of continuous actions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


def _same(action: Any) -> Any:
    return action


def _torque(action: Any) -> Any:
    return action.astype("float32") - 2.0


@dataclass(frozen=True)
class Source:
    """A gymnax environment. Continuous actions come as numbers in [-1, 1], `action` turns them into its own."""

    id: str
    action: Callable[[Any], Any] = _same
    actions: int | None = None
    one_hot: int | None = None
    arguments: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] | None = None
    continuous: bool = False


SOURCES: Mapping[str, Source] = {
    "cartpole": Source("CartPole-v1"),
    "acrobot": Source("Acrobot-v1"),
    # Five torques in place of a continuous one.
    "pendulum": Source("Pendulum-v1", action=_torque, actions=5),
    # Ten balls an episode; at the library's thousand steps a whole rollout would hold two episodes.
    "catch": Source("Catch-bsuite", parameters={"max_steps_in_episode": 90}),
    "rooms": Source("FourRooms-misc", parameters={"fail_prob": 0.1, "max_steps_in_episode": 200}),
    "lake": Source("FrozenLake-misc", one_hot=16, arguments={"success_rate": 0.8}),
    "breakout": Source("Breakout-MinAtar"),
    "invaders": Source("SpaceInvaders-MinAtar"),
    "asterix": Source("Asterix-MinAtar"),
    # Continuous actions from here on.
    "swingup": Source("Pendulum-v1", action=lambda a: 2.0 * a[0], actions=1, continuous=True),
    "hill": Source("MountainCarContinuous-v0", action=lambda a: a[0], actions=1, continuous=True),
    # The push is what gymnax makes of a number between its two actions.
    "balance": Source("CartPole-v1", action=lambda a: 0.5 * (a[0] + 1.0), actions=1, continuous=True),
    "point": Source("PointRobot-misc", action=lambda a: 0.1 * a, parameters={"dense_reward": True}, continuous=True),
}


def continuous(name: str) -> bool:
    """Whether SAC trains on the task; not so where there is none of that name."""
    return name in SOURCES and SOURCES[name].continuous

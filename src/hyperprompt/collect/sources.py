"""The cheap tasks, by name: which gymnax environment, what is changed in it, who trains there. Needs neither JAX nor gymnax.

One environment may be several tasks: of discrete actions or continuous ones, of PPO or SAC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hyperprompt.collect.scales import GYMNAX
from hyperprompt.errors import UnknownName


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
    algorithm: Literal["ppo", "sac"] = "ppo"


_CONTINUOUS: Mapping[str, Source] = {
    "swingup": Source("Pendulum-v1", action=lambda a: 2.0 * a[0], actions=1, continuous=True),
    "hill": Source("MountainCarContinuous-v0", action=lambda a: a[0], actions=1, continuous=True),
    # The push is what gymnax makes of a number between its two actions.
    "balance": Source("CartPole-v1", action=lambda a: 0.5 * (a[0] + 1.0), actions=1, continuous=True),
    "point": Source("PointRobot-misc", action=lambda a: 0.1 * a, parameters={"dense_reward": True}, continuous=True),
}
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
    **{name: replace(source, algorithm="sac") for name, source in _CONTINUOUS.items()},
    # Without hill, where PPO learns to stand still at best (docs/collect.md).
    **{f"{name}-ppo": _CONTINUOUS[name] for name in ("swingup", "balance", "point")},
    # At the library's 500 steps a run would hold four episodes an environment.
    "swimmer-ppo": Source("Swimmer-misc", parameters={"max_steps_in_episode": 200}, continuous=True),
}


def find(name: str) -> Source:
    """The task of that name.

    Raises:
        UnknownName: lists the tasks.
    """
    if name not in SOURCES:
        raise UnknownName("cheap task", name, SOURCES)
    return SOURCES[name]


def relatives(task: str) -> frozenset[str]:
    """The tasks of the same environment, `task` among them: who leaves it out of what is learned from leaves out all of them.

    Names have the family's prefix where `task` has it. Another family's task is its own only relative.
    """
    prefix = f"{GYMNAX}/" if task.startswith(f"{GYMNAX}/") else ""
    base = task.removeprefix(prefix)
    if base not in SOURCES:
        return frozenset({task})
    return frozenset(prefix + name for name, source in SOURCES.items() if source.id == SOURCES[base].id)

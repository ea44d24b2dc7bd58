"""The tasks of the compiled collectors, by name. Needs neither JAX nor gymnax.

Those of gymnax are listed here: which environment, what is changed in it, who trains there. One environment may be several
tasks: of discrete actions or continuous ones, of PPO or SAC. `envpool/ID` is any task of EnvPool whose observations a small
network takes; PPO trains there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hyperprompt.errors import UnknownName

GYMNAX = "gymnax"
"""Family, and prefix, of gymnax's tasks where they stand beside others: gymnax/cartpole."""
ENVPOOL = "envpool"
"""Family and prefix of EnvPool's tasks under a compiled learner: envpool/Ant-v5 is the environment of the live Ant-v5."""
COMPILED = (GYMNAX, ENVPOOL)
"""The families whose learner is compiled."""
TUNABLE: Mapping[str, tuple[str, ...]] = {
    "ppo": ("learning_rate", "n_epochs", "ent_coef", "clip_range", "gamma", "gae_lambda", "vf_coef", "max_grad_norm"),
    "sac": ("learning_rate", "tau", "gamma", "gradient_steps", "target_entropy"),
}
"""The hyperparameters that the compiled learner of an algorithm has."""


def is_compiled(task: str) -> bool:
    """Whether the name, a family's prefix included, is that of a task whose learner is compiled."""
    return task.partition("/")[0] in COMPILED


def _same(action: Any) -> Any:
    return action


def _torque(action: Any) -> Any:
    return action.astype("float32") - 2.0


@dataclass(frozen=True)
class Source:
    """An environment. In gymnax, continuous actions come as numbers in [-1, 1], `action` turns them into its own."""

    id: str
    action: Callable[[Any], Any] = _same
    actions: int | None = None
    one_hot: int | None = None
    arguments: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] | None = None
    continuous: bool = False
    algorithm: Literal["ppo", "sac"] = "ppo"
    hosted: bool = False
    """A task of EnvPool: only the learner is compiled, and actions are the task's own."""


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
    if name.startswith(f"{ENVPOOL}/"):
        return Source(name.removeprefix(f"{ENVPOOL}/"), hosted=True)
    if name not in SOURCES:
        raise UnknownName("cheap task", name, SOURCES)
    return SOURCES[name]


def short(task: str) -> str:
    """The name that is used among compiled tasks: gymnax/cartpole is cartpole there; any other is called what it is."""
    return task.removeprefix(f"{GYMNAX}/")


def full(name: str) -> str:
    """The name that is used beside other families' tasks, the inverse of `short`."""
    return name if find(name).hosted else f"{GYMNAX}/{name}"


def relatives(task: str) -> frozenset[str]:
    """The tasks of the same environment, `task` among them: who leaves it out of what is learned from leaves out all of them.

    Of one environment are gymnax's tasks of its id, with and without the prefix, the live task of that id, and the one under
    a compiled learner. A task of another family is its own only one.
    """
    base = short(task)
    env = SOURCES[base].id if base in SOURCES else base.removeprefix(f"{ENVPOOL}/")
    if "/" in env:
        return frozenset({env})
    compiled = [name for name, source in SOURCES.items() if source.id == env]
    return frozenset({env, f"{ENVPOOL}/{env}", *compiled, *(f"{GYMNAX}/{name}" for name in compiled)})

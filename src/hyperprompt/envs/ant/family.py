"""Names of the family `ant`, their bodies, and the environments for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hyperprompt.envs.ant.morphology import SPLITS, Morphology, from_options, sample
from hyperprompt.envs.catalogue import Backend, EnvInfo, info
from hyperprompt.errors import InvalidValue, MissingDependency, UnknownName, install_command

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

STEPS = 240_000
"""T: what a CPU core affords with the preset `short` in ten minutes."""
DEFAULT, CUSTOM, STANDARD = "ant/default", "ant/custom", "Ant-v5"
NAMES = (DEFAULT, CUSTOM, *(f"ant/{split}-<k>" for split in SPLITS))
EXTRA = "ant"


def make(name: str, n_envs: int, seed: int, backend: Backend, options: Mapping[str, Any]) -> VecEnv:
    """See `hyperprompt.envs.make.make`. Every body runs on MuJoCo itself, without a thread of its own or a copy.

    The default body does so faster than EnvPool's Ant-v5 on one core and reproduces Gymnasium's; another backend named for it
    gives Ant-v5 from there.

    Raises:
        InvalidValue: another backend than auto for a body that only our own environment has.
        MissingDependency: MuJoCo is not installed.
    """
    if name == DEFAULT and backend != "auto":
        from hyperprompt.envs.make import make as make_any

        return make_any(STANDARD, n_envs, seed, backend)
    if backend != "auto":
        raise InvalidValue(f"{name} runs on MuJoCo itself: the backend must be 'auto', got {backend!r}")
    if not _mujoco_installed():
        raise MissingDependency(f"{name} (package mujoco)", EXTRA)
    from hyperprompt.envs.ant.vec_env import AntVecEnv

    return AntVecEnv(morphology(name, options), n_envs, seed)


def exists(name: str, options: Mapping[str, Any]) -> None:
    """Raises UnknownName for a name or an option, InvalidValue for an option's value."""
    morphology(name, options)


def morphology(name: str, options: Mapping[str, Any] | None = None) -> Morphology:
    """The body behind a name (for `ant/default` the one whose dynamics are Ant-v5's). Raises UnknownName, InvalidValue."""
    options = options or {}
    if name == CUSTOM:
        return from_options(options)
    for option in options:
        raise UnknownName(f"option of {name} (bodies of your own are {CUSTOM})", str(option), ())
    if name == DEFAULT:
        return Morphology()
    # Nine digits are enough bodies; one spelling for each, so that a name is an identity.
    match = re.fullmatch(rf"ant/({'|'.join(SPLITS)})-(0|[1-9][0-9]{{0,8}})", name, re.ASCII)
    if match is None:
        raise UnknownName("ant task", name, NAMES)
    return sample(match[1], int(match[2]))


def list_envs() -> list[EnvInfo]:
    """Ant-v5 and the bodies that the split of meta-training looked at; `make` knows a billion bodies of each kind."""
    first = {split: range(1) for split in SPLITS} | {"train": range(3), "test": range(2)}
    names = [DEFAULT, *(f"ant/{split}-{k}" for split, bodies in first.items() for k in bodies), CUSTOM]
    return [describe(name, {}) for name in names]


def describe(name: str, options: Mapping[str, Any]) -> EnvInfo:
    """Spaces, backend, algorithm and budget, from the body alone."""
    body = morphology(name, options)
    backend = "mujoco" if _mujoco_installed() else ""
    install = "" if backend else install_command(EXTRA)
    shape = (body.observation_size,)
    return info(name, "ant", backend, "continuous", body.action_size, "vector", shape, STEPS, install, "sbx-sac")


def _mujoco_installed() -> bool:
    return find_spec("mujoco") is not None

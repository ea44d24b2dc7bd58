"""What every agent has in common: the settings of its model, the space they span, snapshots.

A library module (`sb3`, `sbx`) contributes one table of `Setting`s per algorithm, the reasons for what cannot change
online, and how weights are read and written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np
from gymnasium import spaces

from hyperprompt.agents import snapshots
from hyperprompt.agents.describe import task
from hyperprompt.core import Task
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.hyperparameters import Hyperparameter, HyperparameterSpace, Theta, for_algorithm


@dataclass(frozen=True)
class Setting:
    """Where one hyperparameter lives in a model.

    `read` gives the value in force; None or infinity means "without limit". `into` names every attribute (dotted paths
    from the model) that must be replaced for training to see a new value, with the conversion of the number. Paths that a
    model lacks (only n-step buffers hold a gamma) are left out. `then` reaches what no attribute holds.
    """

    read: Callable[[Any], float | None]
    into: Mapping[str, Callable[[float], Any]]
    then: Callable[[Any, float], None] | None = None


def integer(value: float) -> int:
    """An integer hyperparameter as the model takes it: at least 1."""
    return max(1, round(value))


def plain(name: str, convert: Callable[[float], Any] = float) -> Setting:
    """A hyperparameter that is one attribute of the model, read afresh at every update."""
    return Setting(attrgetter(name), {name: convert})


def gradient_steps() -> Setting:
    """`gradient_steps` of the off-policy algorithms; -1 reads as what it amounts to, one update per transition."""

    def read(model: Any) -> float:
        if model.gradient_steps >= 0:
            return float(model.gradient_steps)
        return float(model.train_freq.frequency * model.n_envs)

    return Setting(read, {"gradient_steps": integer})


def episodic_refusals(model: Any) -> dict[str, str]:
    """The one hyperparameter that has no number where training follows whole episodes."""
    if getattr(model, "gradient_steps", 1) < 0 and model.train_freq.unit.value == "episode":
        return {"gradient_steps": "-1 with training after whole episodes: the number varies with their length"}
    return {}


class ModelAgent:
    """A Stable-Baselines3 or SBX model as `core.Agent`.

    Args:
        model: the model; it is changed in place by `set` and `restore` only.
        algorithm: "ppo", "a2c", "sac", "td3" or "dqn".
        settings: where each hyperparameter lives; names that are missing here are not in the space.
        refused: hyperparameters that cannot change online in this model, with the reason.
    """

    library = ""

    def __init__(self, model: Any, algorithm: str, settings: Mapping[str, Setting], refused: Mapping[str, str]) -> None:
        self.model = model
        self.algorithm = algorithm
        self.refused: Mapping[str, str] = dict(refused)
        self._settings = {name: setting for name, setting in settings.items() if name not in refused}
        dimensions = int(np.prod(model.action_space.shape)) if isinstance(model.action_space, spaces.Box) else 1
        available = for_algorithm(algorithm, dimensions)
        self.space = HyperparameterSpace(tuple(_fit(h, self._read(h.name)) for h in available if h.name in self._settings))
        self._held: dict[str, float] = {}
        # The objects (a user's schedules) that were in place before the first `set`, for snapshots older than it.
        self._displaced: dict[str, dict[str, Any]] = {}

    def _read(self, name: str) -> float | None:
        value = self._settings[name].read(self.model)
        try:
            return None if value is None or math.isinf(value) else float(value)
        except TypeError as error:
            raise InvalidValue(f"{name} of the model is {value!r}, not a number") from error

    def get(self) -> dict[str, float]:
        """The values in force now, a user's schedule read at the current progress; without limit reads as the upper bound."""
        read = {h.name: self._read(h.name) for h in self.space}
        return {name: self.space[name].high if value is None else value for name, value in read.items()}

    def set(self, values: Theta) -> None:
        """Put values in force from the next update on. Only the names given are touched; bounds are the caller's matter.

        A value given replaces a schedule of the user's by a constant: leave out what is to be kept.

        Raises:
            UnknownName: a name this algorithm does not have.
            InvalidValue: a name in `refused`, or a value that is not finite; nothing has changed then.
        """
        for name, value in values.items():
            if name in self.refused:
                raise InvalidValue(f"{name} cannot change during this run: {self.refused[name]}")
            if name not in self._settings:
                raise UnknownName("hyperparameter", name, self.space.names)
            if not math.isfinite(value):
                raise InvalidValue(f"{name}: {value} is not a finite number")
        for name, value in values.items():
            if self._read(name) is None and value >= self.space[name].high:
                continue  # without limit stays without limit until it is lowered
            self._put(name, float(value))

    def _put(self, name: str, value: float) -> None:
        setting = self._settings[name]
        into = {path: convert for path, convert in setting.into.items() if _has(self.model, path)}
        self._displaced.setdefault(name, {path: attrgetter(path)(self.model) for path in into})
        for path, convert in into.items():
            _assign(self.model, path, convert(value))
        if setting.then is not None:
            setting.then(self.model, value)
        self._held[name] = value

    def describe(self, env: str, total_steps: int) -> Task:
        """The task line's content; `env` is the environment's name, `total_steps` the budget in environment steps."""
        return task(env, self.algorithm, self.model, total_steps)

    def updates(self) -> int:
        """Gradient steps done so far. PPO's own counter counts epochs; the library modules count its minibatches."""
        return int(self.model._n_updates)

    def seed(self, seed: int) -> None:
        """Seed every generator training draws from: Python, numpy, torch, the action space and the environments."""
        self.model.set_random_seed(seed)

    def snapshot(self) -> dict[str, Any]:
        """Weights, optimisers, counters, normaliser, episode statistics and the values set so far.

        A tree of dict, list, tuple, str, numbers and CPU tensors that share no memory with the model; it passes
        `torch.load(weights_only=True)`. The replay buffer (see `replay.ReplayLog`), environment states and the global
        random generators are not in it.
        """
        return {
            "algorithm": self.algorithm,
            "library": self.library,
            "weights": snapshots.to_plain(self._weights()),
            "counters": snapshots.counters(self.model),
            "normaliser": snapshots.normaliser(self.model),
            "episodes": snapshots.episodes(self.model),
            "held": dict(self._held),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Inverse of `snapshot` on an agent constructed the same way. The snapshot stays usable.

        `learn` must then be called with `reset_num_timesteps=False`, or Stable-Baselines3 zeroes the counters.

        Raises:
            InvalidValue: a snapshot of another algorithm or library.
        """
        for key in ("algorithm", "library"):
            if snapshot[key] != getattr(self, key):
                raise InvalidValue(f"this is a snapshot of {key} {snapshot[key]!r}, the agent has {getattr(self, key)!r}")
        for name in [name for name in self._held if name not in snapshot["held"]]:
            for path, value in self._displaced[name].items():
                _assign(self.model, path, value)
            del self._held[name]
        for name, value in snapshot["held"].items():
            self._put(name, value)
        self._load_weights(snapshot["weights"])
        snapshots.set_counters(self.model, snapshot["counters"])
        snapshots.set_normaliser(self.model, snapshot["normaliser"])
        snapshots.set_episodes(self.model, snapshot["episodes"])

    def _weights(self) -> dict[str, Any]:
        raise NotImplementedError

    def _load_weights(self, weights: Mapping[str, Any]) -> None:
        raise NotImplementedError


def _fit(h: Hyperparameter, value: float | None) -> Hyperparameter:
    """`h` starting at the model's value, its bounds widened to hold it.

    What the scale cannot hold reads as the bound instead: 0 on a log scale, 1 on that of discounts, no limit at all.
    """
    if value is None:
        return replace(h, default=h.high)
    low, high = h.low, h.high
    if value < low and (h.scale in ("linear", "one_minus_log") or value > 0):
        low = value
    if value > high and (h.scale != "one_minus_log" or value < 1):
        high = value
    return replace(h, low=low, high=high, default=value)


def _has(model: Any, path: str) -> bool:
    try:
        attrgetter(path)(model)
    except AttributeError:
        return False
    return True


def _assign(model: Any, path: str, value: Any) -> None:
    parent, _, name = path.rpartition(".")
    setattr(attrgetter(parent)(model) if parent else model, name, value)

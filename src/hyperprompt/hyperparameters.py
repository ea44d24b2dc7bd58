"""Hyperparameters theta, their own scales, and the spaces each algorithm offers.

On its own scale a hyperparameter has a coordinate u(x) in which steps are added:

    theta_{t+1} = clip(theta_t (+) delta_t)    with    u(theta (+) delta) = u(theta) + delta

One unit of delta doubles a `log` or `integer` value, doubles the horizon 1/(1-x) of a `one_minus_log` value, and moves a
`linear` one by a tenth of its range. A positive delta raises every value within the bounds; one outside is first
brought to the bound, whichever way the step goes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hyperprompt.errors import InvalidValue, UnknownName

Scale = Literal["log", "linear", "one_minus_log", "integer"]
Theta = Mapping[str, float]
"""Values of the hyperparameters by name. Integers may carry a latent fraction; `Hyperparameter.value` rounds it."""

LINEAR_UNIT = 0.1


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter: bounds, first value and scale.

    Raises:
        InvalidValue: bounds the wrong way round, not finite, or outside the domain of the scale.
    """

    name: str
    low: float
    high: float
    default: float
    scale: Scale
    online: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise InvalidValue(f"{self.name}: bounds must be finite, not [{self.low}, {self.high}]")
        if self.low >= self.high:
            raise InvalidValue(f"{self.name}: lower bound {self.low:g} is not below upper bound {self.high:g}")
        if self.scale in ("log", "integer") and self.low <= 0:
            raise InvalidValue(f"{self.name}: a {self.scale} scale needs a lower bound above 0, not {self.low:g}")
        if self.scale == "integer" and math.floor(self.high) < math.ceil(self.low):
            raise InvalidValue(f"{self.name}: no integer lies between {self.low:g} and {self.high:g}")
        if self.scale == "one_minus_log" and self.high >= 1:
            raise InvalidValue(f"{self.name}: a one_minus_log scale needs an upper bound below 1, not {self.high:g}")

    def _coordinate(self, value: float) -> float:
        if self.scale == "linear":
            return value / ((self.high - self.low) * LINEAR_UNIT)
        if self.scale == "one_minus_log":
            return -math.log2(1.0 - value)
        return math.log2(value)

    def _from_coordinate(self, u: float) -> float:
        if self.scale == "linear":
            return u * (self.high - self.low) * LINEAR_UNIT
        if self.scale == "one_minus_log":
            return 1.0 - math.exp2(-u)
        return math.exp2(u)

    def clip(self, value: float) -> float:
        """Nearest value within the bounds. A value below the floor (an entropy bonus of 0) reads as the floor."""
        return min(max(value, self.low), self.high)

    def position(self, value: float) -> float:
        """Where `value` lies between the bounds on the parameter's own scale, in [0, 1]."""
        low, high = self._coordinate(self.low), self._coordinate(self.high)
        return (self._coordinate(self.clip(value)) - low) / (high - low)

    def at(self, position: float) -> float:
        """Inverse of `position`."""
        low, high = self._coordinate(self.low), self._coordinate(self.high)
        return self.clip(self._from_coordinate(low + position * (high - low)))

    def shift(self, value: float, delta: float) -> float:
        """`clip(value (+) delta)`: a delta of exactly 0 returns `value` untouched, even outside the bounds.

        Raises:
            InvalidValue: `delta` is not a number. An infinite one goes to the bound.
        """
        if math.isnan(delta):
            raise InvalidValue(f"{self.name}: step is not a number")
        if delta == 0.0:
            return value
        if math.isinf(delta):
            return self.high if delta > 0 else self.low
        u = self._coordinate(self.clip(value)) + delta
        low, high = self._coordinate(self.low), self._coordinate(self.high)
        return self.clip(self._from_coordinate(min(max(u, low), high)))

    def delta(self, before: float, after: float) -> float:
        """The step that leads from `before` to `after`, both read within the bounds; inverse of `shift`."""
        if before == after:
            return 0.0
        return self._coordinate(self.clip(after)) - self._coordinate(self.clip(before))

    def mean(self, values: Sequence[float]) -> float:
        """Mean of the coordinates, as a value: geometric on a log or integer scale (not rounded), arithmetic on a linear one,
        geometric in the horizon 1/(1-x) on a one_minus_log one. But for linear ones, values are read within the bounds.
        Equal values have themselves as mean.
        """
        if len(set(values)) == 1:
            return values[0]
        within = values if self.scale == "linear" else [self.clip(value) for value in values]
        return self._from_coordinate(math.fsum(map(self._coordinate, within)) / len(values))

    def value(self, latent: float) -> float:
        """What the agent is given: integers rounded, all else as it is."""
        if self.scale != "integer":
            return latent
        # Rounding may not leave bounds that are no integers themselves.
        rounded = float(max(1, round(latent)))
        return (
            rounded if not self.low <= latent <= self.high else min(max(rounded, math.ceil(self.low)), math.floor(self.high))
        )


@dataclass(frozen=True)
class HyperparameterSpace:
    """An ordered set of hyperparameters; the order is the order of the slots in the prompt."""

    hyperparameters: tuple[Hyperparameter, ...]

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            raise InvalidValue(f"hyperparameters named twice: {', '.join(names)}")

    def __iter__(self) -> Iterator[Hyperparameter]:
        return iter(self.hyperparameters)

    def __len__(self) -> int:
        return len(self.hyperparameters)

    def __getitem__(self, name: str) -> Hyperparameter:
        for hyperparameter in self.hyperparameters:
            if hyperparameter.name == name:
                return hyperparameter
        raise UnknownName("hyperparameter", name, self.names)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(h.name for h in self.hyperparameters)

    @property
    def defaults(self) -> dict[str, float]:
        return {h.name: h.default for h in self}

    def subset(self, names: Iterable[str]) -> HyperparameterSpace:
        """The named hyperparameters, in the order of the names.

        Raises:
            UnknownName: a name this space does not have.
        """
        return HyperparameterSpace(tuple(self[name] for name in names))

    def bounded(self, bounds: Mapping[str, tuple[float, float]]) -> HyperparameterSpace:
        """This space with some bounds replaced.

        Raises:
            UnknownName: a name this space does not have.
            InvalidValue: bounds the wrong way round or outside the domain of the scale.
        """
        for name in bounds:
            self[name]
        return HyperparameterSpace(
            tuple(
                replace(h, low=float(bounds[h.name][0]), high=float(bounds[h.name][1])) if h.name in bounds else h
                for h in self
            )
        )

    def starting_at(self, theta: Theta) -> HyperparameterSpace:
        """This space with the run's first values as defaults."""
        return HyperparameterSpace(tuple(replace(h, default=float(theta.get(h.name, h.default))) for h in self))

    def clip(self, theta: Theta) -> dict[str, float]:
        return {h.name: h.clip(theta[h.name]) for h in self}

    def values(self, theta: Theta) -> dict[str, float]:
        """The values the agent is given: latent integers rounded."""
        return {h.name: h.value(theta[h.name]) for h in self}

    def shift(self, theta: Theta, delta: Theta) -> dict[str, float]:
        """theta (+) delta, clipped. Names absent from `delta` stay as they are."""
        return {h.name: h.shift(theta[h.name], delta.get(h.name, 0.0)) for h in self}


def _log(name: str, low: float, high: float, default: float) -> Hyperparameter:
    return Hyperparameter(name, low, high, default, "log")


def _linear(name: str, low: float, high: float, default: float) -> Hyperparameter:
    return Hyperparameter(name, low, high, default, "linear")


def _integer(name: str, low: int, high: int, default: int) -> Hyperparameter:
    return Hyperparameter(name, low, high, default, "integer")


_GAMMA = Hyperparameter("gamma", 0.8, 0.9999, 0.99, "one_minus_log")
_GAE_LAMBDA = Hyperparameter("gae_lambda", 0.5, 0.999, 0.95, "one_minus_log")
_OFF_POLICY = (
    _log("learning_rate", 1e-5, 1e-2, 3e-4),
    _log("tau", 1e-3, 0.1, 5e-3),
    _GAMMA,
    _integer("gradient_steps", 1, 8, 1),
)

AVAILABLE: dict[str, HyperparameterSpace] = {
    "ppo": HyperparameterSpace(
        (
            _log("learning_rate", 1e-5, 3e-2, 3e-4),
            _integer("n_epochs", 1, 10, 10),
            _log("ent_coef", 1e-4, 0.2, 0.0),
            _linear("clip_range", 0.05, 0.4, 0.2),
            _GAMMA,
            _GAE_LAMBDA,
            _linear("vf_coef", 0.1, 1.0, 0.5),
            _log("max_grad_norm", 0.05, 5.0, 0.5),
            _integer("batch_size", 16, 4096, 64),
            _log("target_kl", 3e-3, 0.3, 0.3),
        )
    ),
    "a2c": HyperparameterSpace(
        (
            _log("learning_rate", 1e-5, 3e-2, 7e-4),
            _log("ent_coef", 1e-4, 0.2, 0.0),
            _GAE_LAMBDA,
            _linear("vf_coef", 0.1, 1.0, 0.5),
            _GAMMA,
            _log("max_grad_norm", 0.05, 5.0, 0.5),
        )
    ),
    "sac": HyperparameterSpace(
        (
            *_OFF_POLICY,
            # In units of the number of action dimensions; `for_algorithm` multiplies them in.
            _linear("target_entropy", -3.0, 0.0, -1.0),
            _integer("batch_size", 32, 2048, 256),
        )
    ),
    "td3": HyperparameterSpace(
        (
            *_OFF_POLICY,
            _integer("policy_delay", 1, 8, 2),
            _linear("target_policy_noise", 0.0, 0.5, 0.2),
            _linear("target_noise_clip", 0.1, 1.0, 0.5),
            _integer("batch_size", 32, 2048, 256),
        )
    ),
    "dqn": HyperparameterSpace(
        (
            _log("learning_rate", 1e-5, 1e-2, 1e-4),
            _log("exploration_rate", 0.01, 1.0, 1.0),
            _integer("gradient_steps", 1, 8, 1),
            _integer("target_update_interval", 50, 20_000, 10_000),
            _GAMMA,
            Hyperparameter("tau", 1e-3, 1.0, 1.0, "log"),
            _log("max_grad_norm", 0.1, 40.0, 10.0),
            _integer("batch_size", 16, 1024, 32),
        )
    ),
}

TUNED_BY_DEFAULT: dict[str, tuple[str, ...]] = {
    # gamma too: on six tasks it was not trained on it was worth more than the other four together (results/validation).
    "ppo": ("learning_rate", "n_epochs", "ent_coef", "clip_range", "gamma"),
    "a2c": ("learning_rate", "ent_coef", "gae_lambda", "vf_coef"),
    "sac": ("learning_rate", "tau", "gamma", "gradient_steps", "target_entropy"),
    "td3": ("learning_rate", "tau", "gamma", "gradient_steps"),
    # Not exploration_rate: a step would put a constant in place of the decay that DQN's exploration lives by.
    "dqn": ("learning_rate", "gradient_steps", "target_update_interval", "gamma"),
}

NOT_RAISED = ("n_epochs",)
"""Of the default sets, those that go no higher than they begin: environment steps saved are then not paid for with more
gradient updates than static makes. SAC's `gradient_steps` is not among them: it begins at its lowest, and could not move."""


def for_algorithm(algorithm: str, action_dimensions: int = 1) -> HyperparameterSpace:
    """Every hyperparameter of `algorithm` that may change online.

    `action_dimensions` scales SAC's target entropy, whose default is -dim(A) (Haarnoja et al. 2018, arXiv:1812.05905).

    Raises:
        UnknownName: an algorithm HyperPrompt does not know.
    """
    if algorithm not in AVAILABLE:
        raise UnknownName("algorithm", algorithm, AVAILABLE)
    space = AVAILABLE[algorithm]
    d = float(action_dimensions)
    return HyperparameterSpace(
        tuple(
            replace(h, low=h.low * d, high=h.high * d, default=h.default * d) if h.name == "target_entropy" else h
            for h in space
        )
    )

"""Which sections a transcript has, and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any, Literal

from hyperprompt.errors import InvalidValue, UnknownName

SIGNALS: dict[str, tuple[str, ...]] = {
    "ppo": ("approx_kl", "clip_fraction", "entropy_fraction", "value_loss", "explained_variance", "gradient_norm"),
    "a2c": ("entropy_fraction", "value_loss", "policy_loss", "explained_variance", "gradient_norm"),
    "sac": ("td_error", "q_value", "actor_loss", "alpha", "gradient_norm"),
    "td3": ("td_error", "q_value", "actor_loss", "gradient_norm"),
    "dqn": ("td_error", "q_value", "exploration_rate", "gradient_norm"),
}
"""The signals of a compact row, by algorithm."""
VERBOSE_SIGNALS: dict[str, tuple[str, ...]] = {
    "ppo": ("approx_kl", "entropy_fraction", "explained_variance"),
    "a2c": ("entropy_fraction", "value_loss", "explained_variance"),
    "sac": ("td_error", "alpha"),
    "td3": ("td_error", "q_value", "actor_loss"),
    "dqn": ("td_error", "q_value", "exploration_rate"),
}
"""A named number costs two more tokens: the signals that fit 60 tokens beside the algorithm's default hyperparameters."""
KNOWN_SIGNALS = tuple(sorted({name for names in SIGNALS.values() for name in names} | {"return_std"}))


@dataclass(frozen=True)
class PromptConfig:
    """Which sections a transcript has, and its limits. `None` takes the rendering's default.

    Raises:
        InvalidValue: a setting of the wrong type or out of range; names it.
        UnknownName: a signal HyperPrompt does not know.
    """

    rendering: Literal["compact", "verbose"] = "compact"
    task: bool = True
    """The line that describes the task, in the head."""
    returns: bool = True
    """Return of the interval, its change, and the best so far."""
    episode_length: bool | None = None
    signals: tuple[str, ...] | None = None
    """Names of the algorithm's signals; () for none. By default as many as leave room for the hyperparameters."""
    transitions: int | None = None
    """k sampled transitions (o, a, r), seven digits each."""
    theta: bool = True
    history: bool = True
    """The steps last taken."""
    demonstration_rows: int = 6
    """Rows taken from one expert run when demonstrations are given."""
    window: int = 32
    """L, the rows kept when a transcript of 2L rows is rebased; shrinks to what fits `max_tokens`."""
    max_tokens: int = 2048
    max_row_tokens: int = 60

    def __post_init__(self) -> None:
        if self.rendering not in ("compact", "verbose"):
            raise InvalidValue(f"rendering must be 'compact' or 'verbose', not {self.rendering!r}")
        for name in ("task", "returns", "theta", "history", "episode_length"):
            if not isinstance(getattr(self, name), bool) and (name != "episode_length" or self.episode_length is not None):
                raise InvalidValue(f"{name} must be true or false, not {getattr(self, name)!r}")
        for name in ("demonstration_rows", "window", "max_tokens", "max_row_tokens"):
            if not _whole(getattr(self, name), 1):
                raise InvalidValue(f"{name} must be a whole number from 1, not {getattr(self, name)!r}")
        if self.transitions is not None and not _whole(self.transitions, 0):
            raise InvalidValue(f"transitions must be a whole number from 0, not {self.transitions!r}")
        if self.signals is not None:
            if not isinstance(self.signals, tuple | list):
                raise InvalidValue(f"signals must be a list of names, not {self.signals!r}")
            # A list out of a YAML file would make the configuration unhashable.
            object.__setattr__(self, "signals", tuple(self.signals))
            for name in self.signals:
                if name not in KNOWN_SIGNALS:
                    raise UnknownName("signal", str(name), KNOWN_SIGNALS)

    def to_dict(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PromptConfig:
        """Inverse of `to_dict`; absent settings take their defaults.

        Raises:
            UnknownName: a setting there is not.
        """
        valid = [f.name for f in fields(cls)]
        for name in data:
            if name not in valid:
                raise UnknownName("prompt setting", str(name), valid)
        return cls(**data)


def _whole(value: object, low: int) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= low

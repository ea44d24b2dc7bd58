"""Numbers as codes of a fixed width: two digits 00..99 for a value, one digit 0..9 for a transition, 0..6 for a step.

Every encoder has its decoder, NaN has a code of its own ("--" or "-"), infinities go to the end of the scale, and no code
is ever in scientific notation. KL, entropy fraction and their like stand on fixed absolute scales, because a range of the
run's own would erase their level; returns and losses have no common scale and stand in a range of the run's own *past*.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hyperprompt.core import KEEP, STEPS
from hyperprompt.errors import InvalidValue

NA = "--"
"""Two-character code of a value that is not available."""
NA_DIGIT = "-"
"""One-character code of a value that is not available."""
PLACEHOLDER = str(KEEP)
"""What a slot holds in the text; the step really taken stands in the next row."""

_TOP = 99
_ZERO_CHANGE = 50
_CHANGE_LEVELS = 49
_LOW_QUANTILE, _HIGH_QUANTILE = 0.05, 0.95


def _clamp(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


def _round(x: float) -> int:
    return math.floor(x + 0.5)


def encode_position(x: float) -> str:
    """A position in [0, 1] as 00..99, clamped; NaN as "--"."""
    return NA if math.isnan(x) else f"{_round(_clamp(x, 0.0, 1.0) * _TOP):02d}"


def decode_position(code: str) -> float:
    """Inverse of `encode_position` to half a level, 1/198."""
    return _two_digits(code) / _TOP


def encode_change(x: float) -> str:
    """A signed change in [-1, 1] as 01..99 with 50 for none, clamped; NaN as "--"."""
    return NA if math.isnan(x) else f"{_ZERO_CHANGE + _round(_clamp(x, -1.0, 1.0) * _CHANGE_LEVELS):02d}"


def decode_change(code: str) -> float:
    """Inverse of `encode_change` to half a level, 1/98."""
    return (_two_digits(code) - _ZERO_CHANGE) / _CHANGE_LEVELS


def encode_digit(x: float) -> str:
    """A position in [0, 1] as one of ten bins 0..9, clamped; NaN as "-"."""
    return NA_DIGIT if math.isnan(x) else str(min(9, math.floor(_clamp(x, 0.0, 1.0) * 10)))


def decode_digit(code: str) -> float:
    """The middle of the bin: inverse of `encode_digit` to half a bin, 0.05."""
    return (_one_digit(code, 9) + 0.5) / 10


def encode_step(delta: float) -> str:
    """The index of the element of STEPS nearest to `delta`, as a digit 0..6; a tie goes to the smaller step."""
    return NA_DIGIT if math.isnan(delta) else str(nearest_step(delta))


def decode_step(code: str) -> float:
    """The step in units of a hyperparameter's scale; NaN for "-"."""
    index = _one_digit(code, len(STEPS) - 1)
    return index if math.isnan(index) else STEPS[int(index)]


def nearest_step(delta: float) -> int:
    """Index into STEPS of the step nearest to `delta`."""
    inside = _clamp(delta, STEPS[0], STEPS[-1])
    return min(range(len(STEPS)), key=lambda k: (abs(STEPS[k] - inside), abs(STEPS[k])))


def _two_digits(code: str) -> float:
    if code == NA:
        return math.nan
    if len(code) != 2 or not (code.isascii() and code.isdigit()):
        raise InvalidValue(f"{code!r} is not a two-digit code 00..99 or {NA!r}")
    return float(code)


def _one_digit(code: str, top: int) -> float:
    if code == NA_DIGIT:
        return math.nan
    if len(code) != 1 or not (code.isascii() and code.isdigit()) or int(code) > top:
        raise InvalidValue(f"{code!r} is not a digit 0..{top} or {NA_DIGIT!r}")
    return float(code)


@dataclass(frozen=True)
class Scale:
    """A fixed absolute scale: `linear` or `log` between the bounds, or `symlog`, symmetrical about 0 up to `high`."""

    low: float
    high: float
    kind: Literal["linear", "log", "symlog"] = "linear"

    def position(self, value: float) -> float:
        """Where `value` lies on the scale, in [0, 1]; NaN stays NaN."""
        if math.isnan(value):
            return math.nan
        if self.kind == "symlog":
            reach = math.log1p(self.high)
            return 0.5 + 0.5 * _clamp(symlog(value), -reach, reach) / reach
        inside = _clamp(value, self.low, self.high)
        if self.kind == "log":
            return math.log(inside / self.low) / math.log(self.high / self.low)
        return (inside - self.low) / (self.high - self.low)

    def value(self, position: float) -> float:
        """Inverse of `position` within the bounds."""
        if self.kind == "symlog":
            u = (2.0 * position - 1.0) * math.log1p(self.high)
            return math.copysign(math.expm1(abs(u)), u)
        if self.kind == "log":
            return float(self.low * (self.high / self.low) ** position)
        return self.low + position * (self.high - self.low)


FIXED: dict[str, Scale] = {
    "approx_kl": Scale(1e-4, 1.0, "log"),
    "clip_fraction": Scale(0.0, 1.0),
    "entropy_fraction": Scale(0.0, 1.0),
    "explained_variance": Scale(-1.0, 1.0),
    "gradient_norm": Scale(1e-3, 1e3, "log"),
    "alpha": Scale(1e-4, 10.0, "log"),
    "exploration_rate": Scale(0.0, 1.0),
    "episode_length": Scale(1.0, 1e5, "log"),
    "return_best": Scale(-1e5, 1e5, "symlog"),
}
"""Signals on an absolute scale; every other one stands in the run's own past range."""


def symlog(value: float) -> float:
    """sign(x) log(1 + |x|): the magnitude of a number of either sign."""
    return math.copysign(math.log1p(abs(value)), value)


def squash(value: float) -> float:
    """Any number to [0, 1] with 0 at 1/2: x / (1 + |x|), for the numbers of a transition, whose scale nobody knows."""
    if math.isinf(value):
        return 1.0 if value > 0 else 0.0
    return 0.5 + 0.5 * value / (1.0 + abs(value))


def robust_range(values: Iterable[float]) -> tuple[float, float]:
    """The 5% and 95% order statistics of the finite values (all of them up to 20 values); (NaN, NaN) if there is none.

    Order statistics, not interpolated quantiles: a value never moves because of rounding, and no sum can overflow.
    """
    ordered = sorted(v for v in values if math.isfinite(v))
    if not ordered:
        return math.nan, math.nan
    last = len(ordered) - 1
    return ordered[math.floor(_LOW_QUANTILE * last)], ordered[math.ceil(_HIGH_QUANTILE * last)]


def position_in(value: float, bounds: tuple[float, float]) -> float:
    """Where `value` lies in `bounds`, in [0, 1]; the middle of an empty range; NaN without a value or a range."""
    low, high = bounds
    if math.isnan(value):
        return math.nan
    if math.isinf(value):
        return 1.0 if value > 0 else 0.0
    if math.isnan(low):
        return math.nan
    # Halved, so that the span of two huge numbers stays finite.
    span = high / 2 - low / 2
    return 0.5 if span <= 0 else _clamp((value / 2 - low / 2) / span, 0.0, 1.0)


def change_in(before: float, after: float, bounds: tuple[float, float]) -> float:
    """Signed change in units of the range, in [-1, 1]; NaN where an end is not finite, 0 in an empty range."""
    low, high = bounds
    if not (math.isfinite(before) and math.isfinite(after)) or math.isnan(low):
        return math.nan
    span = high / 2 - low / 2
    return 0.0 if span <= 0 else _clamp((after / 2 - before / 2) / span, -1.0, 1.0)

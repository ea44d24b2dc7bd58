"""The meta-state as a few numbers, for small networks."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hyperprompt.core import MetaState
from hyperprompt.errors import InvalidValue

Floats = NDArray[np.float64]


def features(state: MetaState) -> Floats:
    """The meta-state as numbers of order 1: theta, progress, the last interval's signals and how they changed.

    Raises:
        InvalidValue: an algorithm other than PPO and SAC.
    """
    if (algorithm := state.task.algorithm) not in _READ:
        raise InvalidValue(f"small networks read the signals of {' and '.join(_READ)} only, not of {algorithm}")
    theta = [h.position(state.theta[h.name]) for h in state.space]
    rows = [interval.signals.values for interval in state.intervals]
    last: Mapping[str, float] = rows[-1] if rows else {}
    previous: Mapping[str, float] = rows[-2] if len(rows) > 1 else {}
    returns = [row["return_mean"] for row in rows if "return_mean" in row]
    width = max(returns) - min(returns) if returns else 0.0
    return np.array(
        [
            *theta,
            state.progress,
            float(bool(rows)),
            *_READ[algorithm](last, previous),
            (returns[-1] - min(returns)) / width if width > 0 else 0.5,
            (returns[-1] - returns[-2]) / width if width > 0 else 0.0,
            float(len(returns) > 1),
        ]
    )


def _ppo(last: Mapping[str, float], previous: Mapping[str, float]) -> list[float]:
    return [
        _log(last, "approx_kl", 0.25, 2.0),
        _change(last, previous, "approx_kl"),
        2.0 * last.get("clip_fraction", 0.0),
        last.get("entropy_fraction", 1.0),
        max(-1.0, last.get("explained_variance", 0.0)),
        _log(last, "gradient_norm", 0.5, 0.5),
        _change(last, previous, "value_loss"),
    ]


def _sac(last: Mapping[str, float], previous: Mapping[str, float]) -> list[float]:
    return [
        _log(last, "td_error", 0.5, 0.0),
        _change(last, previous, "td_error"),
        _log(last, "alpha", 0.25, 1.0),
        _change(last, previous, "alpha"),
        0.25 * math.copysign(math.log1p(abs(q := last.get("q_value", 0.0))), q),
        _log(last, "gradient_norm", 0.5, 0.0),
    ]


_READ = {"ppo": _ppo, "sac": _sac}
"""The signals of each algorithm, as numbers of order 1."""


def _log(values: Mapping[str, float], name: str, weight: float, offset: float) -> float:
    """weight * (log10(value) + offset), 0 where the signal is missing."""
    value = values.get(name)
    return weight * (math.log10(max(value, 1e-6)) + offset) if value is not None else 0.0


def _change(last: Mapping[str, float], previous: Mapping[str, float], name: str) -> float:
    """Half the change of log10(value), within [-1, 1]; 0 where one of the two is missing."""
    if name not in last or name not in previous:
        return 0.0
    return min(1.0, max(-1.0, _log(last, name, 0.5, 0.0) - _log(previous, name, 0.5, 0.0)))

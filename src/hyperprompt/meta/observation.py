"""The meta-state as arrays of fixed shape, for policies that are no language models.

L is the window (rows: the last intervals, newest last), S the number of signals of the algorithm, K of hyperparameters. What
is not available, and rows before the run's first interval, hold 0 and are masked.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hyperprompt.agents.measures import NAMES
from hyperprompt.core import Interval, MetaState
from hyperprompt.envs.scale import TaskScale
from hyperprompt.hyperparameters import HyperparameterSpace, Theta

Observation = dict[str, NDArray[Any]]


def observation_space(algorithm: str, hyperparameters: int, window: int) -> spaces.Dict:
    """The space of `encode`'s result for one algorithm: K = `hyperparameters`, L = `window`."""
    n_signals = len(NAMES[algorithm])
    return spaces.Dict(
        {
            "progress": spaces.Box(0.0, 1.0, (1,)),
            "theta": spaces.Box(0.0, 1.0, (hyperparameters,)),
            "rows": spaces.MultiBinary(window),
            "signals": spaces.Box(-np.inf, np.inf, (window, n_signals)),
            "signals_known": spaces.MultiBinary([window, n_signals]),
            "lengths": spaces.Box(0.0, 1.0, (window,)),
            "thetas": spaces.Box(0.0, 1.0, (window, hyperparameters)),
            "deltas": spaces.Box(-np.inf, np.inf, (window, hyperparameters)),
        }
    )


def encode(state: MetaState, window: int, scale: TaskScale) -> Observation:
    """An element of `observation_space`, float32 and int8.

    - `progress` (1,): share of the budget spent; `theta` (K,): values now, as positions in [0, 1] on their own scales
    - `rows` (L,): 1 where the row is an interval of the run
    - `signals` (L, S), in the order of `agents.measures.NAMES`: the mean return as a score and its standard deviation in the
      same unit of the task's scale, every other signal x as sign(x) log(1 + |x|); `signals_known` (L, S): 1 where available
    - `lengths` (L,): share of the budget the interval took
    - `thetas` (L, K): positions during the interval; `deltas` (L, K): the steps, as taken, that the interval began with
    """
    names, signals = state.space.names, NAMES[state.task.algorithm]
    result: Observation = {
        "progress": np.array([state.progress], np.float32),
        "theta": _positions(state.space, state.theta),
        "rows": np.zeros(window, np.int8),
        "signals": np.zeros((window, len(signals)), np.float32),
        "signals_known": np.zeros((window, len(signals)), np.int8),
        "lengths": np.zeros(window, np.float32),
        "thetas": np.zeros((window, len(names)), np.float32),
        "deltas": np.zeros((window, len(names)), np.float32),
    }
    shown = state.intervals[-window:]
    for row, interval in enumerate(shown, start=window - len(shown)):
        known = _signals(interval, scale)
        for column, name in enumerate(signals):
            if name in known:
                result["signals"][row, column], result["signals_known"][row, column] = known[name], 1
        begun = state.intervals[interval.index - 1].step if interval.index else 0
        result["rows"][row] = 1
        result["lengths"][row] = min(1.0, (interval.step - begun) / state.task.total_steps)
        result["thetas"][row] = _positions(state.space, interval.theta)
        result["deltas"][row] = [interval.delta.get(name, 0.0) for name in names]
    return result


def _positions(space: HyperparameterSpace, theta: Theta) -> NDArray[np.float32]:
    return np.array([h.position(theta[h.name]) for h in space], np.float32)


def _signals(interval: Interval, scale: TaskScale) -> dict[str, float]:
    """What is known, in the observation's units."""
    known = {name: float(x) for name, x in interval.signals.values.items() if math.isfinite(x)}
    return {name: _unit(name, x, scale) for name, x in known.items()}


def _unit(name: str, x: float, scale: TaskScale) -> float:
    if name == "return_mean":
        return scale.score(x)
    if name == "return_std":
        return x / (scale.static - scale.random)
    return math.copysign(math.log1p(abs(x)), x)

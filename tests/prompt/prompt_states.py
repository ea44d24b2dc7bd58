"""Meta-states for the prompt's tests: one of fixed numbers, and hypothesis strategies for arbitrary ones."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from hyperprompt.core import STEPS, Interval, MetaState, Signals, Task, Transition
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, for_algorithm
from hyperprompt.prompt.config import SIGNALS

TOTAL = 10_000


def task(algorithm: str = "ppo", env: str = "CartPole-v1") -> Task:
    return Task(env, algorithm, "discrete", "vector", 4, 2, 8, TOTAL)


def space(algorithm: str = "ppo"):
    return for_algorithm(algorithm).subset(TUNED_BY_DEFAULT[algorithm])


def state(n: int, algorithm: str = "ppo", run: str = "run", env: str = "CartPole-v1") -> MetaState:
    s = space(algorithm)
    intervals, theta = [], s.defaults
    for i in range(n):
        delta = {h.name: STEPS[(i + j) % 7] for j, h in enumerate(s)}
        theta = s.shift(theta, delta)
        values = {"return_mean": 20.0 * i - (i % 3), "episode_length": 20.0 * i + 1}
        values |= {name: 0.01 * (i + 1) * (j + 1) for j, name in enumerate(SIGNALS[algorithm])}
        transition = Transition((0.1, -0.2, 0.3 * i, math.nan), (1.0,), 1.0)
        intervals.append(Interval(i, 100 * (i + 1), theta, delta, Signals(values, 3, (transition,))))
    return MetaState(run, task(algorithm, env), s, 100 * n, theta, tuple(intervals))


def prefix(s: MetaState, n: int) -> MetaState:
    """The same run as it stood after its first n intervals."""
    last = s.intervals[n - 1] if n else None
    theta = last.theta if last else s.space.defaults
    return MetaState(s.run, s.task, s.space, last.step if last else 0, theta, s.intervals[:n])


anything = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def states(draw) -> MetaState:
    algorithm = draw(st.sampled_from(sorted(SIGNALS)))
    s = space(algorithm)
    intervals, theta = [], s.defaults
    for i in range(draw(st.integers(0, 6))):
        delta = {h.name: draw(st.sampled_from(STEPS)) for h in s if draw(st.booleans())}
        theta = s.shift(theta, delta)
        names = ["return_mean", "episode_length", *SIGNALS[algorithm]]
        values = {name: draw(anything) for name in names if draw(st.booleans())}
        transitions = draw(
            st.lists(
                st.builds(
                    Transition,
                    st.lists(anything, max_size=6).map(tuple),
                    st.lists(anything, max_size=3).map(tuple),
                    anything,
                ),
                max_size=2,
            )
        )
        intervals.append(Interval(i, 100 * (i + 1), theta, delta, Signals(values, 0, tuple(transitions))))
    return MetaState("run", task(algorithm), s, 100 * len(intervals), theta, tuple(intervals))

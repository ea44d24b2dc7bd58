"""What a decision of the language model costs, and how close the cache is to a full re-read, at 8 and 32 rows of history.

Verbose and calibrated is the un-tuned model; compact without calibration is the form of the shipped one. Two cores work
for one decision: the numbers hold only on a machine that does nothing else (the load average is printed).
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

from hyperprompt.controllers.llm import LLMController
from hyperprompt.core import STEPS, Interval, MetaState, Signals, Task, Transition
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, for_algorithm
from hyperprompt.llm.weights import load

ROWS = (8, 32)
REPEATS = 7
FORMS: dict[str, dict[str, Any]] = {
    "verbose, calibrated": {"prompt": {"rendering": "verbose"}, "calibrate": "content-free"},
    "compact, plain": {"prompt": {"rendering": "compact"}, "calibrate": "none"},
}
# Wide enough that no rebase falls into the measurement.
_ROOM = {"max_tokens": 8192, "window": 64}
_READY = """
import time, torch
start = time.perf_counter()
from hyperprompt.llm.weights import load
load()
print(time.perf_counter() - start)
"""


def _run_of(n: int) -> MetaState:
    """A made-up PPO run after n intervals."""
    rng = np.random.default_rng(0)
    space = for_algorithm("ppo").subset(TUNED_BY_DEFAULT["ppo"])
    theta, intervals = space.defaults, []
    names = ("approx_kl", "clip_fraction", "entropy_fraction", "value_loss", "explained_variance", "gradient_norm")
    for i in range(n):
        delta = {h.name: float(rng.choice(STEPS)) for h in space}
        theta = space.shift(theta, delta)
        values = {
            "return_mean": 5.0 * i + rng.normal(),
            "episode_length": 100.0,
            **{name: float(rng.random()) for name in names},
        }
        transition = Transition((0.1, -0.5, 2.0, 0.0), (1.0,), 1.0)
        intervals.append(Interval(i, 1000 * (i + 1), theta, delta, Signals(values, 4, (transition,) * 2)))
    task = Task("CartPole-v1", "ppo", "discrete", "vector", 4, 2, 8, 100_000)
    return MetaState("bench", task, space, 1000 * n, theta, tuple(intervals))


def _measure(form: dict[str, Any], dtype: str, rows: int) -> dict[str, float]:
    """Seconds of a decision and of a re-read around `rows` rows; largest difference between their probabilities."""
    whole = _run_of(rows + REPEATS)

    def after(n: int) -> MetaState:
        return replace(whole, step=1000 * n, theta=whole.intervals[n - 1].theta, intervals=whole.intervals[:n])

    options = {**form, "prompt": {**form["prompt"], **_ROOM}, "dtype": dtype}
    controller = LLMController(**options)
    controller.decide([after(rows - 1)])
    seconds = []
    for n in range(rows, rows + REPEATS):
        start = time.perf_counter()
        (cached,) = controller.decide([after(n)])
        seconds.append(time.perf_counter() - start)
    controller._sessions.clear()
    start = time.perf_counter()
    (read,) = controller.decide([after(rows + REPEATS - 1)])
    gap = np.array(list(cached.probabilities.values())) - np.array(list(read.probabilities.values()))
    return {
        "p50_s": statistics.median(seconds),
        "p95_s": float(np.quantile(seconds, 0.95)),
        "re_read_s": time.perf_counter() - start,
        "difference": float(np.abs(gap).max()),
    }


def run() -> dict[str, Any]:
    """Seconds, probabilities and MiB, by form, number format and rows."""
    load()  # converts, if this is the first time
    ready = [float(subprocess.check_output([sys.executable, "-c", _READY], text=True)) for _ in range(3)]
    results: dict[str, Any] = {"load_average": os.getloadavg()[0], "ready_s": statistics.median(ready)}
    for name, form in FORMS.items():
        for dtype in ("bfloat16", "float32"):
            results[f"{name}, {dtype}"] = {rows: _measure(form, dtype, rows) for rows in ROWS}
    results["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return results


def main() -> None:
    results = run()
    ready, load_average, peak = (results.pop(key) for key in ("ready_s", "load_average", "peak_rss_mib"))
    print(f"model ready from the cache: {ready:.1f} s after torch (bar: 3 s); load average {load_average:.1f}")
    print(f"{'':34} rows   p50 s   p95 s  re-read s  difference   (bars at 32 rows: p50 0.15 s, difference 0.01)")
    for name, by_rows in results.items():
        for rows, m in by_rows.items():
            print(f"{name:34} {rows:4} {m['p50_s']:7.3f} {m['p95_s']:7.3f} {m['re_read_s']:10.2f} {m['difference']:11.4f}")
    print(f"peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()

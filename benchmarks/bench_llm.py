"""What a decision of the language model costs: seconds by rows of history, rendering and calibration; the cache against a
full re-read; a fresh process's time until the model is ready.

Two cores at work for one decision: numbers are comparable only on a machine that does nothing else (`load` is printed).
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

from hyperprompt.controllers.llm import LLMController
from hyperprompt.core import STEPS, Interval, MetaState, Signals, Task, Transition
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, for_algorithm
from hyperprompt.llm.weights import load
from hyperprompt.prompt.config import SIGNALS, PromptConfig

ROWS = (8, 32, 64)
_REPEATS = 9
_READY = """
import time; start = time.perf_counter()
import torch; torch_in = time.perf_counter()
from hyperprompt.llm.weights import load; load(); end = time.perf_counter()
import json; print(json.dumps({"with_torch": end - start, "after_torch": end - torch_in}))
"""


def _state(n: int) -> MetaState:
    """A made-up PPO run after n intervals."""
    rng = np.random.default_rng(0)
    space = for_algorithm("ppo").subset(TUNED_BY_DEFAULT["ppo"])
    theta, intervals = space.defaults, []
    for i in range(n):
        delta = {h.name: float(rng.choice(STEPS)) for h in space}
        theta = space.shift(theta, delta)
        values = {"return_mean": 5.0 * i + rng.normal(), "episode_length": 100.0}
        values |= {name: float(rng.random()) for name in SIGNALS["ppo"]}
        transition = Transition((0.1, -0.5, 2.0, 0.0), (1.0,), 1.0)
        intervals.append(Interval(i, 1000 * (i + 1), theta, delta, Signals(values, 4, (transition,))))
    task = Task("CartPole-v1", "ppo", "discrete", "vector", 4, 2, 8, 100_000)
    return MetaState("bench", task, space, 1000 * n, theta, tuple(intervals))


def _decisions(config: PromptConfig, calibrate: Any) -> dict[str, Any]:
    """Seconds of one decision around each number of rows, of the full re-read there, and how far the two are apart."""
    whole = _state(max(ROWS) + _REPEATS)
    controller = LLMController(prompt=config, calibrate=calibrate)
    found: dict[str, Any] = {}

    def after(n: int) -> MetaState:
        return dataclasses.replace(whole, step=1000 * n, theta=whole.intervals[n - 1].theta, intervals=whole.intervals[:n])

    for rows in ROWS:
        seconds, apart, read = [], [], []
        fresh = LLMController(prompt=config, calibrate=calibrate)
        fresh._loaded = controller._model()
        begin = time.perf_counter()
        fresh.decide([after(rows)])
        read.append(time.perf_counter() - begin)
        controller.decide([after(rows - 1)])
        for n in range(rows, rows + _REPEATS):
            begin = time.perf_counter()
            (action,) = controller.decide([after(n)])
            seconds.append(time.perf_counter() - begin)
            if n == rows + _REPEATS - 1:
                fresh._sessions.clear()
                (again,) = fresh.decide([after(n)])
                gap = np.array(list(action.probabilities.values())) - np.array(list(again.probabilities.values()))
                apart.append(float(np.abs(gap).max()))
        found[f"rows_{rows}"] = {
            "p50_s": float(np.median(seconds)),
            "p95_s": float(np.quantile(seconds, 0.95)),
            "full_read_s": read[0],
            "cache_vs_read_max_probability": max(apart),
        }
    return found


def run() -> dict[str, Any]:
    """Every number of this file as one tree; seconds, tokens, MiB."""
    load()  # the first one converts
    ready = [json.loads(subprocess.check_output([sys.executable, "-c", _READY], text=True)) for _ in range(3)]
    results: dict[str, Any] = {
        "load_average": os.getloadavg()[0],
        "ready_s": {key: float(np.median([r[key] for r in ready])) for key in ready[0]},
    }
    for rendering in ("compact", "verbose"):
        # Sixty-four rows are more than the default limit: L such that no rebase falls into the measurement.
        config = PromptConfig(rendering=rendering, max_tokens=8192, window=max(ROWS) + _REPEATS)  # type: ignore[arg-type]
        probe = LLMController(prompt=config)
        transcript = probe._transcript(_state(1))
        results[rendering] = {
            "row_tokens": transcript.row_tokens,
            "head_tokens": len(transcript.head_ids),
            "plain": _decisions(config, None),
            "calibrated": _decisions(config, "content-free"),
        }
    results["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return results


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))

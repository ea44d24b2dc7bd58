"""Procgen: where the time of a PPO step goes, with the preset `short`; and what other settings cost. No stock arm exists.

The arms run in turn in this process with one torch thread; ratios are to the first one.

    python -m benchmarks.bench_procgen
"""

from __future__ import annotations

import resource
from typing import Any

from benchmarks.measure import speed

TASK = "procgen/starpilot"
ARMS: dict[str, dict[str, Any]] = {
    "short": {},
    "batch 2048": {"agent": {"batch_size": 2048}},
    "16 environments": {"n_envs": 16, "agent": {"n_steps": 128}},
    "float32": {"precision": "float32"},
}
UPDATES = 3


def run() -> dict[str, Any]:
    """Environment steps per second, microseconds per step by part, and peak memory after the first arm."""
    from hyperprompt.config import parse
    from hyperprompt.pipeline.process import prepare
    from hyperprompt.pipeline.resolve import agent, resolve

    prepare()
    results: dict[str, Any] = {}
    for name, changes in ARMS.items():
        model: Any = agent(resolve(parse({"env": TASK, "controller": "static", **changes})))
        try:
            rate, parts = speed(model, model.env.unwrapped, UPDATES * model.n_envs * model.n_steps)
        finally:
            model.env.close()
        results[name] = {"speed": rate, "parts": parts, "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    return results


def main() -> None:
    results = run()
    first = next(iter(results.values()))
    print(f"PPO on {TASK}, preset short and changes to it, one torch thread")
    for name, row in results.items():
        parts = ", ".join(f"{part} {us:.0f}" for part, us in row["parts"].items())
        print(
            f"  {name:16} {row['speed']:5.0f} steps/s  ratio {row['speed'] / first['speed']:.2f}  microseconds a step: {parts}"
        )
    print(f"peak memory with 64 environments, preset short: {first['peak_gib']:.2f} GiB")


if __name__ == "__main__":
    main()

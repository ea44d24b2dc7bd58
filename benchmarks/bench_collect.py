"""How many decisions `hyperprompt collect` scores an hour and core, and what bounds it: whole rounds of `collect.stage`.

A decision is one branch: trained for its horizon and evaluated, with its share of the behaviour run, of building and of
compiling. Settings are those of collections/source.yaml; the compiled task does a whole round. Of the others one checkpoint is
explored, before any training, with three joint steps and one seed (`SHORT`): a decision of theirs costs ten seconds and more.

Each round is measured in a process of its own, as in a collection. Rates are in the process's core-seconds, so that the
machine's other work does not count; shares are of wall time. XLA compiles once a round on compiled tasks, and under SBX once
for each new number of gradient steps. A whole round spreads that and building over more decisions: hence the second rate.

    python -m benchmarks.bench_collect [TASK...]
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hyperprompt.collect import config, stage

SOURCE = Path(__file__).parents[1] / "collections" / "source.yaml"
ONE_CHECKPOINT = {"checkpoints": 1, "actions": 3, "seeds": 1}
SHORT: Mapping[str, Mapping[str, Any]] = {
    "gymnax/cartpole": {},
    "CartPole-v1": {**ONE_CHECKPOINT, "horizon_updates": 8},
    "ant/default": ONE_CHECKPOINT,
    "procgen/caveflyer": ONE_CHECKPOINT,
    "nethack/staircase": ONE_CHECKPOINT,
}
"""Task -> what differs from source.yaml."""
NEEDS = {"gymnax": "gymnax", "ant": "sbx", "procgen": "PyQt5", "nethack": "nle"}
"""Family -> the module without which its task is left out."""


class Clock:
    """Wall seconds by phase, exclusive: what an inner phase takes is not counted in the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def around(self, owner: type[Any], method: str, phase: str) -> None:
        """Count every call of a class's method as `phase`."""
        function: Callable[..., Any] = getattr(owner, method)

        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            self._inner.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                whole = time.perf_counter() - start
                self.seconds[phase] += whole - self._inner.pop()
                self._inner[-1] += whole

        setattr(owner, method, call)

    def compiled(self, event: str, seconds: float, **_: Any) -> None:
        """Listens to JAX: seconds that XLA compiled for, within whatever phase."""
        if event.endswith("backend_compile_duration"):
            self.seconds["compiling"] += seconds
            self._inner[-1] += seconds


def measure(recipe_json: str) -> dict[str, Any]:
    """One round: decisions, environment steps of training, (core-)seconds and shares of wall time. For a fresh process.

    Raises:
        RuntimeError: the round failed.
    """
    import jax

    from hyperprompt.collect.ppo import Collector
    from hyperprompt.collect.steer import Fleet
    from hyperprompt.meta.live import LiveRun

    clock = Clock()
    jax.monitoring.register_event_duration_secs_listener(clock.compiled)
    for owner in (Collector, LiveRun):
        clock.around(owner, "advance", "training")
        clock.around(owner, "evaluate", "evaluation")
    for method in ("snapshot", "restore"):
        clock.around(LiveRun, method, "forking")
    for owner in (Fleet, LiveRun):
        clock.around(owner, "__init__", "building")
    found, spent, error = stage.collect_round(recipe_json, 0)
    if error:
        raise RuntimeError(error)
    shares = {phase: seconds / spent["seconds"] for phase, seconds in clock.seconds.items()}
    shares["other"] = 1 - sum(shares.values())
    return {**spent, "decisions": sum(len(c.seeds) for c in found), "horizon": found[0].horizon, "shares": shares}


def run(
    tasks: Sequence[str] = (), listen: Callable[[str, dict[str, Any]], None] = lambda task, result: None
) -> dict[str, dict[str, Any]]:
    """By task, see `measure`; all of `SHORT` by default, less those whose packages are not installed. `listen` hears each."""
    recipes = {recipe.env: recipe for recipe in config.load(SOURCE).tasks}
    installed = [task for task in SHORT if find_spec(NEEDS.get(recipes[task].family, "hyperprompt"))]
    results = {}
    for task in tasks or installed:
        recipe = recipes[task].model_copy(update=SHORT.get(task, {}))
        with stage._pool(1) as pool:
            results[task] = pool.submit(measure, recipe.model_dump_json()).result()
        listen(task, results[task])
    return results


def tell(task: str, r: dict[str, Any]) -> None:
    """Print one task's result, as soon as it is there."""
    shares = dict(sorted(r["shares"].items(), key=lambda item: -item[1]))
    core = r["core_seconds"] / r["decisions"]
    steady = core * (1 - shares.get("building", 0) - shares.get("compiling", 0))
    changes = ", ".join(f"{key} {value}" for key, value in SHORT.get(task, {}).items())
    print(
        f"{task:18} {3600 / core:6.0f} decisions an hour and core, {3600 / steady:.0f} without building and compiling; "
        f"{r['steps'] / r['core_seconds']:.0f} environment steps/s\n"
        f"    bound by {next(iter(shares))}: " + ", ".join(f"{phase} {100 * s:.0f}%" for phase, s in shares.items()) + "\n"
        f"    {r['decisions']} decisions of {r['horizon']} steps in {r['seconds']:.0f} s; source.yaml"
        + (f" but for {changes}" if changes else ""),
        flush=True,
    )


def main() -> None:
    results = run(sys.argv[1:], tell)
    if left := [task for task in SHORT if task not in results and not sys.argv[1:]]:
        print(f"not installed: {', '.join(left)}")


if __name__ == "__main__":
    main()

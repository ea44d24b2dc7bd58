"""Environment steps per second of a model, and where the time goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def speed(model: Any, games: Any, steps: int) -> tuple[float, dict[str, float]]:
    """Environment steps per second over `steps` of them, and microseconds per step by part.

    `games` is the innermost vector environment of the model. One call of `learn` over the first update, or over the steps
    before learning starts, is a warm-up and not counted.
    """
    spent = {"stepping": 0.0, "learning": 0.0}

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **kwargs)
            spent[part] += time.perf_counter() - start
            return result

        return call

    games.step_async = timed("stepping", games.step_async)
    games.step_wait = timed("stepping", games.step_wait)
    model.train = timed("learning", model.train)
    on_policy = hasattr(model, "rollout_buffer")
    model.learn(model.n_envs * model.n_steps if on_policy else model.learning_starts + 200)
    spent.update(stepping=0.0, learning=0.0)
    before, start = model.num_timesteps, time.perf_counter()
    model.learn(steps, reset_num_timesteps=False)
    seconds, done = time.perf_counter() - start, model.num_timesteps - before
    spent["inference and copying"] = seconds - sum(spent.values())
    return done / seconds, {part: 1e6 * value / done for part, value in spent.items()}

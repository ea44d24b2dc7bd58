"""Population-based training (Jaderberg et al. 2017, arXiv:1711.09846): N runs in lockstep that copy from each other.

After every interval the runs are ranked by the mean return of their last episodes. Each of the bottom quarter takes over
everything a random member of the top quarter has learnt (exploit) and then moves every hyperparameter by a random step on its
own scale (explore). With `select_only` nothing explores: the control that tells what copying alone is worth.

It is no `Controller`, since it moves weights between runs. It costs N times the environment steps of one run: compare it by
its total steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hyperprompt.config import RunConfig
from hyperprompt.core import Interval, MetaAction
from hyperprompt.envs.seeding import spread
from hyperprompt.errors import InvalidValue
from hyperprompt.meta.live import LiveRun, Run

QUARTER = 4
RECENT_EPISODES = 32
"""Members are ranked by as many of their last episodes."""
FIRST_STEPS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
"""Before any training every member but the first, which keeps the defaults, takes one of these: the population's spread."""
EXPLORE_STEPS = (-1.0, -0.5, 0.5, 1.0)
"""Perturbations after a copy, in units of each hyperparameter's scale: factors 1/2, 1/sqrt2, sqrt2, 2."""


Listener = Callable[[Mapping[str, float]], None]
"""Hears of every interval: `step`, those of all members together, and `return_mean`, of the member that led before it."""


def train_population(
    config: RunConfig, size: int, seed: int, select_only: bool = False, listen: Listener = lambda row: None
) -> dict[str, Any]:
    """Trains `size` runs of `config`, `config.steps` environment steps each, and returns what `evolve` records.

    Everything random follows from `seed` (that of the configuration is of no matter), wherever the environments reproduce.
    The runs train one after the other in this process. There are no checkpoints: a population that was killed starts over.

    Raises:
        InvalidValue: fewer than two members.
        HyperPromptError: whatever `LiveRun` refuses.
    """
    _check(size)
    runs: list[LiveRun] = []
    try:
        for member_seed in spread(seed, size):
            runs.append(LiveRun(config.model_copy(update={"seed": member_seed})))
        resolved = runs[0].config
        record = evolve(runs, seed, select_only, listen)
    finally:
        for run in runs:
            run.close()
    return {"env": resolved.env, "algo": resolved.algo, "steps_per_member": resolved.steps, **record}


def evolve(runs: Sequence[Run], seed: int, select_only: bool = False, listen: Listener = lambda row: None) -> dict[str, Any]:
    """Trains fresh runs of one kind to the end of their budgets, in lockstep.

    Returns, in plain values:
        size, seed, select_only
        steps: environment steps of all members together
        seconds, adapt_seconds, updates: wall-clock in all, the part of it not spent in training, gradient updates of all
        members: one dict each, with a value an interval in its lists:
            steps, returns: the learning curve (mean return, NaN where no episode ended)
            theta: the values in force
            copied_from: the member it took over before the interval, or None
        best: one value an interval in its lists:
            total_steps: of all members up to the end of the interval
            member, returns: the member that led BEFORE the interval (the first one at first), and its return in it. The
                greatest return of the interval itself would be a maximum over noise, and rise with the size alone.

    Raises:
        InvalidValue: fewer than two members.
    """
    _check(len(runs))
    begun = time.perf_counter()
    members: list[dict[str, list[Any]]] = [{"steps": [], "returns": [], "theta": [], "copied_from": []} for _ in runs]
    best: dict[str, list[Any]] = {"total_steps": [], "member": [], "returns": []}
    generation = 0
    while not runs[0].finished:
        rng = np.random.default_rng([seed, generation])
        recent = [recent_return(run.meta.intervals) for run in runs]
        leader = max(range(len(runs)), key=lambda i: recent[i])  # the first one, while nothing is known
        copies = selection(recent, rng)
        for member, donor in copies.items():
            runs[member].restore(runs[donor].snapshot(), generation)
        moving = () if select_only else copies if generation else range(1, len(runs))
        for i, run in enumerate(runs):
            steps = EXPLORE_STEPS if generation else FIRST_STEPS
            delta = {name: float(rng.choice(steps)) for name in run.meta.space.names} if i in moving else {}
            run.apply(MetaAction(delta), "population")
            interval = run.advance()
            _record(members[i], interval, run.meta.space.values(interval.theta), copies.get(i))
        best["total_steps"].append(sum(record["steps"][-1] for record in members))
        best["member"].append(leader)
        best["returns"].append(members[leader]["returns"][-1])
        listen({"step": best["total_steps"][-1], "return_mean": best["returns"][-1]})
        generation += 1
    seconds = time.perf_counter() - begun
    return {
        "size": len(runs),
        "seed": seed,
        "select_only": select_only,
        "steps": sum(run.step for run in runs),
        "seconds": seconds,
        "adapt_seconds": seconds - sum(run.seconds for run in runs),
        "updates": sum(run.updates for run in runs),
        "members": members,
        "best": best,
    }


def selection(recent: Sequence[float], rng: np.random.Generator) -> dict[int, int]:
    """Who copies from whom: each of the bottom quarter from a random member of the top one, if that one is better.

    `recent` holds one return a member, -inf where none is known. A quarter is at least one member.
    """
    order = sorted(range(len(recent)), key=lambda i: recent[i])
    quarter = max(1, len(recent) // QUARTER)
    donors = {member: int(rng.choice(order[-quarter:])) for member in order[:quarter]}
    return {member: donor for member, donor in donors.items() if recent[donor] > recent[member]}


def recent_return(intervals: Sequence[Interval]) -> float:
    """Mean return of the last RECENT_EPISODES episodes, as far as the intervals tell; -inf without one.

    Not of the last interval: right after a copy, with environments that have just begun, only the early failures of a good
    policy end within it. A copy brings the donor's episodes along, which its own replace one by one.
    """
    total, missing = 0.0, RECENT_EPISODES
    for interval in reversed(intervals):
        mean = float(interval.signals.values.get("return_mean", math.nan))
        if math.isfinite(mean):
            taken = min(interval.signals.episodes, missing)
            total, missing = total + taken * mean, missing - taken
    return total / (RECENT_EPISODES - missing) if missing < RECENT_EPISODES else -math.inf


def _record(member: dict[str, list[Any]], interval: Interval, theta: dict[str, float], donor: int | None) -> None:
    member["steps"].append(interval.step)
    member["returns"].append(float(interval.signals.values.get("return_mean", math.nan)))
    member["theta"].append(theta)
    member["copied_from"].append(donor)


def _check(size: int) -> None:
    if size < 2:
        raise InvalidValue(f"a population needs at least 2 members, not {size}")

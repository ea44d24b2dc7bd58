"""What fixed settings reach on every cheap task: the fixed scale of a task, its best fixed setting, and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hyperprompt.collect import sources
from hyperprompt.collect.ppo import SPACE
from hyperprompt.collect.steer import LANES, N_STEPS, collector, keys, steer
from hyperprompt.collect.tasks import Variant
from hyperprompt.controllers.fixed import Static
from hyperprompt.durable import append_line, from_json, read_lines, to_json
from hyperprompt.envs.scale import TaskScale
from hyperprompt.errors import UnknownName

AXES: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "ppo": {"n_epochs": (10, 3), "learning_rate": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)},
    "sac": {"gradient_steps": (1, 2), "learning_rate": (3e-4, 1e-3, 3e-3, 1e-2)},
}
"""The grid of every algorithm: how often it learns from what it has, and the learning rate."""
SEEDS = (9001, 9002)
RANDOM_EPISODES = 64

VARIANTS: dict[str, Variant] = {
    "plain": Variant(),
    "hot": Variant(observation_scale=3.0, gain=10.0),
    "cold": Variant(observation_scale=0.3, gain=0.1),
}
"""Named variants: a hot learner moves far at every step and wants a small learning rate, a cold one a large one."""


def split(name: str) -> tuple[str, Variant]:
    """ "cartpole:loud" -> ("cartpole", Variant(...)); a base task alone is its plain variant.

    Raises:
        UnknownName: no such task or variant; lists the valid ones.
    """
    base, _, variant = name.partition(":")
    sources.find(base)
    if (variant or "plain") not in VARIANTS:
        raise UnknownName("variant", variant, VARIANTS)
    return base, VARIANTS[variant or "plain"]


def search(
    names: Sequence[str],
    out: Path,
    updates: int | None = None,
    seeds: Sequence[int] = SEEDS,
    n_steps: int = N_STEPS,
    cells: Sequence[tuple[float, float]] = (),
) -> None:
    """Run the grid on every task and append one line a task to `out`; tasks that are there already are skipped.

    `cells`: pairs of how often and learning rate in place of all those of AXES.
    """
    done = {row["task"] for row in load(out)}
    for name in names:
        if name in done:
            continue
        base, variant = split(name)
        fast = collector(base, n_steps)
        often, rates = AXES[fast.algorithm].items()
        pairs = product(cells or tuple(product(often[1], rates[1])), seeds)
        wanted = [({often[0]: n, rates[0]: rate}, seed) for (n, rate), seed in pairs]
        first = [{name: float(value) for name, value in theta.items()} for theta, _ in wanted]
        length = updates or fast.updates
        runs = steer(fast, name, variant, [seed for _, seed in wanted], length, Static(), first)
        points = [
            {**theta, "seed": seed, "auc": run.auc, "final": run.final}
            for (theta, seed), run in zip(wanted, runs, strict=True)
        ]
        state = fast.init(keys(range(LANES)), variant)
        random = fast.evaluate(state, keys(range(100, 100 + LANES)), RANDOM_EPISODES // LANES)
        append_line(out, to_json({"task": name, "updates": length, "random": float(random.mean()), "points": points}))


def load(path: Path) -> list[dict[str, Any]]:
    return read_lines(path, from_json)[0] if path.exists() else []


def table(row: dict[str, Any], key: str) -> dict[tuple[float, int], float]:
    """(learning_rate, n_epochs, or SAC's gradient_steps) -> mean over the seeds of `key` ("auc" or "final")."""
    cells: dict[tuple[float, int], list[float]] = {}
    for point in row["points"]:
        often = next(point[name] for name, *_ in AXES.values() if name in point)
        cells.setdefault((point["learning_rate"], often), []).append(point[key])
    return {cell: float(np.mean(values)) for cell, values in cells.items()}


def scale(row: dict[str, Any]) -> TaskScale:
    """Random = 0, static defaults at T = 1."""
    default = (SPACE["learning_rate"].default, int(SPACE["n_epochs"].default))
    return TaskScale(row["random"], table(row, "final")[default])

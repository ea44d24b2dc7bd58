"""From the go/no-go's runs to a verdict: scores in fixed task units and bootstrap intervals of the differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperprompt.collect import grid
from hyperprompt.collect.gonogo import units
from hyperprompt.durable import map_floats

Floats = NDArray[np.float64]
RESAMPLES = 2000
REFERENCES = ("static", "best_fixed", "oracle_fixed", "kl-adaptive", "random")


def scores(lines: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], key: str) -> dict[tuple[str, str], Floats]:
    """(task, arm or arm/tag) -> (R - random) / unit of every seed, the unit being `gonogo.units`."""
    width, random = units(rows), {row["task"]: row["random"] for row in rows}
    return {
        (line["task"], "/".join(filter(None, (line["arm"], line["tag"])))): (np.asarray(line[key]) - random[line["task"]])
        / width[line["task"].partition(":")[0]]
        for line in lines
    }


def difference(
    table: Mapping[tuple[str, str], Floats], tasks: Sequence[str], a: str, b: str, seed: int = 0
) -> dict[str, float]:
    """Mean over `tasks` of arm `a` less arm `b`, with a 95 % bootstrap interval.

    Resamples the seeds of each task and arm; tasks are fixed, so nothing is said of other tasks.
    """
    rng = np.random.default_rng(seed)

    def resampled(arm: str) -> Floats:
        seeds = [table[task, arm] for task in tasks]
        draws = [s[rng.integers(len(s), size=(RESAMPLES, len(s)))].mean(1) for s in seeds]
        result: Floats = np.mean(draws, 0)
        return result

    spread = resampled(a) - resampled(b)
    low, high = np.percentile(spread, [2.5, 97.5])
    centre = np.mean([table[task, a].mean() - table[task, b].mean() for task in tasks])
    return {"mean": float(centre), "low": float(low), "high": float(high)}


def summarise(gonogo_file: Path, grid_file: Path) -> dict[str, Any]:
    """Per task and arm the mean AUC and final score; each student less each reference, over all tasks and task by task.

    `oracle_grid` is the best cell of the grid on the very task, chosen in hindsight from two seeds: an optimistic ceiling of
    fixed settings, no arm.
    """
    lines, rows = grid.load(gonogo_file), grid.load(grid_file)
    width = units(rows)
    result: dict[str, Any] = {"unit": width}
    for key in ("auc", "final"):
        table = scores(lines, rows, key)
        names = sorted({task for task, _ in table})
        means: dict[str, dict[str, float]] = {task: {} for task in names}
        for (task, arm), values in sorted(table.items()):
            means[task][arm] = float(values.mean())
        for row in rows:
            if row["task"] in means:
                best = max(grid.table(row, key).values())
                means[row["task"]]["oracle_grid"] = (best - row["random"]) / width[row["task"].partition(":")[0]]
        result[key] = means
        result[f"{key}_differences"] = {
            f"{arm} - {other}": _against(table, names, arm, other)
            for arm in sorted({arm for _, arm in table if arm.startswith("student")})
            for other in (*REFERENCES, arm.replace("student", "replay", 1))
            if any((task, arm) in table and (task, other) in table for task in names)
        }
    rounded: dict[str, Any] = map_floats(result, lambda x: round(x, 3))
    return rounded


def _against(table: Mapping[tuple[str, str], Floats], names: Sequence[str], arm: str, other: str) -> dict[str, Any]:
    shared = [task for task in names if (task, arm) in table and (task, other) in table]
    by_task = {task: difference(table, [task], arm, other) for task in shared}
    won = sum(found["mean"] > 0 for found in by_task.values())
    return {**difference(table, shared, arm, other), "tasks": len(shared), "won": won, "by_task": by_task}

"""From the go/no-go's runs to a verdict: scores in fixed task units and bootstrap intervals of the differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperprompt.collect import grid
from hyperprompt.collect.gonogo import units

Floats = NDArray[np.float64]
RESAMPLES = 2000
REFERENCES = ("static", "best_fixed", "oracle_fixed", "kl-adaptive", "replay", "random")


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
    """Per task and arm the mean AUC and final score; over all tasks, each student less each reference."""
    lines, rows = grid.load(gonogo_file), grid.load(grid_file)
    result: dict[str, Any] = {"unit": {k: round(v, 3) for k, v in units(rows).items()}}
    for key in ("auc", "final"):
        table = scores(lines, rows, key)
        arms = sorted({arm for _, arm in table})
        names = sorted({task for task, _ in table})
        result[key] = {t: {a: round(float(table[t, a].mean()), 3) for a in arms if (t, a) in table} for t in names}
        students = [arm for arm in arms if arm.startswith("student")]
        result[f"{key}_differences"] = {}
        for arm in students:
            for other in (*REFERENCES, *(s for s in arms if s.startswith(("replay/", "student")) and s != arm)):
                shared = [t for t in names if (t, arm) in table and (t, other) in table]
                if shared:
                    found = difference(table, shared, arm, other)
                    won = sum(table[t, arm].mean() > table[t, other].mean() for t in shared)
                    rounded = {k: round(v, 3) for k, v in found.items()}
                    result[f"{key}_differences"][f"{arm} - {other}"] = {**rounded, "tasks": len(shared), "won": int(won)}
    return result

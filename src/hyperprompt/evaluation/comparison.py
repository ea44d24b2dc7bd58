"""Run folders read for a comparison: one summary a run, grouped by task, and what may be said about who won."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperprompt.core import Decision
from hyperprompt.evaluation.metrics import auc, final_return, finite_points
from hyperprompt.hyperparameters import AVAILABLE, Hyperparameter, Scale
from hyperprompt.runs import RunFolder

NOT_KNOWN, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
MOST_DECIMALS = 6


@dataclass(frozen=True)
class Run:
    """One run folder, finished or not. Returns are in units of the environment's reward, seconds are wall-clock."""

    path: Path
    config: dict[str, Any]
    versions: dict[str, str]
    env: str
    algorithm: str
    controller: str
    seed: str
    total_steps: float
    steps: float
    finished: bool
    decisions: list[Decision]
    progress: dict[str, list[float]]
    wall_seconds: float
    adapt_seconds: float
    updates: float

    @property
    def task(self) -> str:
        """The environment, with what it was made with where that is said: levels or a body make another task of it."""
        options = ", ".join(f"{name}={value}" for name, value in sorted((self.config.get("env_options") or {}).items()))
        return f"{self.env} ({options})" if options else self.env

    @property
    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(steps, mean returns), the intervals without a finished episode left out."""
        return finite_points(self.progress.get("step", []), self.progress.get("return_mean", []))

    @property
    def auc(self) -> float:
        """Over the whole budget; for an unfinished run over the steps it has made."""
        return auc(*self.curve, self.horizon) if self.horizon > 0 else math.nan

    @property
    def final_return(self) -> float:
        return final_return(*self.curve, self.horizon) if self.horizon > 0 else math.nan

    @property
    def horizon(self) -> float:
        return self.total_steps if self.finished else self.steps

    @property
    def adapt_share(self) -> float:
        return self.adapt_seconds / self.wall_seconds if self.wall_seconds > 0 else math.nan

    def count(self, status: str) -> int:
        """Decisions that ended as `status`: kept, applied, clamped or rejected."""
        return sum(d.status == status for d in self.decisions)

    def theta(self, name: str) -> tuple[list[float], list[float]]:
        """(steps, values in force from that step on) of one hyperparameter; the last pair closes the run."""
        made = [d for d in self.decisions if name in d.theta_after]
        if made:
            steps = [float(made[0].step), *(float(d.step) for d in made)]
            values = [made[0].theta_before.get(name, math.nan), *(d.theta_after[name] for d in made)]
        else:
            values = self.progress.get(f"theta/{name}", [])
            steps = [0.0, *self.progress.get("step", [])][: len(values)]
        return ([*steps, max(self.steps, steps[-1])], [*values, values[-1]]) if values else ([], [])


def _float(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def load(path: Path) -> Run:
    """Read a run folder without touching it; a run that is still going on reads as unfinished.

    Raises:
        RunFolderError: not a run folder, or damaged.
    """
    folder = RunFolder.open(path, readonly=True)
    config, progress, decisions, result = folder.config, folder.progress(), folder.decisions(), folder.result()
    known = result or {}
    steps = progress.get("step") or [_float(known.get("steps"), 0.0)]
    wall = [s for s in progress.get("wall_seconds", []) if math.isfinite(s)] or [math.nan]
    controller = config.get("controller") or (decisions[0].controller if decisions else "none")
    return Run(
        path=path,
        config=config,
        versions=folder.versions,
        env=str(config.get("env") or "unnamed environment"),
        algorithm=str(config.get("algo") or ""),
        controller=str(controller),
        seed=str(config.get("seed", "?")),
        total_steps=_float(config.get("steps"), steps[-1]),
        steps=steps[-1],
        finished=result is not None,
        decisions=decisions,
        progress=progress,
        wall_seconds=_float(known.get("wall_seconds"), wall[-1]),
        adapt_seconds=_float(known.get("adapt_seconds"), math.fsum(d.seconds for d in decisions)),
        updates=_float(known.get("gradient_updates"), math.nan),
    )


def grouped(runs: Sequence[Run]) -> dict[tuple[str, str, float], list[Run]]:
    """Runs that may be compared: the same task, algorithm and budget. Static runs come first in a group."""
    groups: dict[tuple[str, str, float], list[Run]] = {}
    for run in sorted(runs, key=lambda r: (r.controller != "static", r.controller, len(r.seed), r.seed)):
        groups.setdefault((run.task, run.algorithm, run.total_steps), []).append(run)
    return groups


def by_controller(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by controller, in the order of `grouped`."""
    controllers: dict[str, list[Run]] = {}
    for run in runs:
        controllers.setdefault(run.controller, []).append(run)
    return controllers


def hyperparameters(runs: Sequence[Run]) -> list[str]:
    """Names of the hyperparameters that any run reports, in the order they appear."""
    found: dict[str, None] = {}
    for run in runs:
        for decision in run.decisions[:1]:
            found.update(dict.fromkeys(decision.theta_after))
        found.update(dict.fromkeys(c.removeprefix("theta/") for c in run.progress if c.startswith("theta/")))
    return list(found)


def mean_theta(runs: Sequence[Run], name: str) -> tuple[list[float], list[float]]:
    """`Run.theta` of several runs as one: the mean on the hyperparameter's own scale, as far as all of them have gone."""
    curves = [curve for run in runs if (curve := run.theta(name))[0]]
    if len(curves) < 2:
        return curves[0] if curves else ([], [])
    first, last = max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves)
    grid = sorted({step for steps, _ in curves for step in steps if first <= step <= last})
    held = [np.asarray(values)[np.searchsorted(steps, grid, side="right") - 1] for steps, values in curves]
    mean = _mean(runs, name)
    return grid, [mean(row.tolist()) for row in np.transpose(held)]  # (points, runs)


def _mean(runs: Sequence[Run], name: str) -> Callable[[Sequence[float]], float]:
    """`Hyperparameter.mean` within the widest bounds that one of the runs set; arithmetic for what no algorithm declares."""
    declared = _declared(name, runs[0].algorithm)
    if declared is None:
        return lambda values: float(np.mean(values))
    bounds = [declared.low, declared.high, *(end for run in runs for end in (run.config.get("bounds") or {}).get(name, ()))]
    return replace(declared, low=min(bounds), high=max(bounds)).mean


def scale_of(name: str, algorithm: str) -> Scale:
    """The scale on which `name` is steered; linear for one that no algorithm declares."""
    declared = _declared(name, algorithm)
    return declared.scale if declared else "linear"


def _declared(name: str, algorithm: str) -> Hyperparameter | None:
    """The hyperparameter of the algorithm, or else of the first that has one of this name."""
    spaces = [AVAILABLE[algorithm]] if algorithm in AVAILABLE else []
    return next((space[name] for space in [*spaces, *AVAILABLE.values()] if name in space.names), None)


def number(value: float | None) -> str:
    """For people: three to four digits, thousands separated, a dash for what is not known."""
    if value is None or not math.isfinite(value):
        return NOT_KNOWN
    if abs(value) >= 1000 or (value == int(value) and abs(value) >= 10):
        return f"{value:,.0f}".replace("-", MINUS)
    return (f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}").replace("-", MINUS)


def numbers(*values: float) -> list[str]:
    """A value and what tells how sure it is, all with equally many decimals: three digits of the greatest, and enough that
    none but the first becomes 0 which is not.
    """
    greatest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    least = min((abs(value) for value in values[1:] if math.isfinite(value) and value), default=greatest)
    decimals = min(max(2 - _magnitude(greatest), -_magnitude(least), 0), MOST_DECIMALS)
    # Adding zero makes a plain one of the negative zero.
    written = (f"{round(value, decimals) + 0.0:,.{decimals}f}" if math.isfinite(value) else NOT_KNOWN for value in values)
    return [text.replace("-", MINUS) for text in written]


def _magnitude(value: float) -> int:
    return math.floor(math.log10(value)) if value else 2


def verdict(runs: Sequence[Run]) -> list[str]:
    """Plain sentences on one group: who leads by AUC and by final return, by how much, and what that is worth."""
    finished = by_controller([run for run in runs if run.finished and math.isfinite(run.auc)])
    said: list[str] = []
    if len(finished) < 2:
        said.append("There is nothing to compare: fewer than two controllers have finished a run on this task.")
    else:
        said += [_ranking(finished, what) for what in ("AUC", "final return")]
        fewest = min(len({run.seed for run in members}) for members in finished.values())
        if fewest == 1:
            said.append("With one seed for a controller this proves nothing: two seeds of one controller differ as well.")
        elif fewest < 5:
            said.append(f"{fewest} seeds a controller are few: read this as a hint, not as a result.")
    absent = [run for run in runs if not (run.finished and math.isfinite(run.auc))]
    if absent:
        listed = ", ".join(f"{run.controller} seed {run.seed} ({number(run.steps)} steps)" for run in absent)
        said.append(f"Left out of the comparison, being unfinished or without a finished episode: {listed}.")
    return said


def _ranking(finished: Mapping[str, Sequence[Run]], what: str) -> str:
    values = {c: [r.auc if what == "AUC" else r.final_return for r in members] for c, members in finished.items()}
    order = sorted(values, key=lambda c: -float(np.mean(values[c])))
    means = {c: float(np.mean(values[c])) for c in order}
    first, others = order[0], order[1:]
    if means[first] == means[others[0]]:
        return f"By {what}: a tie at {number(means[first])}."
    sentence = f"By {what}, {first} leads with {number(means[first])}; " + ", ".join(
        f"{c} loses with {number(means[c])} ({number(means[c] - means[first])})" for c in others
    )
    overlap = [c for c in others if max(values[c]) >= min(values[first])]
    several = all(len(v) > 1 for v in values.values())
    if several and overlap:
        sentence += f". The seeds of {first} and {', '.join(overlap)} overlap, so the order may be chance"
    elif several:
        sentence += f". Every seed of {first} is above every seed of the others"
    return sentence + "."

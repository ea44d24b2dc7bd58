"""The go/no-go experiment: does reading the state beat every fixed setting on a task that was never seen?

For every base task in turn, students learn from the branches of the others and steer its runs online, a decision at step 0
and after every interval, beside static defaults, the fixed setting that is best on the other tasks, a KL rule, the student's
own mean schedule replayed without looking, and random steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hyperprompt.collect import dataset, grid
from hyperprompt.collect.compiled import Collector, space_of
from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.collect.sources import find, relatives, short
from hyperprompt.collect.steer import N_STEPS, SteeredRun, collector, steer
from hyperprompt.collect.student import Student, arrays, train
from hyperprompt.controllers import registry
from hyperprompt.controllers.fixed import KLAdaptive, Random, Static, toward
from hyperprompt.controllers.over import Over
from hyperprompt.core import Controller, MetaAction, MetaState
from hyperprompt.durable import append_line, to_json
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.hyperparameters import Theta, for_algorithm
from hyperprompt.meta.interval import IntervalSchedule

LEARNT = ("student", "control")
"""The arms whose mean schedule `replay` has."""
SEEDS = tuple(range(100, 108))
"""Of the test runs; nothing else uses them."""


@dataclass
class Replay:
    """Goes to a given theta at every decision, whatever the state."""

    path: Sequence[Theta]
    name: str = "replay"

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [toward(state, self.path[min(state.index, len(self.path) - 1)]) for state in states]


@dataclass(frozen=True)
class Config:
    """One go/no-go. `labels`, `tau`, `choice`, `mean_share` go to the student; `tag` names the setting in the results."""

    test: tuple[str, ...]
    sources: tuple[str, ...]
    """Base tasks that have branch data; the test task's own base and its relatives are left out."""
    arms: tuple[str, ...] = ("static", "best_fixed", "oracle_fixed", "kl-adaptive", "student", "replay", "random")
    seeds: tuple[int, ...] = SEEDS
    updates: int | None = None
    """Of a run; by default the algorithm's."""
    n_steps: int = N_STEPS
    """Of a rollout."""
    mean_share: float = 0.5
    student: dict[str, Any] = field(default_factory=dict)
    tag: str = ""
    control: str = ""
    """Controller of the arm `control`: one that has learned from none of the tests."""
    base: str = ""
    """Controller of what the student may not move, by default nobody's."""
    tune: tuple[str, ...] = ()
    """The hyperparameters under control; empty: the algorithm's tuned set."""
    first: Mapping[str, float] = field(default_factory=dict)
    """theta at step 0 of every arm, where it is not the default."""


def units(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Base task -> its unit: what the best fixed setting of the grid ends with less what random actions return.

    Not static's end: where static hardly learns, that unit is near zero. Variants count the same rewards as their base.
    """
    result: dict[str, float] = {}
    for row in rows:
        base = row["task"].partition(":")[0]
        width = max(grid.table(dict(row), "final").values()) - row["random"]
        result[base] = max(result.get(base, 0.0), width)
    return result


def best_fixed(rows: Sequence[Mapping[str, Any]]) -> tuple[float, int]:
    """(learning_rate, n_epochs or, of SAC, gradient_steps) of the best mean AUC over all the tasks and variants of `rows`.

    AUCs are averaged in units of each variant's own best, so that every variant has the same weight.
    """
    total: dict[tuple[float, int], float] = {}
    for row in rows:
        aucs = grid.table(dict(row), "auc")
        best = max(aucs.values()) - row["random"]
        for cell, value in aucs.items():
            total[cell] = total.get(cell, 0.0) + (value - row["random"]) / best
    if not total:
        raise InvalidValue("a best fixed setting needs a grid of at least one task")
    return max(total, key=lambda cell: total[cell])


def held_out(config: Config, data: Sequence[Checkpoint], rows: Sequence[Mapping[str, Any]], base: str) -> Student:
    """The student of every source task but `base` and its relatives, in units of the grids `rows`."""
    width, near = units(rows), relatives(base)
    named = [(short(c.task), c) for c in data]
    kept = [replace(c, unit=width[name]) for name, c in named if name not in near and name in config.sources]
    if not kept:
        raise InvalidValue(f"no branch data of tasks other than {', '.join(sorted(near))}")
    return train(arrays(kept, config.mean_share), **config.student)


def mean_path(runs: Sequence[SteeredRun]) -> list[Theta]:
    """Mean, on each hyperparameter's own scale, of the values in force in each interval."""
    space = runs[0].meta.space
    path: list[Theta] = []
    for i in range(len(runs[0].meta.intervals)):
        thetas = [run.meta.intervals[i].theta for run in runs]
        path.append({h.name: h.mean([theta[h.name] for theta in thetas]) for h in space})
    return path


def mean_schedule(lines: Sequence[Mapping[str, Any]], updates: int) -> list[dict[str, Any]]:
    """The mean path of an arm over tasks that weigh alike, as `controllers.fixed.Schedule` replays it: what is left of a
    controller that looks neither at the task nor at the run.

    Raises:
        InvalidValue: no runs, of several algorithms, or paths of another length than runs of `updates` have.
    """
    if len(algorithms := {find(_base(line)).algorithm for line in lines}) > 1:
        raise InvalidValue("a mean schedule is one algorithm's: name runs of PPO or of SAC")
    starts = IntervalSchedule(updates, 1).starts()
    if not lines or any(len(line["path"]) != len(starts) for line in lines):
        raise InvalidValue(f"a mean schedule needs runs of {updates} updates, all with {len(starts)} intervals")
    space = for_algorithm(algorithms.pop()).subset(lines[0]["path"][0])
    paths = [[line["path"][i] for line in lines] for i in range(len(starts))]
    return [
        {"progress": start / updates, "theta": {h.name: float(h.mean([theta[h.name] for theta in thetas])) for h in space}}
        for start, thetas in zip(starts, paths, strict=True)
    ]


def run(config: Config, branch_folders: Sequence[Path], grid_files: Sequence[Path], out: Path) -> None:
    """Append one line per task and arm to `out`; pairs that are there already are skipped.

    Raises:
        InvalidValue: a pair that is there was run with other seeds, or for another length.
    """
    rows = [row for path in grid_files for row in grid.load(path)]
    data = [c for path in branch_folders for c in dataset.read(path, ("ppo",))] if "student" in config.arms else []
    done = {(line["task"], line["arm"], line["tag"]): line for line in grid.load(out)}
    students: dict[str, Student] = {}
    for name in config.test:
        base, variant = grid.split(name)
        fast, near = collector(base, config.n_steps), relatives(base)
        own = [row for row in rows if find(_base(row)).algorithm == fast.algorithm]
        known = [row for row in own if _base(row) in config.sources and _base(row) not in near]
        for arm in config.arms:
            tag = config.tag if arm in (*LEARNT, "replay") or config.first else ""
            length = config.updates or fast.updates
            asked = {"seeds": list(config.seeds), "updates": length, "n_steps": config.n_steps}
            if (name, arm, tag) in done:
                _refuse_another(done[name, arm, tag], asked, out)
                continue
            if arm == "student" and base not in students:
                students[base] = held_out(config, data, rows, base)
            learnt = [done[key] for key in ((name, of, config.tag) for of in LEARNT) if key in done]
            mean = learnt[0]["path"] if learnt else []
            chosen = [row for row in rows if row["task"] == name] if arm == "oracle_fixed" else known
            controller, theta = _arm(arm, fast, chosen, students.get(base), mean, config)
            space = space_of(fast, config.tune)
            theta = {**space.subset(config.first).clip(config.first), **theta}
            runs = steer(fast, name, variant, config.seeds, length, controller, [theta] * len(config.seeds), space)
            line = {
                "task": name,
                "arm": arm,
                "tag": tag,
                "first": theta,
                **asked,
                "auc": [r.auc for r in runs],
                "final": [r.final for r in runs],
                "path": mean_path(runs),
            }
            done[name, arm, tag] = line
            append_line(out, to_json(line))


def _refuse_another(line: Mapping[str, Any], asked: Mapping[str, Any], out: Path) -> None:
    """Old lines tell their seeds alone."""
    for key, value in asked.items():
        if line.get(key, value) != value:
            raise InvalidValue(
                f"{out} has {line['arm']} on {line['task']} with {key} {line[key]}, not {value}: name another file"
            )


def _base(row: Mapping[str, Any]) -> str:
    return str(row["task"]).partition(":")[0]


def _arm(
    arm: str,
    fast: Collector,
    rows: Sequence[Mapping[str, Any]],
    student: Student | None,
    mean: Sequence[Theta],
    config: Config,
) -> tuple[Controller, Theta]:
    """The controller of an arm and theta at step 0 where that is not the default; `rows`: grids to choose a setting from."""
    if arm in ("best_fixed", "oracle_fixed"):
        rate, often = best_fixed(rows)
        return Static(), {"learning_rate": rate, fast.dear: float(often)}
    if arm == "replay" and not mean:
        raise InvalidValue("replay needs the runs of the student, or of the control, on the task: run that arm before it")
    if arm == "control":
        return registry.create(config.control), {}
    if arm == "student" and student:
        return Over(student, registry.create(config.base)) if config.base else student, {}
    found: dict[str, Controller | None] = {
        "static": Static(), "kl-adaptive": KLAdaptive(), "random": Random(17), "replay": Replay(mean)
    }  # fmt: skip
    controller = found.get(arm)
    if controller is None:
        raise UnknownName("arm", arm, (*found, *LEARNT, "best_fixed", "oracle_fixed"))
    return controller, {}

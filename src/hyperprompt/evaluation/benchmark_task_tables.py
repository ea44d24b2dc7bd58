"""A benchmark's numbers on one task as tables of text."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hyperprompt.evaluation.benchmark import Tables, TaskTable, verdict
from hyperprompt.evaluation.benchmark_tables import METRICS, interval
from hyperprompt.evaluation.censoring import median_steps
from hyperprompt.evaluation.comparison import NOT_KNOWN, number, numbers
from hyperprompt.evaluation.outcomes import Outcome
from hyperprompt.evaluation.statistics import Array
from hyperprompt.evaluation.table import Table


def _mean(values: Array) -> str:
    """Mean ± standard deviation over the seeds with a value."""
    known = values[np.isfinite(values)]
    if not known.size:
        return NOT_KNOWN
    return " ± ".join(numbers(float(known.mean()), float(known.std(ddof=1)))) if known.size > 1 else number(float(known[0]))


def on_task(tables: Tables, task: TaskTable) -> Table:
    """Everything measured on one task, raw units first."""
    rows = []
    for method, cell in task.cells.items():
        row = [method, f"{len(cell.outcomes)}" + (f" ({cell.failed} failed)" if cell.failed else "")]
        row += [_mean(task.returns(method, name)) for name in METRICS]
        row += [_mean(task.scores(method, name)) if task.scale else NOT_KNOWN for name in METRICS]
        for name in METRICS:
            if method == tables.baseline:
                row.append(NOT_KNOWN)
                continue
            estimate = tables.difference(task, method, name)
            few = tables.few(task, method)
            row.append(f"{interval(estimate)} {f'({few})' if few else verdict(estimate)}")
        row += [_reached(sample, task) for sample in (cell.single, cell.total)]
        row.append(NOT_KNOWN if task.target.value is None else number(task.steps(method, "total")))
        row += [_mean(cell.figure(name)) for name in ("wall_seconds", "adapt_seconds", "gradient_updates")]
        row.append(number(cell.beside))
        rows.append(tuple(row))
    header = (
        *("method", "runs", "AUC", "final return", "AUC, scaled", "final, scaled", "AUC against baseline"),
        *("final against baseline", "median steps to R*", "the same in a search", "expected steps in all"),
        *("wall seconds", "adapt seconds", "gradient updates", "steps beside it"),
    )
    return Table(task.name, header, tuple(rows), _task_note(tables, task))


def _reached(sample: Array, task: TaskTable) -> str:
    """Median of censored steps, (2, n), and how many of the n reached R*."""
    if task.target.value is None:
        return NOT_KNOWN
    median = median_steps(sample)
    steps = number(median) if math.isfinite(median) else f"> {number(float(sample[0].max()))}"
    return f"{steps} ({int(sample[1].sum())} of {sample.shape[1]})"


def _task_note(tables: Tables, task: TaskTable) -> str:
    mean, error = task.random
    target = f"R* = {number(task.target.value)}" if task.target.value is not None else f"no R*: {task.target.reason}"
    if task.scale is None:
        scale = "no scale for the same reason"
    else:
        source = "the task's fixed scale" if task.fixed else "made from this suite's separate static runs"
        scale = f"scale: 0 = {number(task.scale.random)}, 1 = {number(task.scale.static)}, {source}"
    return (
        f"T = {number(task.total_steps)} environment steps. Random actions: {number(mean)} (standard error {number(error)}); "
        f"{target}; {scale}. Mean ± standard deviation over seeds, a failed run having the return of random actions. R* comes "
        f"from the runs of '{tables.zero_line}', so their own steps to it are in-sample. 'In a search': its trials, the first "
        "of which has the settings of static, then a run."
    )


def found(tables: Tables) -> Table | None:
    """What each search found: settings, as far as they differ from the first trial's."""
    rows = []
    for task in tables.tasks:
        for method, cell in task.cells.items():
            for search in cell.searches if cell.tuned else []:
                settings = _settings(search)
                rows.append((task.name, method, str(search.tuning_seed), str(len(search.trials)), settings))
    header = ("task", "method", "tuning seed", "trials", "settings found")
    return Table("Settings that the tuners found", header, tuple(rows), wrap=True) if rows else None


def _settings(search: Outcome) -> str:
    run = search.run["config"]
    if search.failed and run["seed"] == search.tuning_seed:  # else a final run failed, whose settings were found
        return "none: the search failed"
    return _changed(search.trials[0]["config"]["agent"], run["agent"])


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    changes = [f"{k} {_plain(v)}" for k, v in after.items() if before.get(k) != v]
    return ", ".join(changes) or "the first trial's: the settings every run begins with"


def _plain(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

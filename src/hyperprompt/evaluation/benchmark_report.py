"""The report of a benchmark: table.md and one self-contained HTML page, without a request or a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from hyperprompt.durable import atomic_write
from hyperprompt.errors import MissingDependency
from hyperprompt.evaluation import benchmark_tables as text
from hyperprompt.evaluation import benchmark_task_tables as task_tables
from hyperprompt.evaluation import benchmark_total_tables as totals
from hyperprompt.evaluation import plots
from hyperprompt.evaluation.benchmark import Tables, TaskTable
from hyperprompt.evaluation.comparison import Run, by_controller, hyperparameters, number
from hyperprompt.evaluation.outcomes import Outcome, Record, members, steps_spent
from hyperprompt.evaluation.report import page, picture
from hyperprompt.evaluation.table import Table


@dataclass(frozen=True)
class Protocol:
    """What a reader needs to judge the numbers, and to get them again."""

    name: str
    command: str
    suite: str
    """The suite file's text."""
    seeds: Mapping[str, Sequence[int]]
    accounts: Sequence[str]
    meta_training_steps: Mapping[str, int] = field(default_factory=dict)
    left: str = ""
    """What has still to be run, of a report while the benchmark runs."""


def write(tables: Tables, protocol: Protocol, folder: Path) -> list[Path]:
    """table.md and, where matplotlib and jinja2 are installed, report.html in `folder`; returns the files.

    Where they are not, table.md says so. While runs are left they are table-so-far.md and report-so-far.html, which the last
    report removes.
    """
    early, last = ([folder / f"table{stem}.md", folder / f"report{stem}.html"] for stem in ("-so-far", ""))
    markdown, page = early if protocol.left else last
    if not protocol.left:
        for file in early:
            file.unlink(missing_ok=True)
    try:
        atomic_write(page, _html(tables, protocol))
    except MissingDependency as missing:
        atomic_write(markdown, f"{_markdown(tables, protocol)}\nNo {page.name} was written: {missing}\n")
        return [markdown]
    atomic_write(markdown, _markdown(tables, protocol))
    return [markdown, page]


def _tables(tables: Tables, protocol: Protocol) -> list[Table]:
    """Those over tasks, in order."""
    parts: list[Table | None] = []
    if "single" in protocol.accounts:
        parts += [text.wins(tables, name) for name in text.METRICS]
        parts += [text.overall(tables), text.spreads(tables), text.step_ratios(tables, "single")]
        parts += [text.gains(tables, name) for name in text.METRICS]
    if "total" in protocol.accounts:
        parts += [totals.totals(tables), totals.incumbents(tables), text.step_ratios(tables, "total")]
    parts += [_covered(tables, protocol), text.paid_back(tables, protocol.meta_training_steps), task_tables.found(tables)]
    return [part for part in parts if part is not None]


def _markdown(tables: Tables, protocol: Protocol) -> str:
    parts = [f"# Benchmark {protocol.name}", *_said(tables, protocol)]
    parts += [table.markdown() for table in _tables(tables, protocol)]
    parts += ["## Tasks", *(task_tables.on_task(tables, task).markdown() for task in tables.tasks)]
    parts += [
        f"## Protocol\n\nCommand: `{protocol.command}`\n\nVersions: {_versions(tables)}",
        f"```yaml\n{protocol.suite}```",
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _said(tables: Tables, protocol: Protocol) -> list[str]:
    """Sentences that stand above every number."""
    seeds = "; ".join(f"{key} {', '.join(map(str, values))}" for key, values in protocol.seeds.items())
    count = sum(len(cell.outcomes) for task in tables.tasks for cell in task.cells.values())
    said = [f"{count} compared runs on {len(tables.tasks)} tasks. Seeds: {seeds}."]
    if protocol.left:
        said.insert(
            0,
            f"Not finished: {protocol.left}. A method stands on a task once all of its runs there have ended, and the "
            "baseline's, those for R* too. Dear methods that come later raise the budget B of account 2.",
        )
    fewest = min(len(cell.outcomes) for task in tables.tasks for cell in task.cells.values())
    if fewest < 5:
        said.append(
            f"{fewest} seed{'s' * (fewest > 1)}, the fewest of a method on a task, are few. Intervals are "
            f"{100 * tables.confidence:g}% by name, corrected for small samples; what they cover "
            + ("stands below them." if _covered(tables, protocol) else "was not measured.")
        )
    shared = sorted({m for t in tables.tasks for m, c in t.cells.items() if c.groups()})
    if shared:
        said.append(f"Test seeds of {', '.join(shared)} share a search. {text.FEW}")
    for task in tables.tasks:
        for method, cell in task.cells.items():
            tried = [("tuning seed", search.tuning_seed, trial) for search in cell.searches for trial in search.trials]
            for what, seed, record in (*tried, *(("seed", outcome.seed, outcome.run) for outcome in cell.outcomes)):
                if "error" in record:
                    reason, steps = str(record["error"]).splitlines()[-1], number(steps_spent(record))
                    said.append(f"Failed: {method} on {task.name}, {what} {seed}, after {steps} steps: {reason}")
    return said


def _covered(tables: Tables, protocol: Protocol) -> Table | None:
    """What was measured is of account 1."""
    return text.covered(tables) if "single" in protocol.accounts else None


def _versions(tables: Tables) -> str:
    """Of the packages the runs were made with; several where the runs differ."""
    known: dict[str, None] = {}
    for outcome in _outcomes(tables):
        for record in (outcome.run, *outcome.trials):
            if "versions" in record:
                known[", ".join(f"{name} {version}" for name, version in record["versions"].items())] = None
    return "; and other runs with ".join(known) or "no run has finished"


def _outcomes(tables: Tables) -> list[Outcome]:
    return [outcome for task in tables.tasks for cell in task.cells.values() for outcome in cell.outcomes]


def _html(tables: Tables, protocol: Protocol) -> str:
    return page(
        "benchmark_template.html",
        title=f"Benchmark {protocol.name}",
        said=_said(tables, protocol),
        tables=_tables(tables, protocol),
        bars=_bars(tables, protocol),
        tasks=[_task(tables, task, protocol) for task in tables.tasks],
        command=protocol.command,
        versions=_versions(tables),
        suite=protocol.suite,
    )


def _bars(tables: Tables, protocol: Protocol) -> list[tuple[str, str | None]]:
    """(what, picture) of everything that is compared over tasks: each method against the baseline on the tasks of both.

    Figures over the tasks of each method alone would favour the one with the easiest.
    """
    others = [method for method in tables.methods if method != tables.baseline]
    found = []
    for account in protocol.accounts:
        rows = [(method, tables.steps_ratio(method, account), len(tables.targeted(method))) for method in others]
        label = f"steps to R*, ratio to {tables.baseline} (log axis; less is better)"
        found.append((f"Steps to R*, {text.ACCOUNTS[account]}", plots.intervals(rows, label, 1.0, tables.methods, log=True)))
    for name, what in text.METRICS.items() if "single" in protocol.accounts else ():
        rows = [(m, tables.gain(m, tables.baseline, name), len(tables.comparable(m))) for m in others]
        label = f"difference to {tables.baseline}, task scale (more is better)"
        found.append((f"Normalised gain: {what}", plots.intervals(rows, label, 0.0, tables.methods)))
    return [(what, picture(svg)) for what, svg in found if svg is not None]


def _task(tables: Tables, task: TaskTable, protocol: Protocol) -> dict[str, Any]:
    runs = [run_of(o.run, method) for method, cell in task.cells.items() for o in cell.outcomes if not o.failed]
    longer = {method for method, cell in task.cells.items() if cell.beside > 0}
    sequences = [
        sequence(search, method)
        for method, cell in task.cells.items()
        for search in cell.searches
        if method in (*longer, tables.baseline) and not all("error" in record for record in (*search.trials, search.run))
    ]
    steered = [run for run in runs if any(name.startswith("theta/") for name in run.progress)]
    names, shown = hyperparameters(steered), list(by_controller(steered))

    def curves(which: Sequence[Run], size: tuple[float, float]) -> str | None:
        return picture(plots.learning_curves(which, size, tables.methods))

    colours = plots.styles(tables.methods)
    return {
        "table": task_tables.on_task(tables, task),
        "curves": curves(runs, plots.WIDE) if runs else None,
        "curves_narrow": curves(runs, plots.NARROW) if runs else None,
        "sequences": curves(sequences, plots.WIDE) if longer and "total" in protocol.accounts else None,
        "thetas": [(name, picture(plots.theta(steered, name, tables.methods))) for name in names],
        "legend": [(m, picture(plots.swatch(colours[m]))) for m in shown],
        "means": len(shown) > plots.FEW,
    }


def run_of(record: Record, label: str) -> Run:
    """A finished run as the figures take it."""
    config, result = record["config"], record["result"]
    progress = {name: list(values) for name, values in record["curve"].items()}
    progress |= {f"theta/{name}": list(values) for name, values in record.get("theta", {}).items()}
    return Run(
        path=Path(),
        config=dict(config),
        versions=dict(record["versions"]),
        env=config["env"],
        algorithm=config["algo"].removeprefix("sbx-"),
        controller=label,
        seed=str(config["seed"]),
        total_steps=float(config["steps"]),
        steps=progress["step"][-1],
        finished=True,
        decisions=[],
        progress=progress,
        wall_seconds=result["wall_seconds"],
        adapt_seconds=result["adapt_seconds"],
        updates=result["gradient_updates"],
    )


def sequence(search: Outcome, label: str) -> Run:
    """The trials of a search and the final run after it, or a population, as one curve over the steps spent in all.

    At least one of the runs has finished.
    """
    step, returns, spent = [], [], 0.0
    finished = search.run
    for record in (*search.trials, search.run):
        if "error" not in record:  # a failed run costs its steps and shows nothing
            finished = record
            step += [spent + members(record) * s for s in record["curve"]["step"]]
            returns += record["curve"]["return_mean"]
        spent += steps_spent(record)
    assert all(a < b for a, b in pairwise(step))
    whole = {**finished, "curve": {"step": step, "return_mean": returns}, "theta": {}}
    return run_of(whole, label)

"""A benchmark's numbers over tasks as tables of text, the same ones for the Markdown file and for the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hyperprompt.evaluation import statistics
from hyperprompt.evaluation.benchmark import Tables, TaskTable, verdict
from hyperprompt.evaluation.comparison import NOT_KNOWN, number, numbers
from hyperprompt.evaluation.coverage import DECIDES, NOMINAL, no_larger, recorded, size_name, uneven_like, uneven_name
from hyperprompt.evaluation.gains import payback
from hyperprompt.evaluation.statistics import FEWEST_GROUPS, Estimate
from hyperprompt.evaluation.table import Table

METRICS = {"auc": "AUC", "final_return": "final return"}
FEW = (
    "Where runs share searches, intervals draw searches first, then the runs of each; fewer than "
    f"{FEWEST_GROUPS} searches, or one seed, allow no interval and decide nothing."
)
ACCOUNTS = {"single": "account 1: one run each", "total": "account 2: trials and members included"}


def interval(estimate: Estimate) -> str:
    """value [low, high]; the value alone where too few seeds or searches allow no interval."""
    if math.isnan(estimate.low):
        return number(estimate.value)
    value, low, high = numbers(estimate.value, estimate.low, estimate.high)
    return f"{value} [{low}, {high}]"


def wins(tables: Tables, name: str) -> Table:
    """How each method fares against the baseline by one of METRICS, task by task; wins and losses side by side."""
    rows = []
    for method in tables.methods:
        if method == tables.baseline:
            continue
        held: dict[str, list[str]] = {"win": [], "loss": [], "open": [], "no interval": [], "not run": []}
        for task in tables.tasks:
            found = verdict(tables.difference(task, method, name))
            held[found].append(f"{task.name} ({tables.few(task, method)})" if found == "no interval" else task.name)
        undecided = [*held["open"], *held["no interval"]]
        rows.append((method, *(_listed(names) for names in (held["win"], held["loss"], undecided, held["not run"]))))
    note = (
        f"Against {tables.baseline}, one run each. A win or a loss: the {100 * tables.confidence:g}% interval of the "
        f"difference of means leaves 0 out, a failed run having the return of random actions. '{tables.zero_line}' is the "
        f"baseline against itself: what seeds alone do. {FEW} Nothing is corrected for the number of comparisons: of twenty "
        f"between equals about {20 * (1 - tables.confidence):g} would be decided by chance."
    )
    title = f"Wins and losses against {tables.baseline}: {METRICS[name]}"
    return Table(title, ("method", "wins", "losses", "undecided", "not run"), tuple(rows), note, wrap=True)


def _listed(tasks: Sequence[str]) -> str:
    return f"{len(tasks)}: {', '.join(tasks)}" if tasks else "0"


def overall(tables: Tables) -> Table:
    """Over tasks, in the task scale, one run each."""
    rows = []
    for method in tables.methods:
        row = [method, f"{len(tables.comparable(method))} of {len(tables.tasks)}"]
        for name in METRICS:
            row.append(interval(tables.aggregate(method, name, statistics.iqm)))
        row.append(interval(tables.aggregate(method, "final_return", statistics.optimality_gap)))
        for name in METRICS:
            better = tables.aggregate(method, name, statistics.probability_of_improvement, tables.baseline)
            row.append(NOT_KNOWN if method == tables.baseline else interval(better))
        seconds = "1" if method == tables.baseline else interval(tables.seconds_ratio(method))
        row += [ratio(tables, method, "single"), seconds, _cost(tables, method)]
        rows.append(tuple(row))
    header = (
        *("method", "tasks", "IQM of AUC", "IQM of final return", "optimality gap", "P(better), AUC", "P(better), final"),
        *("steps to R*, ratio", "wall seconds, ratio", "steps beside it (x T)"),
    )
    note = (
        "Task scale: random actions 0, static defaults 1, a failed run 0. Tasks: with a scale; rows with unequal numbers of "
        "them are compared with one another below only, on the tasks that both were run on. IQM: interquartile mean over "
        "runs, every task with equal weight. Optimality gap: by how much runs miss 1, lower is better. P(better): chance "
        f"that a run of the method is above one of {tables.baseline}. Ratios: geometric mean over tasks of method / "
        f"{tables.baseline}, below 1 is less; a run that missed R* counts as T, seconds are of tasks without a failed run. "
        "Steps beside the run are those of a tuner's search or of a population's other members; they count in the last "
        "column only."
    )
    return Table("Account 1: one run each", header, tuple(rows), note)


def spreads(tables: Tables) -> Table:
    """How far the runs of each method lie apart, beside the baseline's on the same tasks."""
    rows = []
    for method in tables.methods:
        row = [method, _seeds(tables, method)]
        for name in METRICS:
            pairs = tables.spreads(method, name)
            pooled = np.sqrt((pairs**2).mean(0)) if pairs.size else np.full(2, math.nan)
            smaller = f"{int((pairs[:, 0] < pairs[:, 1]).sum())} of {len(pairs)}"
            row += [*numbers(*pooled), smaller] if method != tables.baseline else [numbers(*pooled)[0], NOT_KNOWN, NOT_KNOWN]
        rows.append(tuple(row))
    columns = (c for what in METRICS.values() for c in (what, f"{tables.baseline}'s there", "smaller than that"))
    note = (
        f"Standard deviation over seeds in the task scale, root mean square over the tasks where both have one; "
        f"{tables.baseline}'s on the same tasks; and on how many of them it is smaller: between equals on half, by chance. "
        "Without intervals: at so few seeds none would hold. A failed run has 0, a method none of whose runs finished no "
        "spread. Where test seeds share a search, they differ less than searches do."
    )
    return Table("Spread over seeds", ("method", "seeds", *columns), tuple(rows), note)


def _seeds(tables: Tables, method: str) -> str:
    """Of one task, the fewest and the most."""
    counts = [len(t.cells[method].outcomes) for t in tables.tasks if method in t.cells]
    return " to ".join(map(str, sorted({min(counts), max(counts)})))


def gains(tables: Tables, name: str) -> Table:
    """By how much each method is above each other one, in the task scale."""
    note = (
        "Mean over the tasks that both were run on of the difference in the task scale, one run each: 1 is what static "
        "defaults gain over random actions, below 0 the method of the row loses to that of the column. A failed run has 0."
    )
    return _pairs(tables, f"Normalised gain: {METRICS[name]}", lambda m, other: tables.gain(m, other, name), note)


def step_ratios(tables: Tables, account: str) -> Table:
    """What share of each other method's steps to R* each method needs, in one of ACCOUNTS."""
    note = (
        "Expected steps to R* of the method of the row over those of the column's, geometric mean over the tasks that both "
        "were run on: below 1 it needs fewer, 0.7 is 30% fewer."
    )
    return _pairs(
        tables, f"Steps to R*, ratios, {ACCOUNTS[account]}", lambda m, other: tables.steps_ratio(m, account, other), note
    )


def _pairs(tables: Tables, title: str, figure: Callable[[str, str], Estimate], note: str) -> Table:
    """A figure of every method against every other one."""
    rows = [
        (m, *(NOT_KNOWN if m == other else interval(figure(m, other)) for other in tables.methods)) for m in tables.methods
    ]
    return Table(title, ("method", *(f"over {m}" for m in tables.methods)), tuple(rows), note)


def _cost(tables: Tables, method: str) -> str:
    shares = [t.cells[method].beside / t.total_steps for t in tables.tasks if method in t.cells]
    return number(float(np.mean(shares))) if shares and max(shares) > 0 else "0"


def covered(tables: Tables) -> Table | None:
    """How often the intervals hold the truth on synthetic data, at the largest measured size no larger than this benchmark's.

    None where no interval can be made, or where it is of another confidence than those simulated.
    """
    scaled = [_fewest(tables, task) for task in tables.comparable(tables.baseline)]
    targeted = [_fewest(tables, task) for task in tables.targeted(tables.baseline)]
    smallest = [min(_fewest(tables, task) for task in tables.tasks)]
    asked = (
        *((DECIDES, "difference on one task: wins and losses", smallest), ("iqm", "IQM", scaled)),
        *(("probability of improvement", "P(better)", scaled), ("step ratio", "steps to R*, ratio", targeted)),
    )
    rows = []
    for statistic, what, seeds in asked if tables.confidence == NOMINAL else ():
        if min(seeds, default=0) > 1:
            size = no_larger(seeds)
            low, high = recorded()[statistic, size_name(size)]
            rows.append((what, size_name(seeds), size_name(size), f"{low:.2f} to {high:.2f}"))
            if statistic == DECIDES and (pair := _uneven(tables)) and (like := uneven_like(*pair)):
                low, high = recorded()[DECIDES, uneven_name(like)]
                names = uneven_name(pair), uneven_name(like), f"{low:.2f} to {high:.2f}"
                rows.append(("the same, of methods with unequal seeds", *names))
    header = (
        "interval of",
        "tasks x seeds of the methods, at least",
        "size measured, no larger",
        "share that holds the truth",
    )
    note = (
        "Simulated with made-up scores: lowest and highest share over normal, skewed and failing seeds, for intervals "
        "that are 95% by name (python -m hyperprompt.evaluation.coverage); that of the ratio of steps is account 1's."
    )
    return Table("What the intervals cover", header, tuple(rows), note) if rows else None


def ratio(tables: Tables, method: str, account: str) -> str:
    return "1" if method == tables.baseline else interval(tables.steps_ratio(method, account))


def _counts(tables: Tables, task: TaskTable) -> list[int]:
    """Test seeds of every method on a task, or searches that they share, from the fewest; without those that have too few."""
    cells = [cell for method, cell in task.cells.items() if method != tables.zero_line and not cell.few]
    return sorted(len(cell.searches if cell.groups() else cell.outcomes) for cell in cells)


def _fewest(tables: Tables, task: TaskTable) -> int:
    return min(_counts(tables, task), default=1)


def _uneven(tables: Tables) -> tuple[int, int] | None:
    """The fewest and the most seeds that two methods have on one task, where they differ anywhere."""
    found = [(counts[0], counts[-1]) for task in tables.tasks if (counts := _counts(tables, task)) and counts[0] < counts[-1]]
    return min(found, key=lambda pair: (pair[0], -pair[1]), default=None)


def paid_back(tables: Tables, meta_training_steps: Mapping[str, int]) -> Table | None:
    """When the training of a method has paid for itself in environment steps to R*."""
    rows = []
    for method, steps in meta_training_steps.items():
        by_task = tables.saved_steps(method)
        saved = float(np.mean([*by_task.values()])) if by_task else math.nan
        runs = payback(steps, saved) if by_task else math.nan
        said = ", ".join(f"{task} {number(steps)}" for task, steps in by_task.items()) or NOT_KNOWN
        rows.append((method, number(steps), number(saved), said, "never" if math.isinf(runs) else number(runs)))
    header = ("method", "meta-training steps", "steps to R* saved a run", "of these by task", "runs until paid back")
    note = "At the mean saving over these tasks, which has no interval of its own: see that of steps to R*."
    return Table("Meta-training, and when it has paid", header, tuple(rows), note) if rows else None

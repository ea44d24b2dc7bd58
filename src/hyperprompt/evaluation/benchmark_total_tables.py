"""A benchmark's second account as tables of text: environment steps in all, the trials included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hyperprompt.evaluation.benchmark import Tables
from hyperprompt.evaluation.benchmark_tables import ACCOUNTS, ratio
from hyperprompt.evaluation.comparison import NOT_KNOWN, number, numbers
from hyperprompt.evaluation.statistics import Array
from hyperprompt.evaluation.table import Table


def totals(tables: Tables) -> Table:
    """Environment steps in all, the trials included."""
    rows = []
    for method in tables.methods:
        tasks = tables.targeted(method)
        spent = [t.cells[method].spent / t.total_steps for t in tasks]
        expected = [t.steps(method, "total") / t.total_steps for t in tasks]
        static = [t.steps(tables.baseline, "total") / t.total_steps for t in tasks]
        held = (_reached([getattr(t.cells[method], account) for t in tasks]) for account in ACCOUNTS)
        figures = (number(float(np.mean(x))) if tasks else NOT_KNOWN for x in (spent, expected, static))
        rows.append((method, f"{len(tasks)} of {len(tables.targeted())}", *figures, ratio(tables, method, "total"), *held))
    header = (
        *("method", "tasks", "steps of a search and a run (x T)", "expected steps to R* (x T)"),
        *(f"{tables.baseline}'s there", f"ratio to {tables.baseline}"),
        *("runs that hold R*", "searches in which any run holds it"),
    )
    budgets = ", ".join(f"{number(t.budget)} on {t.name}" for t in tables.tasks)
    note = (
        f"Every method has the same budget B, the most that one of them spends: {budgets}. Expected steps, up to B: the "
        "whole search once, then runs under the settings that it recommends until one holds R*. What misses R* costs a run of "
        "T, a failed run too, and is done again under another seed while B lasts; where none holds it, B is a lower bound. "
        "Mean over searches, each with its own steps and the runs under what it found. A population counts all members. Mean "
        f"over the tasks with R* that the method was run on, {tables.baseline}'s on the same ones; the ratio is a geometric "
        "mean. Whoever runs under the found settings many times comes near account 1. Last column: trials count too, which "
        "favours the tuner: the first has the settings of static."
    )
    return Table("Account 2: equal total environment steps", header, tuple(rows), note)


def _reached(samples: Sequence[Array]) -> str:
    """How many of the censored steps, (2, n) a task, are of R* reached."""
    return f"{sum(int(x[1].sum()) for x in samples)} of {sum(x.shape[1] for x in samples)}"


def incumbents(tables: Tables) -> Table | None:
    """What a user holds after equal environment steps in all; None where no method spends two runs."""
    tasks = [t for t in tables.comparable(tables.baseline) if t.budget >= 2 * t.total_steps]
    if not tasks:
        return None
    most = max(t.budget / t.total_steps for t in tasks)
    runs = [2.0**i for i in range(int(np.log2(most)) + 1)]
    rows = []
    for method in tables.methods:
        held = [t for t in tasks if method in t.cells]
        scores = [[t.held(method, min(n * t.total_steps, t.budget)).mean() for n in (*runs, most)] for t in held]
        figures = numbers(*np.mean(scores, axis=0)) if held else [NOT_KNOWN] * (len(runs) + 1)
        rows.append((method, f"{len(held)} of {len(tasks)}", *figures))
    note = (
        "Final return in the task scale, mean over tasks on which some method spends two runs or more. During a search: of "
        "its best trial so far, on the seed that it was chosen by, which favours the tuner; after it, of the runs under what "
        "it found. A population that has not ended: of its best member up to there. A method of one run each keeps what that "
        "run ended with; what else the steps left over would buy, more seeds of which to keep the best, say, is not counted. "
        "A failed run has 0."
    )
    header = ("method", "tasks", *(f"{number(n)} T" for n in runs), "B")
    return Table("Account 2: final return held after equal total environment steps", header, tuple(rows), note)

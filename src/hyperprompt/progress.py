"""The live display of runs in a terminal: steps, return, hyperparameters, last decision, time left."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from hyperprompt.core import Decision

if TYPE_CHECKING:
    from hyperprompt.callback import Report


@dataclass
class RunView:
    """What the display shows of one run."""

    label: str
    total_steps: int
    step: int = 0
    wall_seconds: float = 0.0
    return_mean: float = math.nan
    theta: Mapping[str, float] = field(default_factory=dict)
    decision: Decision | None = None
    status: str = "starting"

    @property
    def seconds_left(self) -> float:
        """At the speed so far; NaN before the first interval."""
        return self.wall_seconds * (self.total_steps - self.step) / self.step if self.step else math.nan


def table(views: Sequence[RunView]) -> Table:
    """One row a run."""
    result = Table(expand=True, header_style="bold")
    for title in ("run", "steps", "return", "hyperparameters now", "last decision", "left"):
        result.add_column(title, justify="right" if title in ("steps", "return", "left") else "left", overflow="fold")
    for view in views:
        done = view.step >= view.total_steps
        result.add_row(
            view.label,
            f"{view.step:,} / {view.total_steps:,}",
            "-" if math.isnan(view.return_mean) else f"{view.return_mean:.1f}",
            "  ".join(f"{name} {value:.3g}" for name, value in view.theta.items()) or "-",
            summary(view.decision) if view.decision else view.status,
            "done" if done else clock(view.seconds_left),
        )
    return result


def summary(decision: Decision) -> str:
    """A decision in a few words: what changed, from what to what."""
    changed = [
        f"{name} {decision.theta_before[name]:.3g} → {after:.3g}"
        for name, after in decision.theta_after.items()
        if after != decision.theta_before[name]
    ]
    what = ", ".join(changed) or ("rejected" if decision.status == "rejected" else "keep")
    return f"#{decision.index} {what}" + (f" ({decision.reason})" if decision.status == "rejected" else "")


def clock(seconds: float) -> str:
    """[days,] hours:minutes:seconds, or a dash for what is not known."""
    return "-" if math.isnan(seconds) else str(timedelta(seconds=int(seconds)))


@contextmanager
def live(label: str, total_steps: int, quiet: bool) -> Iterator[Callable[[Report], None] | None]:
    """A live display of one run in this process; yields the listener that feeds it, or None if `quiet`."""
    if quiet:
        yield None
        return
    view = RunView(label, total_steps)
    display = Live(table([view]), console=Console(), refresh_per_second=4)  # rich's own keeps its first width

    def listen(report: Report) -> None:
        view.step, view.wall_seconds, view.decision = report.step, report.wall_seconds, report.decision
        view.theta = report.decision.theta_after
        if report.interval:
            view.return_mean = report.interval.signals.values.get("return_mean", view.return_mean)
        display.start()  # not before: a run that is refused says so, and nothing else
        display.update(table([view]), refresh=True)

    try:
        yield listen
    finally:
        display.stop()

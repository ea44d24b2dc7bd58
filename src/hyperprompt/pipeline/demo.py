"""The demo stage: the same run twice at the same time, static and under the language model, compared at the end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from hyperprompt.errors import HyperPromptError, RunFolderError
from hyperprompt.evaluation.report import report
from hyperprompt.progress import RunView, table
from hyperprompt.runs import RunFolder

CONTROLLERS = ("static", "hyperprompt")
POLL_SECONDS = 0.5


def run(env: str, steps: int, seed: int, out: Path | None) -> None:
    """Train under every controller of CONTROLLERS in a process each, show both, print the comparison, write the report.

    Raises:
        HyperPromptError: a run failed; the message holds the end of its output.
    """
    out = out or Path("runs") / f"demo-{datetime.now():%Y%m%d-%H%M%S}"
    if out.exists():
        raise RunFolderError(f"{out} exists: choose another --out")
    out.mkdir(parents=True)
    views = [RunView(controller, steps) for controller in CONTROLLERS]
    processes = [_start(env, steps, seed, controller, out) for controller in CONTROLLERS]
    console = Console()
    console.print(f"PPO on {env}, {steps:,} steps, seed {seed}: static defaults, and the language model at the wheel")
    try:
        with Live(table(views), console=console, refresh_per_second=4) as display:
            while None in (codes := [process.poll() for process in processes]) and not any(codes):
                time.sleep(POLL_SECONDS)
                for view in views:
                    _refresh(view, out / view.label)
                display.update(table(views))
        failed = [c for c, process in zip(CONTROLLERS, processes, strict=True) if process.returncode]
    finally:
        for process in processes:
            process.terminate()
    if failed:
        raise HyperPromptError(f"the {failed[0]} run failed:\n{(out / f'{failed[0]}.log').read_text()[-2000:]}")
    folders = [out / controller for controller in CONTROLLERS]
    results = [RunFolder.open(folder, readonly=True).result() or {} for folder in folders]
    console.print(_comparison(results))
    console.print(_verdict(results))
    console.print(f"report: {report(folders, out / 'report.html')}")


def _start(env: str, steps: int, seed: int, controller: str, out: Path) -> subprocess.Popen[bytes]:
    arguments = ["train", env, "--controller", controller, "--steps", str(steps), "--seed", str(seed), "--quiet"]
    with (out / f"{controller}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "hyperprompt", *arguments, "--out", str(out / controller)],
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _refresh(view: RunView, folder: Path) -> None:
    """Reads a running run's folder; what is not there yet stays as it was."""
    try:
        run = RunFolder.open(folder, readonly=True)
        progress, decisions = run.progress(), run.decisions()
    except RunFolderError:
        return
    view.status = "training" if decisions else "loading the model"
    if decisions:
        view.decision, view.theta = decisions[-1], decisions[-1].theta_after
    if progress:
        view.step, view.wall_seconds = int(progress["step"][-1]), progress["wall_seconds"][-1]
        finite = [value for value in progress["return_mean"] if value == value]
        view.return_mean = finite[-1] if finite else view.return_mean


def _comparison(results: Sequence[dict[str, Any]]) -> Table:
    columns = ("controller", "auc", "final_return", "wall_seconds", "adapt_seconds", "gradient_updates", "decisions")
    result = Table(title="Result", header_style="bold")
    for column in columns:
        result.add_column(column.replace("_", " "), justify="left" if column == "controller" else "right")
    for row in results:
        result.add_row(*(_cell(row.get(column)) for column in columns))
    return result


def _cell(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _verdict(results: Sequence[dict[str, Any]]) -> str:
    """Who won, said plainly, wins and losses alike."""
    static, ours = results
    lines = []
    for key, what in (("auc", "mean return over the run (AUC)"), ("final_return", "final return")):
        if static.get(key) is None or ours.get(key) is None:
            lines.append(f"{what}: not available")
            continue
        gap = ours[key] - static[key]
        word = "won" if gap > 0 else "lost" if gap < 0 else "drew"
        lines.append(f"The {ours['controller']} controller {word} against static on {what} by {abs(gap):.1f}.")
    lines.append("One seed proves nothing; results/ holds comparisons over many. The model has never seen this task.")
    return "\n".join(lines)

"""`python -m hyperprompt.collect grid|branches|gonogo|summary`: the go/no-go experiment, stage by stage, each resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyperprompt.durable import atomic_write, to_json

app = typer.Typer(add_completion=False, no_args_is_help=True)
Names = Annotated[list[str], typer.Argument(help="Tasks, as 'cartpole' or, with a named variant, 'cartpole:loud'.")]
Grid = Annotated[Path, typer.Option(help="The grid's figures, one JSON object a task.")]
Folder = Annotated[Path, typer.Option(help="The folder of the branch data.")]
Runs = Annotated[Path, typer.Option(help="The go/no-go's figures, one JSON object a task and arm.")]
GRID, BRANCHES, RUNS = Path("results/gonogo/grid.jsonl"), Path("results/gonogo/branches"), Path("results/gonogo/runs.jsonl")


@app.command()
def grid(tasks: Names, out: Grid = GRID) -> None:
    """Fixed settings, learning rate x epochs, on every task."""
    from hyperprompt.collect.grid import search

    search(tasks, out)


@app.command()
def branches(tasks: Names, rounds: int = 2, out: Folder = BRANCHES) -> None:
    """Branch data of base tasks, one Parquet file a task and round."""
    from hyperprompt.collect.branches import collect

    collect(tasks, range(rounds), out)


@app.command()
def gonogo(
    tasks: Names,
    source: Annotated[list[str], typer.Option(help="A base task with branch data; give it once per task.")],
    arm: Annotated[list[str] | None, typer.Option(help="Only this arm; by default all.")] = None,
    labels: str = "pooled",
    tau: float = 0.05,
    choice: str = "mean",
    mean_share: float = 0.5,
    sees: str = "all",
    only: Annotated[list[str] | None, typer.Option(help="A hyperparameter the student may move.")] = None,
    damping: float = 1.0,
    tag: str = "",
    data: Folder = BRANCHES,
    grid: Grid = GRID,
    out: Runs = RUNS,
) -> None:
    """Every arm online on every task; the student learns from the sources less the task's own base."""
    from hyperprompt.collect.gonogo import Config, run

    student = {
        "labels": labels,
        "tau": tau,
        "choice": choice,
        "sees": sees,
        "only": tuple(only or ()),
        "damping": damping,
    }
    config = Config(tuple(tasks), tuple(source), student=student, mean_share=mean_share, tag=tag)
    run(config if not arm else Config(**{**vars(config), "arms": tuple(arm)}), data, grid, out)


@app.command()
def summary(runs: Runs = RUNS, grid: Grid = GRID, out: Path = Path("results/gonogo/summary.json")) -> None:
    """Scores in task units and bootstrap intervals of the differences."""
    from hyperprompt.collect.summary import summarise

    atomic_write(out, to_json(summarise(runs, grid), indent=1) + "\n")


if __name__ == "__main__":
    app()

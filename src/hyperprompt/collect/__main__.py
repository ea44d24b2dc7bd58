"""`python -m hyperprompt.collect grid|gonogo|summary|schedule|scales`: the go/no-go experiment, stage by stage; resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyperprompt.durable import atomic_write, to_json

app = typer.Typer(add_completion=False, no_args_is_help=True)
Names = Annotated[list[str], typer.Argument(help="Tasks, as 'cartpole' or, with a named variant, 'cartpole:loud'.")]
Grid = Annotated[Path, typer.Option(help="The grid's figures, one JSON object a task.")]
Folders = Annotated[list[Path] | None, typer.Option(help="A folder of branch data; by default that of the go/no-go.")]
Grids = Annotated[list[Path] | None, typer.Option(help="Figures of a grid; by default those of the go/no-go.")]
Updates = Annotated[int | None, typer.Option(help="Length of the runs, by default 64, SAC's blocks of 100 steps 96.")]
NSteps = Annotated[int, typer.Option(help="Steps of a rollout; live runs have 128.")]
Runs = Annotated[Path, typer.Option(help="The go/no-go's figures, one JSON object a task and arm.")]
GRID, BRANCHES, RUNS = Path("results/gonogo/grid.jsonl"), Path("results/gonogo/branches"), Path("results/gonogo/runs.jsonl")


@app.command()
def grid(
    tasks: Names,
    out: Grid = GRID,
    seeds: Annotated[int, typer.Option(min=1, max=2)] = 2,
    updates: Updates = None,
    n_steps: NSteps = 32,
    cell: Annotated[list[str] | None, typer.Option(help="Epochs and learning rate, as 10:3e-4; by default all.")] = None,
) -> None:
    """Fixed settings, learning rate x epochs (SAC: gradient steps), on every task."""
    from hyperprompt.collect.grid import SEEDS, search

    cells = [(float(often), float(rate)) for often, _, rate in (pair.partition(":") for pair in cell or [])]
    search(tasks, out, updates, SEEDS[:seeds], n_steps, cells)


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
    pessimism: Annotated[float, typer.Option(help="Deviations of the student's networks taken off its effects.")] = 0.0,
    share: Annotated[float, typer.Option(help="Of the tasks that each of its networks is shown.")] = 1.0,
    tag: str = "",
    control: Annotated[str, typer.Option(help="Controller of the arm 'control', as numeric:FOLDER.")] = "",
    base: Annotated[str, typer.Option(help="Controller of what the student may not move, as schedule:FILE.")] = "",
    tune: Annotated[list[str] | None, typer.Option(help="A hyperparameter under control; by default the tuned set.")] = None,
    first: Annotated[list[str] | None, typer.Option(help="A value at step 0, as gamma=0.9.")] = None,
    seeds_from: Annotated[int | None, typer.Option(help="The first of as many other test seeds.")] = None,
    updates: Updates = None,
    n_steps: NSteps = 32,
    data: Folders = None,
    grid: Grids = None,
    out: Runs = RUNS,
) -> None:
    """Every arm online on every task; the student learns from the sources less the task's own base."""
    from hyperprompt.collect.gonogo import SEEDS, Config, run

    student = {
        "labels": labels,
        "tau": tau,
        "choice": choice,
        "sees": sees,
        "only": tuple(only or ()),
        "damping": damping,
        "pessimism": pessimism,
        "share": share,
    }
    config = Config(
        tuple(tasks),
        tuple(source),
        student=student,
        mean_share=mean_share,
        tag=tag,
        seeds=SEEDS if seeds_from is None else tuple(range(seeds_from, seeds_from + len(SEEDS))),
        updates=updates,
        n_steps=n_steps,
        control=control,
        base=base,
        tune=tuple(tune or ()),
        first={name: float(value) for name, _, value in (pair.partition("=") for pair in first or [])},
    )
    chosen = config if not arm else Config(**{**vars(config), "arms": tuple(arm)})
    run(chosen, data or [BRANCHES], grid or [GRID], out)


@app.command()
def summary(runs: Runs = RUNS, grid: Grid = GRID, out: Path = Path("results/gonogo/summary.json")) -> None:
    """Scores in task units and bootstrap intervals of the differences."""
    from hyperprompt.collect.summary import summarise

    atomic_write(out, to_json(summarise(runs, grid), indent=1) + "\n")


@app.command()
def schedule(
    out: Annotated[Path, typer.Option(help="Replayed by the controller 'schedule:FILE'.")],
    arm: Annotated[str, typer.Option(help="Whose runs.")] = "student",
    tag: str = "",
    updates: Annotated[int, typer.Option(help="Length of those runs.")] = 64,
    runs: Runs = RUNS,
) -> None:
    """The mean schedule of an arm over all its tasks."""
    import yaml

    from hyperprompt.collect.gonogo import mean_schedule
    from hyperprompt.collect.grid import load

    lines = [line for line in load(runs) if (line["arm"], line["tag"]) == (arm, tag)]
    origin = {"mean_of": [line["task"] for line in lines], "arm": arm, "tag": tag}
    atomic_write(out, yaml.safe_dump({"origin": origin, "schedule": mean_schedule(lines, updates)}, sort_keys=False))


@app.command()
def scales(grids: list[Path], out: Path = Path("src/hyperprompt/collect/scales.yaml")) -> None:
    """The fixed scale of every task in these grids, for `hyperprompt collect`; those of other tasks stay as they are."""
    import yaml

    from hyperprompt.collect import grid
    from hyperprompt.collect.gonogo import units
    from hyperprompt.collect.scales import table

    rows = [row for path in grids for row in grid.load(path)]
    before = out.read_text() if out.exists() else ""
    known = {**(yaml.safe_load(before) or {}), **table(rows, units(rows))}
    made = f"# Made by: python -m hyperprompt.collect scales {' '.join(map(str, grids))}"
    head = [*(line for line in before.splitlines() if line.startswith("#") and line != made), made]
    atomic_write(out, "\n".join([*head, yaml.safe_dump(known)]))


if __name__ == "__main__":
    app()

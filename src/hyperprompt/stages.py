"""The commands of meta-training and comparison: long computations whose own command goes on with them after a kill."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperprompt.errors import InvalidValue

app = typer.Typer()


def columns(rows: list[tuple[str, ...]]) -> None:
    """Print rows of cells, each column as wide as its widest."""
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def resumable() -> Iterator[None]:
    """An interrupt ends with exit code 130 and the advice to repeat the command."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on with it", err=True)
        raise typer.Exit(130) from None


@app.command()
def constants(
    tasks: Annotated[list[str] | None, typer.Argument(metavar="[TASK]...", help="[default: every listed task]")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=3, help="Runs of each task.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Runs side by side.")] = 2,
    curves: Annotated[Path, typer.Option(help="One file for each finished run.")] = Path("results/static"),
    out: Annotated[Path, typer.Option(help="The table.")] = Path("src/hyperprompt/envs/constants.yaml"),
) -> None:
    """Measure the fixed scale of the tasks: random actions, and static defaults at T. Goes on where it stopped."""
    from hyperprompt.envs.make import exists, list_envs
    from hyperprompt.pipeline import constants as stage

    for task in tasks or ():
        exists(task)
    listed = [entry.name for entry in list_envs() if not entry.name.endswith("/custom")]
    failures = stage.measure(tasks or listed, stage.SEEDS[:seeds], jobs, curves, Path("runs/constants"))
    stage.write_table(listed, curves, out)
    if failures:
        raise InvalidValue(f"{len(failures)} runs failed; the first: {failures[0]}")


@app.command()
def benchmark(
    suite: Annotated[Path, typer.Argument(metavar="SUITE.yaml", help="Tasks, methods, seeds; see suites/.")],
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs side by side. [default: the suite's]")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of records and report. [default: the suite's]")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Carry out failed runs again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, and say what is left to be done and its cost.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Only the tables and the page, of what has ended so far.")] = False,
) -> None:
    """Carry out every run of a suite that has no record yet, and write the tables and the page. Goes on after a kill."""
    from hyperprompt.pipeline import benchmark as stage
    from hyperprompt.pipeline.suite import load

    read = load(suite)
    read = read.model_copy(update={"jobs": jobs or read.jobs, "out": out or read.out})
    if report and (dry_run or retry_failed):
        raise InvalidValue("--report only shows what has ended: it goes with neither --dry-run nor --retry-failed")
    if dry_run:
        outlook = stage.outlook(read, retry_failed)
        columns(outlook.table())
        typer.echo(f"\n{outlook.left}")
        return
    with resumable():
        finished = stage.so_far(read, typer.echo) if report else stage.run(read, retry_failed=retry_failed, say=typer.echo)
    if finished.left:
        typer.echo(finished.left)
    for path in stage.report(finished, shlex.join(["hyperprompt", *sys.argv[1:]])):
        typer.echo(path)
    if finished.failed:
        typer.echo(f"{finished.failed} runs failed: see {read.folder / 'failures'}; --retry-failed tries them again", err=True)
        raise typer.Exit(1)


@app.command()
def collect(
    collection: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Tasks and how much of each; see collections/.")],
    out: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    jobs: Annotated[int, typer.Option(min=1, help="Rounds side by side.")] = 1,
) -> None:
    """Collect a dataset of decisions: what different steps at the same moment of a run lead to. Goes on after a kill."""
    from hyperprompt.collect import stage
    from hyperprompt.collect.config import load

    with resumable():
        failures = stage.run(load(collection), out, jobs, typer.echo, shlex.join(["hyperprompt", *sys.argv[1:]]))
    typer.echo(out / "CARD.md")
    if failures:
        typer.echo(f"{len(failures)} rounds failed; the same command tries them again", err=True)
        raise typer.Exit(1)


@app.command()
def sft(
    out: Annotated[Path, typer.Option(help="Folder of the training: adapter, curves, model card.")],
    data: Annotated[list[Path] | None, typer.Option(help="A dataset of source tasks; may be given several times.")] = None,
    validation: Annotated[list[Path] | None, typer.Option(help="A dataset of validation tasks; likewise.")] = None,
    arch: Annotated[str | None, typer.Option(help="llm, llm-random, gru or mlp. [default: llm]")] = None,
    model: Annotated[str | None, typer.Option(help="See 'hyperprompt models'. [default: smollm2-135m]")] = None,
    preset: Annotated[str, typer.Option(help="short, paper, cpu or tiny.")] = "short",
    seed: Annotated[int | None, typer.Option(help="Of weights, order and augmentation. [default: 0]")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any key: rank=8, epochs=3.")] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file with such keys; options and --set win over it.")] = None,
) -> None:
    """Fine-tune a language model, or a control, on datasets of decisions. Goes on after a kill."""
    from hyperprompt.config import read_yaml
    from hyperprompt.pipeline import sft as stage
    from hyperprompt.sft.config import read

    options = {"data": data, "validation": validation, "arch": arch, "model": model, "seed": seed}
    given: dict[str, Any] = {key: value for key, value in options.items() if value not in (None, [])}
    read_config = read(preset, {**(read_yaml(config) if config else {}), **given}, set_ or [])
    with resumable():
        result = stage.run(read_config, out, lambda line: typer.echo(stage.told(line)))
    typer.echo(f"{result['measure']} on validation runs: {result['before']:.3f} before, {result['after']:.3f} after")
    typer.echo(out / "card.md")

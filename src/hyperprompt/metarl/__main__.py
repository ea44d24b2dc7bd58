"""`python -m hyperprompt.metarl evolve`: the tilt of a numeric control, from whole runs of the compiled tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def main(
    tasks: Annotated[list[str], typer.Argument(help="Compiled source tasks, as gymnax/cartpole.")],
    start: Annotated[Path, typer.Option(help="Folder of a control of 'hyperprompt sft'.")],
    out: Annotated[Path, typer.Option(help="Folder of the search; goes on after a kill.")],
    iterations: int = 20,
    sigma: float = 0.1,
    rate: float = 0.03,
    columns: Annotated[
        int, typer.Option(min=1, help="1: constant, 2: and the own place, 3: and progress, more: signals.")
    ] = 3,
    seed: int = 0,
    jobs: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Search, and print one line an iteration."""
    from hyperprompt.metarl.evolution import Evolution, run

    def told(line: dict[str, Any]) -> None:
        typer.echo(f"iteration {line['ascent']['count']}: mean J {sum(line['J'].values()) / len(line['J']):.4f}")

    config = Evolution(
        start=str(start), tasks=tuple(tasks), iterations=iterations, sigma=sigma, rate=rate, columns=columns, seed=seed
    )
    run(config, out, jobs, told)


if __name__ == "__main__":
    typer.run(main)

"""The demonstrate stage: record expert runs for few-shot prompts. `python -m hyperprompt.pipeline.demonstrate --help`.

An expert is a schedule written down by hand. On every task the schedules are run beside static on seeds kept for this, and
the one with the best mean AUC is recorded, from its first seed, if it beats static; every figure goes to `results/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
import yaml

from hyperprompt.config import RunConfig
from hyperprompt.core import MetaState
from hyperprompt.durable import atomic_write, to_json
from hyperprompt.errors import InvalidValue
from hyperprompt.pipeline import deploy
from hyperprompt.prompt.demonstrations import record
from hyperprompt.records import versions
from hyperprompt.runs import RunFolder

SEEDS = (900, 901)
Schedule = Mapping[float, Mapping[str, float]]
"""Share of the budget -> theta from there on."""


def _rate(first: float, *rates: float) -> Schedule:
    """A learning rate that rises at the start and falls late."""
    rising = {0.0: first} | {0.03 * (i + 1): rate for i, rate in enumerate(rates)}
    top = (first, *rates)[-1]
    path = rising | {share: top / factor for share, factor in ((0.5, 2), (0.7, 4), (0.85, 8))}
    return {share: {"learning_rate": rate} for share, rate in path.items()}


EXPERTS: Mapping[str, Mapping[str, Schedule]] = {
    "ppo": {
        "static": {},
        "4 x the default": _rate(1.2e-3),
        "8 x the default": _rate(1.2e-3, 2.4e-3),
        "16 x the default": _rate(1.2e-3, 4.8e-3),
    },
    "sac": {
        "static": {},
        "4 x the default": {0.0: {"learning_rate": 1.2e-3}, 0.8: {"learning_rate": 6e-4}},
        "4 x the default, faster targets": {0.0: {"learning_rate": 1.2e-3, "tau": 0.01}, 0.8: {"learning_rate": 6e-4}},
    },
}
TASKS = (
    RunConfig(env="CartPole-v1", algo="ppo", steps=49_152),
    RunConfig(env="Acrobot-v1", algo="ppo", steps=49_152),
    RunConfig(env="Pendulum-v1", algo="sac", steps=4_000),
)


def run(out: Path, results: Path) -> None:
    """Run every expert on every task, write the demonstrations to `out` and the figures to `results`.

    Raises:
        InvalidValue: no schedule beats static on any task, so there is nothing to show.
    """
    shown, figures = [], []
    for task in TASKS:
        found = {name: [_run(task, schedule, seed) for seed in SEEDS] for name, schedule in EXPERTS[task.algorithm].items()}
        mean = {name: sum(auc for auc, _ in runs) / len(runs) for name, runs in found.items()}
        best = max(mean, key=lambda name: mean[name])
        aucs = {name: [auc for auc, _ in runs] for name, runs in found.items()}
        figures.append({"env": task.env, "algo": task.algo, "steps": task.steps, "auc": aucs, "recorded": best})
        typer.echo(f"{task.env}: {', '.join(f'{name} {value:.1f}' for name, value in mean.items())}; recorded: {best}")
        if best != "static":
            shown.append(found[best][0][1])
    if not shown:
        raise InvalidValue("no expert beats static on any task")
    record(shown, out)
    command = "python -m hyperprompt.pipeline.demonstrate"
    summary = {"command": command, "seeds": SEEDS, "versions": versions(), "tasks": figures}
    results.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(results, to_json(summary, indent=1) + "\n")


def _run(task: RunConfig, schedule: Schedule, seed: int) -> tuple[float, MetaState]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "expert.yaml"
        file.write_text(yaml.safe_dump({"schedule": [{"progress": p, "theta": dict(theta)} for p, theta in schedule.items()]}))
        controller = f"schedule:{file}" if schedule else "static"
        result = deploy.train(task.model_copy(update={"controller": controller, "seed": seed}), Path(folder) / "run")
        checkpoint = RunFolder.open(Path(folder) / "run", readonly=True).latest_checkpoint()
        assert checkpoint is not None
        return result["auc"], MetaState.from_dict(checkpoint.state["run"]["meta_state"])


def main(
    out: Annotated[Path, typer.Option(help="Demonstrations.")] = Path("src/hyperprompt/prompt/demonstrations.json"),
    results: Annotated[Path, typer.Option(help="Figures.")] = Path("results/demonstrations.json"),
) -> None:
    """Record the expert runs that few-shot prompts show."""
    run(out, results)


if __name__ == "__main__":
    typer.run(main)

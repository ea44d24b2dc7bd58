"""The command line `hyperprompt`: thin commands over the pipeline. Errors end with exit code 2 and one message."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperprompt import stages
from hyperprompt.errors import HyperPromptError, InvalidValue
from hyperprompt.stages import columns

app = typer.Typer(
    help="A pre-trained language model that steers the hyperparameters of a live RL training run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(stages.app)
# Imports of torch, Stable-Baselines3 and pydantic stand inside the commands: `--help` must not pay for them.


@app.command()
def train(
    env: Annotated[str | None, typer.Argument(help="Task, e.g. LunarLander-v3 (see 'hyperprompt envs').")] = None,
    algo: Annotated[
        str | None, typer.Option(help="ppo, a2c, sac, td3, dqn, sbx-ppo or sbx-sac. [default: the task's]")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Agent settings: sb3-default, published, ... [default: the task's]")
    ] = None,
    controller: Annotated[str | None, typer.Option(help="See 'hyperprompt controllers'. [default: hyperprompt]")] = None,
    steps: Annotated[int | None, typer.Option(help="Environment steps in all. [default: the task's]")] = None,
    every: Annotated[int | None, typer.Option(help="Environment steps between decisions. [default: steps / 24]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of environments, weights and controller. [default: 0]")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder. [default: runs/ENV-ALGO-CONTROLLER-sSEED]")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any key, dotted: agent.n_steps=256, bounds.gamma=[0.9,0.99], n_envs=8."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file with such keys; options and --set win over it.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No live display.")] = False,
) -> None:
    """Train one agent under one controller, with a live display; the run folder holds everything it did."""
    from hyperprompt.config import parse, read_yaml

    options = {
        "env": env, "algo": algo, "preset": preset, "controller": controller, "steps": steps, "every": every, "seed": seed,
    }  # fmt: skip
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    if resume:
        if out is None:
            raise InvalidValue("--resume needs the run's folder: --out DIR")
        if config or set_:
            raise InvalidValue("--resume takes the configuration from the folder: leave --set and --config out")
        _show(lambda listener: _deploy().resume(out, listener), _deploy().stored(out, given), out, quiet)
        return
    settings = {**(read_yaml(config) if config else {}), **given}
    resolved = _deploy().resolve(parse(settings, set_ or []))
    folder = out or _deploy().default_folder(resolved)
    _show(lambda listener: _deploy().train(resolved, folder, listener), resolved, folder, quiet)


@app.command()
def demo(
    env: Annotated[str, typer.Argument(help="Task.")] = "LunarLander-v3",
    steps: Annotated[int, typer.Option(help="Environment steps of each run.")] = 300_000,
    seed: Annotated[int, typer.Option(help="Of both runs.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for both runs. [default: runs/demo-TIME]")] = None,
) -> None:
    """Train twice at the same time, static and under the language model, and compare."""
    from hyperprompt.pipeline import demo as stage

    stage.run(env, steps, seed, out)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run folders to compare.")],
    out: Annotated[Path | None, typer.Option(help="HTML file. [default: report.html in the first folder]")] = None,
) -> None:
    """Write one self-contained HTML page about one or several runs."""
    from hyperprompt.evaluation.report import report as write

    typer.echo(write(folders, out or folders[0] / "report.html"))


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Run folder with a checkpoint.")],
    episodes: Annotated[int, typer.Option(min=1, max=4096, help="Episodes of each kind.")] = 64,
) -> None:
    """Play evaluation episodes with a run's policy; on Procgen on training levels and on unseen ones."""
    from hyperprompt.pipeline import evaluate as stage

    result = stage.evaluate(folder, _deploy().stored(folder, {}), episodes)
    for name in ("train", "test"):
        if name in result:
            typer.echo(f"{name}: {result[name]['return_mean']:.2f} (standard deviation {result[name]['return_std']:.2f})")
    if "generalisation_gap" in result:
        typer.echo(f"generalisation gap: {result['generalisation_gap']:.2f}")


@app.command()
def export(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run folder; of several, their mean schedule.")],
    out: Annotated[Path | None, typer.Option(help="File to write. [default: standard output]")] = None,
) -> None:
    """Print the schedule that was found, as YAML: 'train --controller schedule:FILE' replays it without any model."""
    from hyperprompt.pipeline.export import mean_schedule_yaml, schedule_yaml

    text = schedule_yaml(folders[0]) if len(folders) == 1 else mean_schedule_yaml(folders)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text)
    except OSError as error:
        raise InvalidValue(f"cannot write {out}: {error.strerror}") from error


@app.command()
def controllers() -> None:
    """List the controllers."""
    from hyperprompt.controllers.registry import CONTROLLERS

    columns([(entry.usage, entry.described) for entry in CONTROLLERS.values()])
    typer.echo("\nA class of your own: package.module:Class, with a 'name' and 'decide(states)'.")


@app.command()
def envs() -> None:
    """List the tasks by family."""
    from hyperprompt.envs.make import list_envs

    listed = list_envs()
    rows = [
        (
            e.name,
            e.action,
            f"{e.observation} {'x'.join(map(str, e.observation_shape))}",
            e.algorithm,
            f"{e.steps:,}",
            f"{e.every:,}",
        )
        for e in listed
    ]
    columns([("task", "action", "observation", "algorithm", "T", "U"), *rows])
    typer.echo("\nAny other id of Gymnasium or EnvPool works as well. T: default budget; U: steps between two decisions.")
    for family in dict.fromkeys(e.family for e in listed if e.install):
        missing = [e for e in listed if e.family == family and e.install]
        typer.echo(f"{family}: {len(missing)} tasks need what is not installed: {missing[0].install}")


@app.command()
def models() -> None:
    """List the language models."""
    from hyperprompt.llm.names import MODELS

    rows = [(name, info.parameters, info.licence, info.source) for name, info in MODELS.items()]
    columns([("model", "parameters", "licence", "source"), *rows])
    typer.echo("\nAny other causal LM of the hub by its id, or a local folder: --controller llm:NAME.")


def _deploy() -> Any:
    from hyperprompt.pipeline import deploy

    return deploy


def _show(run: Any, config: Any, folder: Path, quiet: bool) -> None:
    """Runs `run(listener)` under the live display and prints the result."""
    from hyperprompt.progress import live

    with live(f"{config.controller} s{config.seed}", config.steps, quiet) as listener:
        result = run(listener)
    typer.echo(
        f"{result['controller']}: AUC {_figure(result['auc'])}, final return {_figure(result['final_return'])} "
        f"after {result['steps']:,} steps in {result['wall_seconds']:.0f} s "
        f"({result['adapt_seconds']:.1f} s of them for {result['decisions']} decisions); {folder}"
    )


def _figure(value: float | None) -> str:
    return "not available" if value is None else f"{value:.1f}"


def main() -> None:
    """Entry point: HyperPrompt's own errors become one line and exit code 2."""
    sys.path.insert(0, "")  # a controller of the user's, package.module:Class, is looked for in the current folder first
    try:
        app()
    except HyperPromptError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("stopped; 'hyperprompt train --resume --out DIR' goes on with it", err=True)
        sys.exit(130)

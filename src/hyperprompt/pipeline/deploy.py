"""The deploy stage: one run of one agent under one controller, from a configuration to a run folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hyperprompt.callback import HyperPromptCallback, Report
from hyperprompt.config import RunConfig, parse
from hyperprompt.envs import make as envs
from hyperprompt.errors import InvalidValue, MissingDependency, RunFolderError
from hyperprompt.pipeline import process
from hyperprompt.pipeline.evaluate import write_evaluation
from hyperprompt.pipeline.resolve import agent, resolve
from hyperprompt.runs import RunFolder

Listener = Callable[[Report], None]


def train(config: RunConfig, out: Path, listener: Listener | None = None, page: bool = True) -> dict[str, Any]:
    """Train from scratch into the new folder `out`, and return the content of result.json; `page`: with a report.html.

    Raises:
        HyperPromptError: anything in the configuration that cannot work; then no folder is left behind.
    """
    config = resolve(config)
    leftovers = {"lock", "tensorboard"}  # of a start that was killed before it wrote anything
    if out.exists() and (not out.is_dir() or {entry.name for entry in out.iterdir()} - leftovers):
        raise RunFolderError(f"{out} exists and is not empty: go on with --resume, or choose another --out")
    made = [p for p in (out, *out.parents) if not p.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"cannot make the run folder {out}: {error.strerror or error}") from error
    try:
        return _learn(config, out, listener, page)
    finally:
        if made and not (out / "config.yaml").exists():
            shutil.rmtree(out, ignore_errors=True)
            with suppress(OSError):  # others may have begun in a folder above meanwhile
                for parent in made[1:]:
                    parent.rmdir()


def resume(out: Path, listener: Listener | None = None) -> dict[str, Any]:
    """Go on with the run in `out` from its newest checkpoint; at most one interval is lost.

    Weights, optimiser, normalisers, replay buffer, meta-state and journal go on exactly. Environments cannot be saved: they
    are rebuilt, and every random generator reseeded, from (seed, step), so what follows equals an undisturbed run in
    distribution only. A finished run is left as it is.

    Raises:
        RunFolderError: no run folder, or a damaged one.
        InvalidValue: a run that a script started, which only that script can rebuild.
    """
    config = stored(out, {})
    result = RunFolder.open(out, readonly=True).result()
    return result if result is not None else _learn(config, out, listener)


def _learn(config: RunConfig, out: Path, listener: Listener | None, page: bool = True) -> dict[str, Any]:
    """Train `out` to its end, from its newest checkpoint if it has one."""
    process.prepare()
    callback = HyperPromptCallback(
        config.controller,
        every=config.every,
        tune=config.tune,
        bounds=config.bounds,
        run_dir=out,
        resume=True,
        seed=config.seed,
        options=config.llm,
        checkpoints=config.checkpoints,
        config=config.model_dump(mode="json"),
        listener=listener,
        env=config.env,
    )
    model = agent(config, str(out / "tensorboard") if config.tensorboard else None)
    assert config.steps is not None
    assert model.env is not None
    try:
        model.learn(config.steps, callback=callback)
        if config.evaluate and envs.unseen(config.env):
            write_evaluation(out, model, config, config.evaluate)
    finally:
        model.env.close()
        if callback.recorder:
            callback.recorder.close()
    if page:
        _write_report(out)
    result = RunFolder.open(out, readonly=True).result()
    assert result is not None
    return result


def _write_report(folder: Path) -> None:
    try:
        from hyperprompt.evaluation.report import report

        report([folder], folder / "report.html")
    except MissingDependency:
        return  # the core install has no plotting library; `hyperprompt report` says which extra brings it


def default_folder(config: RunConfig) -> Path:
    """runs/<env>-<algo>-<controller>-s<seed> of a resolved configuration, without separators in the names."""
    parts = (config.env, str(config.algo), config.controller, f"s{config.seed}")
    return Path("runs") / "-".join(part.replace("/", "_").replace(":", "_") for part in parts)


def stored(out: Path, given: Mapping[str, Any]) -> RunConfig:
    """The configuration of the run in `out`; `given` options that contradict it are refused.

    Raises:
        RunFolderError: no run folder.
        InvalidValue: a contradiction, with both values; a run that a script started.
    """
    config = RunFolder.open(out, readonly=True).config
    if "started_by" in config:
        raise InvalidValue(
            f"{out} was started by a script: start the script again with HyperPromptCallback(run_dir=..., resume=True)"
        )
    for key, value in given.items():
        if config.get(key) != value:
            raise InvalidValue(f"--resume: {key} is {config.get(key)!r} in {out}, not {value!r}")
    return parse(config)

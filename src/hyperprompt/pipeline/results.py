"""Records: one JSON file a finished run, which benchmarks and the fixed task scale are computed from.

A record holds task, seed, result, curve (step, return_mean, episodes), config, versions; where there are any, evaluation and
theta, the values in force during each interval of a run that changed them. A population adds `members`, how many runs it is;
its curve and theta are those of the member that led before the interval, over the steps of one member. The record of a failed
run holds `error` and `steps`, those it made as far as its folder shows, in place of result and curve.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperprompt.config import RunConfig
from hyperprompt.controllers import registry
from hyperprompt.durable import atomic_write, from_json, map_floats, plain, to_json
from hyperprompt.errors import InvalidValue, RunFolderError
from hyperprompt.evaluation.metrics import auc, final_return
from hyperprompt.records import versions
from hyperprompt.runs import RunFolder

Record = dict[str, Any]
CURVE = ("step", "return_mean", "episodes")
BOOKKEEPING = {"checkpoints", "tensorboard"}
"""Keys of a run's configuration that do not change what it comes to."""


def key(config: RunConfig, **method: Any) -> str:
    """Names a run by everything that decides it, by `digest`.

    `config` is resolved; `method` holds what it does not say (the settings of a population, say). The files of a
    controller, its weights or its schedule, count by their content.
    """
    # Not mode="json", which would turn NaN into null.
    settings: dict[str, Any] = {"config": plain(config.model_dump(exclude=BOOKKEEPING), "config"), **method}
    if found := registry.files(config.controller, config.llm):
        settings["files"] = [hashlib.sha256(path.read_bytes()).hexdigest() for path in found]
    return digest(settings)


def digest(value: Any) -> str:
    """20 hexadecimal digits of the SHA-256 of `value` as canonical JSON: sorted keys, no spaces, twelve digits a number.

    A tuner's logarithms end in other last digits on another processor, and its trials are to be found again there.

    Raises:
        InvalidValue: a number that is not finite, which would leave no way to tell two settings apart.
    """
    rounded = map_floats(value, lambda x: float(f"{x:.12g}"))
    try:
        text = json.dumps(rounded, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise InvalidValue(f"every number of a run's settings must be finite: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def from_folder(folder: Path) -> Record:
    """The record of the finished run in `folder`."""
    run = RunFolder.open(folder, readonly=True)
    progress, config = run.progress(), run.config
    record: Record = {
        "task": config["env"],
        "seed": config["seed"],
        "result": run.result(),
        "curve": {name: progress[name] for name in CURVE},
        "config": config,
        "versions": run.versions,
    }
    evaluation = folder / "evaluation.json"
    if evaluation.exists():
        record["evaluation"] = json.loads(evaluation.read_text())
    theta = {name.removeprefix("theta/"): values for name, values in progress.items() if name.startswith("theta/")}
    return record | _changing(theta)


def from_population(config: RunConfig, trained: Mapping[str, Any]) -> Record:
    """The record of what `controllers.population.train_population` returned; `result.steps` are those of all members."""
    members, best = trained["members"], trained["best"]
    steps, returns = [float(step) for step in members[0]["steps"]], best["returns"]
    leaders = [members[leader]["theta"][i] for i, leader in enumerate(best["member"])]
    assert config.steps is not None
    return {
        "task": config.env,
        "seed": config.seed,
        "result": {
            "env": config.env,
            "algo": config.algo,
            "controller": "population",
            "seed": config.seed,
            "steps": trained["steps"],
            "auc": auc(steps, returns, config.steps),
            "final_return": final_return(steps, returns, config.steps),
            "wall_seconds": trained["seconds"],
            "adapt_seconds": trained["adapt_seconds"],
            "gradient_updates": trained["updates"],
            "decisions": sum(len(member["steps"]) for member in members),
            "copies": sum(donor is not None for member in members for donor in member["copied_from"]),
        },
        "curve": {"step": steps, "return_mean": returns},
        "config": config.model_dump(mode="json"),
        "versions": versions(),
        "members": trained["size"],
    } | _changing({name: [theta[name] for theta in leaders] for name in leaders[0]})


def _changing(theta: Mapping[str, list[float]]) -> Record:
    return {"theta": theta} if any(len(set(values)) > 1 for values in theta.values()) else {}


def failure(config: RunConfig, error: str, steps: float = 0.0, members: int = 1) -> Record:
    """The record of a run that ended in `error` after `steps` environment steps, those of all members."""
    record: Record = {"task": config.env, "seed": config.seed, "error": error, "steps": steps}
    return {**record, "config": config.model_dump(mode="json")} | ({"members": members} if members > 1 else {})


def steps_made(folder: Path) -> float:
    """Environment steps to the end of the last interval in a run folder; 0 where there is none.

    The interval in which a run failed is missing: it is one too few.
    """
    try:
        return max(RunFolder.open(folder, readonly=True).progress().get("step", []), default=0.0)
    except RunFolderError:
        return 0.0


def write(path: Path, record: Record) -> None:
    """One line of JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, to_json(record) + "\n")


def read(path: Path) -> Record:
    """Inverse of `write`; intervals in which no episode ended read as NaN.

    Raises:
        RunFolderError: it cannot be read or is no record.
    """
    try:
        record = dict(from_json(path.read_text()))
        curve = record.get("curve", {})
        record |= {"curve": {name: [math.nan if v is None else float(v) for v in curve[name]] for name in curve}}
    except (OSError, ValueError, TypeError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from error
    return record

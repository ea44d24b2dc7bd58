"""What runs found, for use elsewhere: the schedule of one, or the mean schedule of several, as YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hyperprompt.core import Decision
from hyperprompt.errors import InvalidValue
from hyperprompt.hyperparameters import HyperparameterSpace, Theta, for_algorithm
from hyperprompt.runs import RunFolder


def schedule_yaml(folder: Path) -> str:
    """The schedule of theta in a run folder, a point per change, replayed by the controller `schedule:FILE`.

    Raises:
        RunFolderError: not a run folder.
        InvalidValue: the run has taken no decision yet.
    """
    run = RunFolder.open(folder, readonly=True)
    config, decisions = run.config, _decisions(run)
    changes = [d for i, d in enumerate(decisions) if i == 0 or d.theta_after != decisions[i - 1].theta_after]
    schedule = [{"step": d.step, "progress": d.step / config["steps"], "theta": _plain(d.theta_after)} for d in changes]
    return yaml.safe_dump({"origin": _origin(config), "schedule": schedule}, sort_keys=False)


def mean_schedule_yaml(folders: Sequence[Path]) -> str:
    """The mean schedule of several finished runs, replayed by the controller `schedule:FILE`.

    At each share of the budget at which one of the runs decided, every hyperparameter has its `Hyperparameter.mean` over what
    the runs had in force there. Integers are not rounded: the agent that replays them does that.

    Raises:
        RunFolderError: not a run folder.
        InvalidValue: no folder at all, one that holds an unfinished run, or runs of different algorithms or hyperparameters.
    """
    if not folders:
        raise InvalidValue("a mean schedule needs at least one run folder")
    runs = [RunFolder.open(folder, readonly=True) for folder in folders]
    for run in runs:
        if run.result() is None:
            raise InvalidValue(f"{run.path} has not finished: its schedule covers a part of its budget only")
    configs, journals = [run.config for run in runs], [_decisions(run) for run in runs]
    space = _space(configs, journals)
    curves = [_curve(config, journal) for config, journal in zip(configs, journals, strict=True)]
    schedule: list[dict[str, Any]] = []
    for progress in sorted({point for curve in curves for point in curve}):
        thetas = [_in_force(curve, progress) for curve in curves]
        theta = {h.name: float(h.mean([t[h.name] for t in thetas])) for h in space}
        if not schedule or theta != schedule[-1]["theta"]:
            schedule.append({"progress": progress, "theta": theta})
    return yaml.safe_dump({"origin": {"mean_of": [_origin(c) for c in configs]}, "schedule": schedule}, sort_keys=False)


def _decisions(run: RunFolder) -> list[Decision]:
    decisions = run.decisions()
    if not decisions:
        raise InvalidValue(f"{run.path} holds no decision to export")
    return decisions


def _origin(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config[key] for key in ("env", "algo", "controller", "seed", "steps")}


def _plain(theta: Theta) -> dict[str, float]:
    return {name: float(value) for name, value in theta.items()}


def _space(configs: Sequence[Mapping[str, Any]], journals: Sequence[Sequence[Decision]]) -> HyperparameterSpace:
    """The hyperparameters that all runs tuned, within the widest bounds that any of them set."""
    algorithms = sorted({config["algo"].removeprefix("sbx-") for config in configs})
    tuned = [set(journal[0].theta_after) for journal in journals]
    if len(algorithms) > 1:
        raise InvalidValue(f"a mean schedule needs runs of one algorithm, not of {' and '.join(algorithms)}")
    if differing := sorted(tuned[0].union(*tuned) - tuned[0].intersection(*tuned)):
        raise InvalidValue(f"a mean schedule needs runs that tune the same, but not all tune {', '.join(differing)}")
    space = for_algorithm(algorithms[0]).subset(journals[0][0].theta_after)
    given = [config.get("bounds") or {} for config in configs]
    lows = {h.name: min([h.low, *(bounds[h.name][0] for bounds in given if h.name in bounds)]) for h in space}
    highs = {h.name: max([h.high, *(bounds[h.name][1] for bounds in given if h.name in bounds)]) for h in space}
    return space.bounded({name: (lows[name], highs[name]) for name in space.names})


def _curve(config: Mapping[str, Any], decisions: Sequence[Decision]) -> dict[float, Theta]:
    """progress -> theta from there on. Rounded, so that runs whose steps differ by a rounding share their grid."""
    return {round(d.step / config["steps"], 9): d.theta_after for d in decisions}


def _in_force(curve: Mapping[float, Theta], progress: float) -> Theta:
    begun = [point for point in curve if point <= progress]
    return curve[max(begun)] if begun else curve[min(curve)]

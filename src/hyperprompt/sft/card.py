"""What a training leaves for people: a model card, the loss curve and the reliability diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hyperprompt.durable import atomic_write


def write(folder: Path, config: Mapping[str, Any], result: Mapping[str, Any], log: Sequence[Mapping[str, Any]]) -> None:
    """card.md, and curves.svg where matplotlib is installed."""
    lines = [
        f"# A hyperparameter controller: {result['arch']}",
        "",
        f"Made by `hyperprompt sft`: every decision of a run is scored against {_labels(config)}.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in config.items()),
        "",
        f"{result['source_runs']} source runs with {result['decisions']} labelled decisions, {result['validation_runs']} "
        f"validation runs; {result['steps']} steps in {result['seconds'] / 60:.0f} min. On the slots of "
        f"validation runs: {result['measure']} {result['before']:.3f} before, {result['after']:.3f} after.",
        *_explained(result["explained"]),
        *_offline(result["offline"]),
        "",
        "Labels hold for runs like the sources: their algorithms, hyperparameters and budgets. Nothing is promised elsewhere.",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in result["versions"].items()) + ".",
    ]
    atomic_write(folder / "card.md", "\n".join(lines) + "\n")
    if find_spec("matplotlib") is not None:
        _plot(folder / "curves.svg", result, log)


def _labels(config: Mapping[str, Any]) -> str:
    if config["teacher"]:
        return f"the steps of `{config['teacher']}`"
    return "the step toward tuned values" if config["labels"] == "tuned" else "soft labels from branches"


def _explained(explained: Mapping[str, Mapping[str, float]]) -> list[str]:
    names = list(dict.fromkeys(name for found in explained.values() for name in found))
    lines = [
        "",
        "Share of the variance of the labels' mean steps that the model's mean steps explain, on validation runs:",
        "",
    ]
    lines += [f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for key, found in explained.items():
        cells = (f"{found[name]:.2f}" if name in found else "" for name in names)
        lines.append(f"| {key} | {' | '.join(cells)} |")
    return lines


def _offline(offline: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for algorithm, arms in offline.items():
        lines += ["", f"## Offline on validation tasks, {algorithm}: expected advantage a decision, in task units", ""]
        lines += [
            f"{arms['checkpoints']} checkpoints; 95 % bootstrap over them.",
            "",
            "| arm | gain over keep | the model less it |",
        ]
        lines += ["|---|---|---|"]
        for name, row in arms.items():
            if name != "checkpoints":
                lines.append(f"| {name} | {_interval(row['gain'])} | {_interval(row['less'])} |")
    return lines


def _interval(x: Mapping[str, float] | None) -> str:
    return f"{x['mean']:+.4f} [{x['low']:+.4f}, {x['high']:+.4f}]" if x else ""


def _plot(path: Path, result: Mapping[str, Any], log: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for key in ("source", "validation"):
        points = [(line["epoch"], line[key]) for line in log if key in line]
        left.plot(*zip(*points, strict=True), marker="o", label=key)
    left.set(xlabel="epoch", ylabel=f"{result['measure']}, a slot", yscale="log")
    left.legend()
    right.plot([0, 1], [0, 1], color="0.7")
    bins = result["calibration"]
    right.plot([b["predicted"] for b in bins], [b["label"] for b in bins], marker="o")
    right.set(xlabel="probability given to a step", ylabel="its label's", title="reliability on validation runs")
    figure.savefig(path)

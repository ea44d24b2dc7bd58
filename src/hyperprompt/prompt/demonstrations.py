"""Few-shot: expert runs as structured meta-states, rendered into the head of a transcript."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from hyperprompt.core import MetaState
from hyperprompt.durable import atomic_write
from hyperprompt.errors import InvalidValue

FORMAT = 1
_SHIPPED = "demonstrations.json"


def record(states: Sequence[MetaState], path: str | Path) -> None:
    """Write expert runs as one JSON file: `{"format": 1, "runs": [MetaState.to_dict(), ...]}`.

    Values that are not finite are left out (an absent signal is not available); the file appears whole or not at all.

    Raises:
        InvalidValue: a run without intervals, or a hyperparameter that is not finite.
        RunFolderError: the file cannot be written.
    """
    runs = [_finite(state) for state in states]
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(target, json.dumps({"format": FORMAT, "runs": runs}, allow_nan=False, separators=(",", ":")) + "\n")


def _finite(state: MetaState) -> dict[str, Any]:
    if not state.intervals:
        raise InvalidValue(f"run {state.run!r} has no intervals, so it shows no steps")
    data = state.to_dict()
    for interval in data["intervals"]:
        if not all(math.isfinite(v) for v in (*interval["theta"].values(), *interval["delta"].values())):
            raise InvalidValue(f"run {state.run!r}: a hyperparameter of interval {interval['index']} is not finite")
        signals = interval["signals"]
        signals["values"] = {k: v for k, v in signals["values"].items() if v is not None and math.isfinite(v)}
        signals["transitions"] = [
            t for t in signals["transitions"] if all(map(math.isfinite, (*t["observation"], *t["action"], t["reward"])))
        ]
    return data


def load(source: str | Path = "shipped") -> tuple[MetaState, ...]:
    """The expert runs of a file, or those shipped with the package.

    Raises:
        InvalidValue: no such file, or not one that `record` wrote; the message says where it is wrong.
    """
    shipped = resources.files("hyperprompt.prompt").joinpath(_SHIPPED)
    try:
        content = shipped.read_text() if str(source) == "shipped" else Path(source).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"demonstrations {str(source)!r} cannot be read: {error}") from error
    try:
        data = json.loads(content, parse_constant=_refuse)
        if data["format"] != FORMAT:
            raise InvalidValue(f"format {data['format']!r}, not {FORMAT}")
        runs = tuple(MetaState.from_dict(run) for run in data["runs"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidValue(f"demonstrations {str(source)!r} are malformed: {type(error).__name__}: {error}") from error
    if not runs or not all(run.intervals for run in runs):
        raise InvalidValue(f"demonstrations {str(source)!r}: no runs, or a run without intervals")
    return runs


def _refuse(constant: str) -> float:
    raise InvalidValue(f"{constant} is not a number in JSON")


def choose(runs: Iterable[MetaState], state: MetaState) -> MetaState:
    """The run to show beside `state`: the same algorithm, then another environment, then the most hyperparameters in common.

    Another environment, because an example on the very task would give the answer away.

    Raises:
        InvalidValue: no runs.
    """
    candidates = list(runs)
    if not candidates:
        raise InvalidValue("no demonstrations to choose from")
    names = set(state.space.names)
    return max(
        candidates,
        key=lambda run: (
            run.task.algorithm == state.task.algorithm,
            run.task.env != state.task.env,
            len(names & set(run.space.names)),
        ),
    )

"""What stands in a run folder's journals: a decision a line, a row of progress an interval, the versions of packages."""

from __future__ import annotations

import csv
import io
import math
import platform
from collections.abc import Iterable
from importlib import metadata
from typing import Any

from hyperprompt.core import Decision
from hyperprompt.durable import from_json

LEADING_COLUMNS = ("step", "wall_seconds", "return_mean", "episodes")
PACKAGES = (
    *("hyperprompt", "torch", "stable_baselines3", "sbx-rl", "jax", "transformers", "peft", "numpy", "gymnasium"),
    *("envpool", "box2d", "ale-py", "nle", "gymnax", "pyarrow", "optuna"),
)


def versions() -> dict[str, str]:
    """Installed versions by package, from their metadata; nothing is imported, absent packages are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def read_decision(line: str) -> Decision:
    """A line of decisions.jsonl; null where a number is expected is NaN."""
    data = from_json(line)
    for name in ("theta_before", "theta_after", "delta"):
        data[name] = {key: _number(value) for key, value in data[name].items()}
    data["probabilities"] = {key: tuple(map(_number, row)) for key, row in data["probabilities"].items()}
    data["seconds"] = _number(data["seconds"])
    return Decision(**data)


def field(value: Any) -> str:
    """A number as CSV, exact; empty if it is not finite."""
    number = float(value)
    if not math.isfinite(number):
        return ""
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def row(fields: Iterable[str]) -> str:
    """A line of progress.csv, without its end."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(fields)
    return buffer.getvalue()


class RowParser:
    """Parses header and rows in turn; every row must be as wide as the header."""

    header: list[str] | None = None

    def __call__(self, line: str) -> list[str]:
        (row,) = csv.reader([line])
        if self.header is None:
            if row[:1] != ["step"]:
                raise ValueError("the header does not begin with 'step'")
            self.header = row
            return row
        if len(row) != len(self.header):
            raise ValueError(f"{len(row)} fields instead of {len(self.header)}")
        for item in row:
            float(item or "nan")
        return row


def ordered(names: Iterable[str]) -> list[str]:
    """The leading columns first, the hyperparameters last, the signals between them in the order given."""
    rest = [name for name in dict.fromkeys(names) if name not in LEADING_COLUMNS]
    return [*LEADING_COLUMNS, *sorted(rest, key=lambda name: name.startswith("theta/"))]

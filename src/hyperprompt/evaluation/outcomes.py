"""What the runs of a benchmark came to, as the pipeline hands them over and the tables read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
"""One run (`pipeline.results`)."""


def members(record: Record) -> int:
    """Runs in lockstep that it is the record of; its curve is over the steps of one of them."""
    return int(record.get("members", 1))


def steps_spent(record: Record) -> float:
    """Environment steps of all members; of a failed run those that it is known to have made."""
    return float(record["steps"] if "error" in record else record["result"]["steps"])


@dataclass(frozen=True)
class Outcome:
    """What a method came to on one task under one test seed."""

    task: str
    method: str
    seed: int
    run: Record
    """Of the run on the test seed."""
    trials: tuple[Record, ...] = ()
    """Of the search that its settings come from, in order; shared by the test seeds of that search."""
    tuning_seed: int | None = None

    @property
    def failed(self) -> bool:
        return "error" in self.run

"""How much of a suite is done, and how long the rest may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hyperprompt.pipeline import methods
from hyperprompt.pipeline.entries import TaskEntry
from hyperprompt.pipeline.executor import Job, Walk
from hyperprompt.pipeline.results import Record
from hyperprompt.progress import clock

START_SECONDS = 5.0
"""What a run costs beside its training: a process, its imports, the environments."""
SECONDS_PER_STEP = 1e-3
"""Where no run of the suite has finished yet: PPO with small networks on one slow core."""


@dataclass
class Part:
    """The runs of one task."""

    steps: int
    runs: int
    done: int = 0
    seconds: list[float] = field(default_factory=list)
    """Wall seconds of the finished ones."""


@dataclass
class Outlook:
    """Runs by task. Runs that two methods share are counted twice until they are done, so what is left is at most this."""

    parts: dict[str, Part]
    jobs: int

    @classmethod
    def of(cls, walks: Sequence[tuple[methods.Case, Sequence[Walk[Any]]]], jobs: int) -> Outlook:
        """From how far each case has come (`methods.walks`)."""
        parts: dict[str, Part] = {}
        for case, walked in walks:
            part = parts.setdefault(case.task.label, Part(_steps(case.task, case), 0))
            ended = [run for one in walked for run in one.ended]
            done = sum(job.runs for job, _ in ended)
            part.done += done
            part.seconds += [r["result"]["wall_seconds"] / job.runs for job, r in ended if "error" not in r]
            # Not the size of a search that was given up: its last runs are not going to be carried out.
            part.runs += done if all(one.whole for one in walked) else case.size
        return cls(parts, jobs)

    @property
    def runs(self) -> int:
        return sum(part.runs for part in self.parts.values())

    @property
    def done(self) -> int:
        return sum(part.done for part in self.parts.values())

    @property
    def steps_left(self) -> int:
        """Environment steps."""
        return sum(part.steps * (part.runs - part.done) for part in self.parts.values())

    @property
    def seconds_left(self) -> float:
        """Wall seconds with `jobs` runs side by side, at the speed of the finished ones."""
        timed = [(sum(part.seconds), part.steps * len(part.seconds)) for part in self.parts.values()]
        seconds, steps = (sum(column) for column in zip(*timed, strict=True))
        pace = seconds / steps if steps else SECONDS_PER_STEP
        total = 0.0
        for part in self.parts.values():
            own = sum(part.seconds) / len(part.seconds) if part.seconds else pace * part.steps
            total += (own + START_SECONDS) * (part.runs - part.done)
        return total / self.jobs

    @property
    def left(self) -> str:
        """What is left, in a line."""
        runs = f"at most {self.runs - self.done} runs left, {self.steps_left:,} environment steps"
        return f"{runs}; about {clock(self.seconds_left)} with {self.jobs} side by side"

    def ended(self, job: Job, record: Record) -> str:
        """Takes note of a run that has ended, and says so in a line."""
        part = self.parts[job.task]
        part.done = min(part.done + job.runs, part.runs)
        if "error" in record:
            said = f"FAILED: {record['error'].splitlines()[-1]}"
        else:
            result = record["result"]
            part.seconds.append(result["wall_seconds"] / job.runs)
            auc = "no episode ended" if result["auc"] is None else f"AUC {result['auc']:.4g}"
            said = f"{auc}, {result['wall_seconds']:.0f} s"
        return f"[{self.done}/{self.runs}] {job.label}: {said}; about {clock(self.seconds_left)} left"

    def table(self) -> list[tuple[str, ...]]:
        """A row a task: runs, those done, environment steps of one, wall seconds of one as measured."""
        rows: list[tuple[str, ...]] = [("task", "runs", "done", "steps each", "seconds each")]
        for task, part in self.parts.items():
            each = f"{sum(part.seconds) / len(part.seconds):.0f}" if part.seconds else "not known"
            rows.append((task, str(part.runs), str(part.done), f"{part.steps:,}", each))
        return rows


def _steps(task: TaskEntry, case: methods.Case) -> int:
    if task.steps is not None:
        return task.steps
    steps = case.config(0, controller="static").steps
    assert steps is not None
    return steps

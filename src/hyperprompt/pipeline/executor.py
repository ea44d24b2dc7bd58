"""Where runs are carried out, and the loop that keeps them coming: plans ask for runs, an executor carries them out."""

from __future__ import annotations

import heapq
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Generic, Protocol, TypeVar

from hyperprompt.config import RunConfig
from hyperprompt.pipeline import results
from hyperprompt.pipeline.results import Record

T = TypeVar("T")
Plan = Generator[Sequence["Job"], list[Record], T]
"""Yields runs that may go side by side and is sent their records, in order; what it returns is what they came to."""
ERROR_CHARACTERS = 2000


@dataclass(frozen=True)
class Job:
    """One run to be carried out: finished when the file `record` exists."""

    label: str
    task: str
    config: RunConfig
    folder: Path
    """Its run folder, made anew."""
    record: Path
    population: Mapping[str, Any] | None = None
    """Keyword arguments of `controllers.population.train_population` where the run is one of those."""
    time_limit: float | None = None
    """Wall seconds for each of its `runs`; then it is ended and counts as failed."""

    @property
    def runs(self) -> int:
        """How many runs of T steps it holds."""
        return 1 if self.population is None else int(self.population["size"])

    def to_dict(self) -> dict[str, Any]:
        """What a worker needs, as plain JSON values."""
        return {
            "config": self.config.model_dump(mode="json"),
            "folder": str(self.folder),
            "record": str(self.record),
            "population": self.population,
        }

    def ended(self, failures: Mapping[Path, Record]) -> bool:
        """Whether it has its record, or is one of the failed ones: `failures` as in `drive`."""
        return self.record in failures or self.record.exists()

    def outcome(self, failures: Mapping[Path, Record]) -> Record:
        """What it came to, once it has ended."""
        return results.read(self.record) if self.record.exists() else failures[self.record]

    def failure(self, error: str) -> Record:
        """Its record when it ended in `error`, with the steps that its folder shows."""
        return results.failure(self.config, error, results.steps_made(self.folder), self.runs)


class Executor(Protocol):
    """Carries out runs somewhere."""

    def submit(self, job: Job) -> Future[str]:
        """Begin at once; the future holds "" when the record is written, or the end of the run's error.

        A run that is still going on after its time limit is ended, and that is its error.
        """
        ...


class Processes:
    """A process a run on this machine, one thread each. As a context manager it ends what still runs at the end."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *exception: object) -> None:
        for process in list(self._running):
            process.kill()

    def submit(self, job: Job) -> Future[str]:
        future: Future[str] = Future()
        threading.Thread(target=self._run, args=(job, future), daemon=True).start()
        return future

    def _run(self, job: Job, future: Future[str]) -> None:
        try:
            future.set_result(self._error(job))
        except Exception as error:
            future.set_result(f"the run could not be started: {error}")

    def _error(self, job: Job) -> str:
        # Into a file: a pipe does not end while a child of a killed run still holds it.
        with tempfile.TemporaryFile("w+", errors="replace") as stderr:
            code = self._carry_out(job, stderr)
            if job.record.exists():
                return ""  # whatever went wrong after that
            stderr.seek(0)
            said = stderr.read().strip()[-ERROR_CHARACTERS:]
        if code is None:
            reason = f"ended after {job.time_limit:g} s a run, the time limit"
        elif code in (1, 2) and said:  # an error of Python's, or one of ours: it speaks for itself
            return said
        else:
            reason = f"the run's process ended with code {code} and wrote no record"
        return f"{said}\n{reason}".strip()

    def _carry_out(self, job: Job, stderr: IO[str]) -> int | None:
        """Waits for the job's process; returns its exit code, None if it had to be ended at the time limit."""
        process = subprocess.Popen(
            [sys.executable, "-m", "hyperprompt.pipeline.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._running.add(process)
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(job.to_dict()) + "\n")
            process.stdin.flush()  # and kept open: see worker
            return process.wait(None if job.time_limit is None else job.time_limit * job.runs)
        except subprocess.TimeoutExpired:
            return None
        finally:
            process.kill()
            process.wait()  # so that the dead process writes no record once it has been said to have failed
            self._running.discard(process)


@dataclass(frozen=True)
class Walk(Generic[T]):
    """How far a plan comes by the runs that have ended."""

    ended: tuple[tuple[Job, Record], ...]
    whole: bool
    outcome: T | None
    """What the plan returned, if it is whole."""


def walk(plan: Plan[T], failures: Mapping[Path, Record]) -> Walk[T]:
    """Goes through a plan as far as its runs have ended, and carries nothing out; `failures` as in `drive`."""
    ended: list[tuple[Job, Record]] = []
    try:
        batch = next(plan)
        while True:
            known = [job for job in batch if job.ended(failures)]
            records = [job.outcome(failures) for job in known]
            ended += zip(known, records, strict=True)
            if len(known) < len(batch):
                return Walk(tuple(ended), False, None)
            batch = plan.send(records)
    except StopIteration as end:
        return Walk(tuple(ended), True, end.value)


def drive(
    plans: Sequence[Plan[T]],
    executor: Executor,
    width: int,
    failures: dict[Path, Record],
    listen: Callable[[Job, Record], None] = lambda job, record: None,
) -> list[T]:
    """Carries out every run that the plans ask for and that has no record yet, at most `width` at a time.

    Runs of earlier plans go first. A run that two plans ask for is carried out once. `failures` maps the path of the
    record that a failed run would have written to `Job.failure`; it is not tried again, new ones are added. `listen(job,
    record)` hears of every run that has ended.
    """
    outcomes: dict[int, T] = {}
    waiting: dict[int, Sequence[Job]] = {}
    ready: list[tuple[int, int, Job]] = []
    running: dict[Future[str], Job] = {}
    asked: set[Path] = set()

    def advance(i: int, records: list[Record] | None) -> None:
        waiting.pop(i, None)
        while True:
            try:
                batch = plans[i].send(records)  # type: ignore[arg-type]  # a generator begins with None
            except StopIteration as end:
                outcomes[i] = end.value
                return
            if missing := [job for job in batch if not job.ended(failures)]:
                waiting[i] = batch
                for job in missing:
                    if job.record not in asked:
                        asked.add(job.record)
                        heapq.heappush(ready, (i, len(asked), job))
                return
            records = [job.outcome(failures) for job in batch]

    for i in range(len(plans)):
        advance(i, None)
    while ready or running:
        while ready and len(running) < width:
            job = heapq.heappop(ready)[2]
            running[executor.submit(job)] = job
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job, error = running.pop(future), future.result()
            if error:
                failures[job.record] = job.failure(error)
            listen(job, job.outcome(failures))
        for i, batch in list(waiting.items()):
            if all(job.ended(failures) for job in batch):
                advance(i, [job.outcome(failures) for job in batch])
    return [outcomes[i] for i in range(len(plans))]

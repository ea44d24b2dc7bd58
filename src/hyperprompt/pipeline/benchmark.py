"""The benchmark stage: every run a suite asks for, carried out once, and what they come to.

    OUT/records/KEY.json     one finished run; KEY is a hash of everything that decides it
    OUT/failures/KEY.json    one failed run, with the end of its error and the steps it made
    OUT/runs/KEY/            its run folder: journal, progress, configuration
    OUT/random/KEY.json      the returns of random actions on a task
    OUT/report.html table.md the report

No state is kept beside these: the records there say what is left to be done. A run that was interrupted starts afresh.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperprompt.collect import split
from hyperprompt.durable import FolderLock, clear_torn_writes
from hyperprompt.envs.scale import RANDOM_EPISODES, random_error, random_return
from hyperprompt.errors import InvalidValue, RunFolderError
from hyperprompt.evaluation import benchmark_report
from hyperprompt.evaluation.benchmark import tables as tables_of
from hyperprompt.evaluation.outcomes import Outcome
from hyperprompt.pipeline import constants, methods, results
from hyperprompt.pipeline.entries import TaskEntry
from hyperprompt.pipeline.executor import Executor, Job, Processes, drive
from hyperprompt.pipeline.outlook import Outlook
from hyperprompt.pipeline.results import Record
from hyperprompt.pipeline.suite import Suite

KEPT = ("records", "failures", "random")


@dataclass(frozen=True)
class Benchmark:
    """Everything the report is made from."""

    suite: Suite
    outcomes: tuple[Outcome, ...]
    """Of every method on every task under every test seed of its own."""
    targets: tuple[Outcome, ...]
    """Of the baseline under the target's seeds: R*, and the zero line."""
    random: Mapping[str, tuple[float, float]]
    """Task -> mean and standard error of the returns of random actions."""
    left: str = ""
    """What has still to be carried out, in a line."""

    @property
    def failed(self) -> int:
        """Runs that failed, trials included."""
        ended = [(o.method, record) for o in (*self.outcomes, *self.targets) for record in (*o.trials, o.run)]
        # Methods share runs, but no population: its configuration is that of a single static run.
        runs = {(results.digest(r["config"]), method if "members" in r else "") for method, r in ended if "error" in r}
        return len(runs)


def run(
    suite: Suite,
    *,
    retry_failed: bool = False,
    executor: Executor | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Benchmark:
    """Carry out what is missing, and return what all runs came to.

    Raises:
        HyperPromptError: the suite cannot work, or its folder is in use or cannot be written; no run has begun then.
    """
    methods.check(suite)
    folder = suite.folder
    try:
        for name in (*KEPT, "runs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"cannot make the benchmark's folder {folder}: {error.strerror or error}") from error
    lock = FolderLock(folder / "lock")
    try:
        for name in KEPT:
            clear_torn_writes(folder / name)
        with Processes() as processes:
            return _run(suite, _failures(suite, retry_failed), executor or processes, say)
    finally:
        lock.release()


def _failures(suite: Suite, forget: bool = False) -> dict[Path, Record]:
    """The path of the record that each failed run would have written -> the one of its failure."""
    failures: dict[Path, Record] = {}
    for path in sorted((suite.folder / "failures").glob("*.json")):
        if forget:
            path.unlink()
        elif not (record := suite.folder / "records" / path.name).exists():  # it may have come from another machine since
            failures[record] = results.read(path)
    return failures


def _run(suite: Suite, failures: dict[Path, Record], executor: Executor, say: Callable[[str], None]) -> Benchmark:
    plans = [(case, plan) for case in methods.everything(suite) for plan in methods.plans(case)]
    outlook = Outlook.of(methods.walks(suite, failures), suite.jobs)
    if outlook.done < outlook.runs:
        say(outlook.left)
    random = {task.label: _random(suite, task, say) for task in suite.tasks}
    _count_look(suite, outlook, say)

    def ended(job: Job, record: Record) -> None:
        if "error" in record:
            results.write(suite.folder / "failures" / job.record.name, record)
        say(outlook.ended(job, record))

    outcomes = drive([plan for _, plan in plans], executor, suite.jobs, failures, ended)
    found = [(case, part) for (case, _), part in zip(plans, outcomes, strict=True)]
    return _benchmark(suite, found, random)


def so_far(suite: Suite, say: Callable[[str], None] = lambda line: None) -> Benchmark:
    """What has ended, for a report while the benchmark runs; none of its runs is carried out.

    A method stands on a task once all of its runs there have ended, and the baseline's, those for R* too: of a part of them,
    the short ones would come first. Returns of random actions that are not known yet are measured.

    Raises:
        HyperPromptError: the suite cannot work, or no task is that far.
    """
    methods.check(suite)
    walks = methods.walks(suite, _failures(suite))
    whole = {case for case, walked in walks if all(one.whole for one in walked)}
    based = Counter(case.task.label for case in whole if case.name == suite.baseline)
    tasks = [task for task in suite.tasks if based[task.label] == 2]  # under the test seeds, and for R*
    if not tasks:
        raise InvalidValue(f"nothing to report yet: on no task have all runs of {suite.baseline!r} ended, those for R* too")
    here = {case for case in whole if case.task in tasks}
    missing = ", ".join(f"{case.shown} on {case.task.label}" for case, _ in walks if case not in here)
    left = f"{Outlook.of(walks, suite.jobs).left}; not here yet: {missing}" if missing else ""
    found = [(case, one.outcome or []) for case, walked in walks if case in here for one in walked]
    return _benchmark(suite, found, {task.label: _random(suite, task, say) for task in tasks}, left)


def _benchmark(
    suite: Suite,
    found: Sequence[tuple[methods.Case, list[Outcome]]],
    random: Mapping[str, tuple[float, float]],
    left: str = "",
) -> Benchmark:
    """Task by task, method by method and seed by seed in the suite's order."""
    order = [(case.task.label, case.name) for case in methods.cases(suite)]
    tests = [o for case, part in found if not case.reference for o in part]
    targets = [o for case, part in found if case.reference for o in part]
    tests.sort(key=lambda o: (order.index((o.task, o.method)), o.seed))
    return Benchmark(suite, tuple(tests), tuple(targets), random, left)


def _count_look(suite: Suite, outlook: Outlook, say: Callable[[str], None]) -> None:
    """Sealed test tasks that this start evaluates anything on are counted before a result is seen."""
    if suite.looks is None:
        return
    unfinished = [task for task in suite.tasks if outlook.parts[task.label].done < outlook.parts[task.label].runs]
    tasks = [split.known_as(task.env, task.options) for task in unfinished]
    if any(split.part_of(task) == "test" for task in tasks):
        say(f"look {split.look(suite.name, tasks, suite.looks)} at sealed test tasks, counted in {suite.looks}")


def outlook(suite: Suite, retry_failed: bool = False) -> Outlook:
    """What `run` would have to do, checked as it is checked there; nothing is carried out or written.

    Raises:
        HyperPromptError: the suite cannot work.
    """
    methods.check(suite)
    return Outlook.of(methods.walks(suite, {} if retry_failed else _failures(suite)), suite.jobs)


def _random(suite: Suite, task: TaskEntry, say: Callable[[str], None]) -> tuple[float, float]:
    """Mean return of random actions and its standard error, kept in a file where the fixed scale does not hold them."""
    measured = None if task.options else random_return(task.env)
    if measured is not None:
        return measured
    path = suite.folder / "random" / f"{results.digest({'env': task.env, 'options': task.options})}.json"
    if not path.exists():
        say(f"{task.label}: {RANDOM_EPISODES} episodes of random actions")
        mean, deviation = constants.random_policy(task.env, task.options)
        results.write(path, {"task": task.label, "mean": mean, "error": random_error(deviation)})
    known = json.loads(path.read_text())
    return known["mean"], known["error"]


def report(benchmark: Benchmark, command: str) -> list[Path]:
    """The tables and the page in the suite's folder; returns the files."""
    suite = benchmark.suite
    tables = tables_of(
        benchmark.outcomes,
        benchmark.targets,
        benchmark.random,
        baseline=suite.baseline,
        methods=tuple(suite.methods),
        share=suite.target.share,
        score=suite.score,
        resamples=suite.resamples,
        confidence=suite.confidence,
    )
    protocol = benchmark_report.Protocol(
        name=suite.name,
        command=command,
        suite=suite.text,
        seeds={**suite.tests, "tuning": suite.searches, "R* and zero line": suite.references},
        accounts=suite.accounts,
        meta_training_steps=suite.meta_training_steps,
        left=benchmark.left,
    )
    return benchmark_report.write(tables, protocol, suite.folder)

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
from hyperprompt.pipeline.entries import ControllerMethod, TaskEntry
from hyperprompt.pipeline.executor import Executor, Job, Plan, Processes, drive, walk
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
        ended = [o.run for o in (*self.outcomes, *self.targets)] + [t for o in self.outcomes for t in o.trials]
        return len({results.digest(record["config"]) for record in ended if "error" in record})


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
        else:
            failures[suite.folder / "records" / path.name] = results.read(path)
    return failures


def _run(suite: Suite, failures: dict[Path, Record], executor: Executor, say: Callable[[str], None]) -> Benchmark:
    cases = methods.cases(suite)
    plans: list[Plan[list[Outcome]]] = []
    # Chains and bundles of runs go first: else they would stand alone at the end.
    for case in sorted(cases, key=lambda case: isinstance(case.method, ControllerMethod)):
        plans += methods.plans(case, case.seeds)
    tests = len(plans)
    for task in suite.tasks:
        plans += methods.plans(methods.baseline(suite, task), suite.references)
    outlook = Outlook.of(suite, failures)
    if outlook.done < outlook.runs:
        say(outlook.left)
    random = {task.label: _random(suite, task, say) for task in suite.tasks}
    _count_look(suite, outlook, say)

    def ended(job: Job, record: Record) -> None:
        if "error" in record:
            results.write(suite.folder / "failures" / job.record.name, record)
        say(outlook.ended(job, record))

    outcomes = drive(plans, executor, suite.jobs, failures, ended)
    order = [(case.task.label, case.name) for case in cases]
    flat = sorted((o for part in outcomes[:tests] for o in part), key=lambda o: (order.index((o.task, o.method)), o.seed))
    targets = tuple(o for part in outcomes[tests:] for o in part)
    return Benchmark(suite, tuple(flat), targets, random)


def so_far(suite: Suite, say: Callable[[str], None] = lambda line: None) -> Benchmark:
    """What has ended, for a report while the benchmark runs; no run is carried out.

    A method stands on a task once all of its runs there have ended: of a part of them, the short ones would come first. A task
    stands there once the baseline does, under the test seeds and the target's.

    Raises:
        HyperPromptError: the suite cannot work, or no task is that far.
    """
    methods.check(suite)
    failures = _failures(suite)

    def ended(case: methods.Case, seeds: Sequence[int]) -> list[Outcome]:
        walks = [walk(plan, failures) for plan in methods.plans(case, seeds)]
        return [o for one in walks for o in one.outcome or ()] if all(one.whole for one in walks) else []

    cases = [(case, ended(case, case.seeds)) for case in methods.cases(suite)]
    based = {case.task.label for case, found in cases if case.name == suite.baseline and found}
    tasks = [task for task in suite.tasks if task.label in based]
    targets = {task.label: ended(methods.baseline(suite, task), suite.references) for task in tasks}
    tasks = [task for task in tasks if targets[task.label]]
    if not tasks:
        raise InvalidValue(f"nothing to report yet: on no task have all runs of {suite.baseline!r} ended")
    labels = [task.label for task in tasks]
    here = [(case, found) for case, found in cases if case.task.label in labels and found]
    missing = ", ".join(f"{case.name} on {case.task.label}" for case, found in cases if (case, found) not in here)
    left = f"{Outlook.of(suite, failures).left}; not here yet: {missing}" if missing else ""
    random = {task.label: _random(suite, task, say) for task in tasks}
    flat = [o for _, found in here for o in sorted(found, key=lambda o: o.seed)]
    return Benchmark(suite, tuple(flat), tuple(o for label in labels for o in targets[label]), random, left)


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
    return Outlook.of(suite, {} if retry_failed else _failures(suite))


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
        share=suite.target.share,
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

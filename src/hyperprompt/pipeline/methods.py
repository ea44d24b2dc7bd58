"""The kinds of methods a suite can name: one function a kind, from a method to the plans of its runs on one task.

A plan (`pipeline.executor.Plan`) yields runs and is sent their records. It draws nothing from the clock or the system, so that
a benchmark that was killed walks through its plans again, finds the finished runs by their keys, and goes on with the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperprompt.agents.build import resolved_arguments
from hyperprompt.config import RunConfig, validated
from hyperprompt.envs import make as envs
from hyperprompt.errors import HyperPromptError, InvalidValue
from hyperprompt.evaluation.outcomes import Outcome
from hyperprompt.pipeline import results, tuning
from hyperprompt.pipeline.entries import ControllerMethod, Method, PopulationMethod, TaskEntry, TunerMethod
from hyperprompt.pipeline.executor import Job, Plan, Walk, walk
from hyperprompt.pipeline.resolve import resolve
from hyperprompt.pipeline.results import Record
from hyperprompt.pipeline.suite import Suite, settings
from hyperprompt.pipeline.tuning import SearchFailed
from hyperprompt.search import registry

ACTIONS = {"sac": "continuous", "td3": "continuous", "dqn": "discrete"}
"""Algorithms that work with one kind of action only."""
POSITIVE = ("learning_rate", "batch_size", "n_steps", "n_epochs")
"""Arguments of an algorithm that fail late, or not at all, where they are not."""


@dataclass(frozen=True, eq=False)
class Case:
    """One method on one task of a suite."""

    suite: Suite
    task: TaskEntry
    name: str
    method: Method
    reference: bool = False
    """Whether these are the baseline's runs that R* is taken from, in place of those under test seeds."""

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.suite.references if self.reference else self.task.tests[: self.method.seeds]

    @property
    def shown(self) -> str:
        return "R*" if self.reference else self.name

    def config(self, seed: int, **own: Any) -> RunConfig:
        """The resolved configuration of a run under `seed`.

        Raises:
            HyperPromptError: anything in it that cannot work.
        """
        values = settings(self.suite, self.task, self.method)
        return resolve(validated(RunConfig, {**values, **own, "seed": seed, "checkpoints": False}))

    def job(self, config: RunConfig, role: str = "", population: Mapping[str, Any] | None = None) -> Job:
        name = results.key(config, **({} if population is None else {"population": population}))
        label = " ".join(part for part in (self.task.label, self.name, role, f"seed {config.seed}") if part)
        folder = self.suite.folder
        paths = (folder / "runs" / name, folder / "records" / f"{name}.json")
        return Job(label, self.task.label, config, *paths, population, self.suite.time_limit)

    @property
    def size(self) -> int:
        """Runs of T steps, shared ones counted."""
        seeds = len(self.seeds)
        if isinstance(self.method, TunerMethod):
            return seeds + self.method.trials * min(seeds, len(self.suite.searches))
        return seeds * (self.method.population if isinstance(self.method, PopulationMethod) else 1)

    def outcomes(self, seeds: Sequence[int], runs: Sequence[Record], **search: Any) -> list[Outcome]:
        return [Outcome(self.task.label, self.name, s, run, **search) for s, run in zip(seeds, runs, strict=True)]


Plans = list[Plan[list[Outcome]]]


def plans(case: Case) -> Plans:
    """Every run of a method on a task, one plan for each part that can go on by itself."""
    return _KINDS[type(case.method)](case)


def walks(suite: Suite, failures: Mapping[Path, Record]) -> list[tuple[Case, list[Walk[list[Outcome]]]]]:
    """How far all that a suite asks for has come; `failures` as in `executor.drive`."""
    return [(case, [walk(plan, failures) for plan in plans(case)]) for case in everything(suite)]


def controller(case: Case) -> Plans:
    """{controller: SPEC}: one run a seed."""
    method, seeds = case.method, case.seeds
    assert isinstance(method, ControllerMethod)

    def plan() -> Plan[list[Outcome]]:
        configs = [case.config(seed, controller=method.controller, llm=method.options) for seed in seeds]
        records = yield [case.job(config) for config in configs]
        return case.outcomes(seeds, records)

    return [plan()]


def tuner(case: Case) -> Plans:
    """{tuner: NAME, trials: N}: a search for each tuning seed, whose best settings then run on its share of the test seeds."""
    seeds, searches = case.seeds, case.suite.searches

    def plan(tuning_seed: int, share: Sequence[int]) -> Plan[list[Outcome]]:
        base = case.config(tuning_seed, controller="static")
        trials: list[Record] = []
        try:
            best = yield from _search(case, base, trials)
        except SearchFailed as reason:
            records = [results.failure(base, str(reason))] * len(share)
        else:
            finals = [tuning.fixed(case.config(seed, controller="static"), best) for seed in share]
            records = yield [case.job(config, "best settings") for config in finals]
        return case.outcomes(share, records, trials=tuple(trials), tuning_seed=tuning_seed)

    shares = [(seed, seeds[i :: len(searches)]) for i, seed in enumerate(searches)]
    return [plan(seed, share) for seed, share in shares if share]


def _search(case: Case, base: RunConfig, trials: list[Record]) -> Plan[Mapping[str, float | int]]:
    """The settings of the best trial; the trials themselves are added to `trials`. Raises SearchFailed."""
    method = case.method
    assert isinstance(method, TunerMethod)
    search = tuning.search(method.tuner, base, method.trials, base.seed)
    try:
        config = next(search)
        while True:
            records = yield [case.job(config, f"trial {len(trials) + 1}")]
            trials += records
            config = search.send(tuning.score(records[0], case.suite.score))
    except StopIteration as end:
        best: tuning.Best = end.value
        return best.constant
    except tuning.NoScore as reason:
        raise SearchFailed(f"{reason}; the first: {trials[0].get('error', 'no episode ended')}") from reason


def population(case: Case) -> Plans:
    """{population: N}: N runs of T steps in lockstep a seed, as one job."""
    method, seeds = case.method, case.seeds
    assert isinstance(method, PopulationMethod)

    def plan() -> Plan[list[Outcome]]:
        settings = {"size": method.population, "select_only": method.select_only}
        configs = [case.config(seed, controller="static") for seed in seeds]
        records = yield [case.job(config, population=settings) for config in configs]
        return case.outcomes(seeds, records)

    return [plan()]


_KINDS: Mapping[type[Method], Callable[[Case], Plans]] = {
    ControllerMethod: controller,
    TunerMethod: tuner,
    PopulationMethod: population,
}


def cases(suite: Suite) -> list[Case]:
    """Every method on every task that it is not kept from, task by task."""
    return [Case(suite, t, name, m) for t in suite.tasks for name, m in suite.methods.items() if m.runs_on(t)]


def everything(suite: Suite) -> list[Case]:
    """The cases and the runs for R*, in the order of their execution.

    The baseline's go first, without which nothing can be reported; then chains and bundles of runs, which would stand alone at
    the end.
    """
    references = [Case(suite, task, suite.baseline, suite.methods[suite.baseline], reference=True) for task in suite.tasks]
    tests = sorted(cases(suite), key=lambda c: (c.name != suite.baseline, isinstance(c.method, ControllerMethod)))
    return references + tests


def check(suite: Suite) -> None:
    """What can be refused without building an environment's agent, for every method on every task.

    Raises:
        HyperPromptError: the first thing found wrong, with the method and the task.
    """
    for case in cases(suite):
        try:
            _check(case, case.seeds[0])
        except HyperPromptError as error:
            raise InvalidValue(f"methods.{case.name} on {case.task.label}: {error}") from error


def _check(case: Case, seed: int) -> None:
    method = case.method
    steered = isinstance(method, ControllerMethod)
    own = {"controller": method.controller, "llm": method.options} if isinstance(method, ControllerMethod) else {}
    config = case.config(seed, **(own if steered else {"controller": "static"}))
    case.job(config)
    needs = ACTIONS.get(config.algorithm)
    if needs and envs.describe(config.env, **config.env_options).action != needs:
        raise InvalidValue(f"{config.algo} needs {needs} actions, which {config.env} has not")
    for name in POSITIVE:
        value = config.agent.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise InvalidValue(f"agent.{name} must be a positive number, not {value!r}")
    if isinstance(method, TunerMethod):
        for search in case.suite.searches:
            registry.create(method.tuner, tuning.search_problem(config, method.trials, search))
        space = tuning.search_space(config)
        first = tuning.arguments(space, space.defaults)
        resolved_arguments(config.algorithm, config.library, first)

"""A benchmark suite: tasks, methods, seeds and the protocol, as `pipeline.suite_file` reads them from YAML.

tasks: [CartPole-v1, {env: procgen/bigfish, options: {mode: hard}, steps: 200000, seeds: 3}]
methods:
  static: {controller: static}
  cosine: {controller: "anneal:cosine", preset: published, set: {agent.n_epochs: 4}}
  tpe:    {tuner: tpe, trials: 8}
seeds: 5                      # of tasks without their own; a count or a list, like the two below; the three must not overlap
tuning_seeds: 1               # searches of a tuner; test seed i takes what search i mod n found
target: {share: 0.9, seeds: 3}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, field_validator

from hyperprompt.config import assign

Seeds = StrictInt | tuple[Annotated[int, Field(ge=0, lt=2**31)], ...]
Account = Literal["total", "single"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskEntry(_Strict):
    """A task of the suite. What is None comes from the task's own listing."""

    env: str
    name: str = ""
    """What the tables call it; needed where two entries share an environment."""
    steps: int | None = Field(default=None, gt=0)
    every: int | None = Field(default=None, gt=0)
    options: dict[str, Any] = {}
    seeds: Seeds | None = None
    """The suite's, where the task has none of its own."""

    @property
    def label(self) -> str:
        return self.name or self.env

    @property
    def tests(self) -> tuple[int, ...]:
        """The test seeds."""
        return _listed(self.seeds)


class Method(_Strict):
    """What every kind of method may say about its runs."""

    preset: str | None = None
    set: dict[str, Any] = {}
    """Keys of a run's configuration, dotted ones allowed; they win over the suite's `set`."""
    tasks: tuple[str, ...] | None = None
    """The tasks it runs on, by what the tables call them; by default all."""


class ControllerMethod(Method):
    """One run a seed under a controller."""

    controller: str
    options: dict[str, Any] = {}


class TunerMethod(Method):
    """A search over fixed settings, one full run a trial, then one run a test seed with the best of them."""

    tuner: str
    trials: int = Field(ge=1)


class PopulationMethod(Method):
    """Population-based training: `population` runs of T steps each in lockstep, for every test seed."""

    population: int = Field(ge=2, le=1000)
    select_only: bool = False
    """Copy without exploring: the control."""


KINDS: dict[str, type[Method]] = {
    "controller": ControllerMethod,
    "tuner": TunerMethod,
    "population": PopulationMethod,
}
"""The key that tells a method's kind. Each has a function of the same name in `pipeline.methods`."""


class Target(_Strict):
    """R* = random + share * (static - random), static being the mean final return of baseline runs on `seeds`."""

    share: float = Field(default=0.9, gt=0, le=1)
    seeds: Seeds = 3


class Suite(_Strict):
    """The whole protocol. Lists of seeds are filled in; `text` is the file as it was read."""

    name: str
    tasks: tuple[TaskEntry, ...]
    methods: dict[str, Method]
    baseline: str = "static"
    seeds: Seeds = 5
    tuning_seeds: Seeds = 1
    target: Target = Target()
    set: dict[str, Any] = {}
    score: Literal["auc", "final_return"] = "auc"
    """What a tuner is told about a trial."""
    accounts: tuple[Account, ...] = ("single", "total")
    """single: one run each, a tuner's cost stated beside it; total: its trials on the x-axis."""
    meta_training_steps: dict[str, Annotated[int, Field(gt=0)]] = {}
    """Environment steps that a method's training took once, before the suite."""
    resamples: int = Field(default=2000, ge=100, le=100_000)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    jobs: int = Field(default=1, ge=1, le=4096)
    time_limit: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Wall seconds for a run of T steps, then it is ended and counts as failed; a population has them for each member."""
    looks: Path | None = None
    """Where evaluations on sealed test tasks are counted, for suites with such tasks: see `collect.split.look`."""
    out: Path | None = None
    text: str

    @field_validator("accounts")
    @classmethod
    def _some(cls, accounts: tuple[Account, ...]) -> tuple[Account, ...]:
        if not accounts:
            raise ValueError("name at least one account: total, single")
        return accounts

    @property
    def searches(self) -> tuple[int, ...]:
        """The tuning seeds."""
        return _listed(self.tuning_seeds)

    @property
    def references(self) -> tuple[int, ...]:
        """The seeds of the runs that R* is taken from."""
        return _listed(self.target.seeds)

    @property
    def tests(self) -> dict[str, tuple[int, ...]]:
        """The test seeds as a reader has to be told: of all tasks at once, or task by task where they differ."""
        seeds = {f"test, {task.label}": task.tests for task in self.tasks}
        return seeds if len(set(seeds.values())) > 1 else {"test": self.tasks[0].tests}

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / f"benchmark-{self.name}"


def settings(suite: Suite, task: TaskEntry, method: Method) -> dict[str, Any]:
    """The keys of a `RunConfig` for `task` under `method`, still without controller and seed.

    The method's `set` wins over the task's entry, that over the suite's `set`; `agent` and the like are merged key by key.
    """
    values: dict[str, Any] = {}
    own = {"env": task.env, "env_options": task.options, "steps": task.steps, "every": task.every, "preset": method.preset}
    for layer in (suite.set, {key: value for key, value in own.items() if value is not None}, method.set):
        for key, value in layer.items():
            merge(values, key, value)
    return values


def merge(values: dict[str, Any], key: str, value: Any) -> None:
    """`config.assign`, with mappings merged key by key."""
    if isinstance(value, Mapping) and value:
        for below, item in value.items():
            merge(values, f"{key}.{below}", item)
    else:
        assign(values, key, value)


def _listed(seeds: Seeds | None) -> tuple[int, ...]:
    """Seeds of a suite that `load` has filled in."""
    assert isinstance(seeds, tuple)
    return seeds

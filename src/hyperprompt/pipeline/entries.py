"""What a suite is made of: tasks, the kinds of methods, seeds and the target."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _whole(given: object) -> object:
    # Pydantic alone takes `true` for one seed, and its errors name the parts of a union.
    numbers = given if isinstance(given, list | tuple) else (given,)
    if not all(type(number) is int and 0 <= number < 2**31 for number in numbers):
        raise ValueError(f"expected a number of seeds, or a list of whole numbers from 0 to 2^31 - 1, not {given!r}")
    return given


def _no_truth(given: object) -> object:
    if isinstance(given, bool):  # which Pydantic takes for 1 or 0
        raise ValueError(f"expected a whole number, not {str(given).lower()}")
    return given


Count = Annotated[int, BeforeValidator(_no_truth)]
Seeds = Annotated[int | tuple[int, ...], BeforeValidator(_whole)]
RESERVED = ("env", "env_options", "seed", "controller", "llm", "checkpoints", "tensorboard")
"""Keys of a run that the suite decides in other places."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def listed(seeds: Seeds | None) -> tuple[int, ...]:
    """Seeds of a suite that `suite.load` has filled in."""
    assert isinstance(seeds, tuple)
    return seeds


class TaskEntry(_Strict):
    """A task of the suite. What is None comes from the task's own listing."""

    env: str
    name: str = ""
    """What the tables call it; needed where two entries share an environment."""
    steps: Count | None = Field(default=None, gt=0)
    every: Count | None = Field(default=None, gt=0)
    options: dict[str, Any] = {}
    seeds: Seeds | None = None
    """The suite's, where the task has none of its own."""

    @property
    def label(self) -> str:
        return self.name or self.env

    @property
    def tests(self) -> tuple[int, ...]:
        """The test seeds."""
        return listed(self.seeds)


class Method(_Strict):
    """What every kind of method may say about its runs."""

    preset: str | None = None
    set: dict[str, Any] = {}
    """Keys of a run's configuration, dotted ones allowed; they win over the suite's `set`."""
    tasks: tuple[str, ...] | None = None
    """Those it runs on, as the tables call them; by default all."""
    seeds: int | None = Field(default=None, ge=1, strict=True)
    """How many of a task's test seeds, the first ones; by default all. For methods whose runs are dear."""

    def runs_on(self, task: TaskEntry) -> bool:
        return self.tasks is None or task.label in self.tasks


class ControllerMethod(Method):
    """One run a seed under a controller."""

    controller: str
    options: dict[str, Any] = {}


class TunerMethod(Method):
    """A search over fixed settings, one full run a trial, then one run a test seed with the best of them."""

    tuner: str
    trials: Count = Field(ge=1)


class PopulationMethod(Method):
    """Population-based training: `population` runs of T steps each in lockstep, for every test seed."""

    population: Count = Field(ge=2, le=1000)
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

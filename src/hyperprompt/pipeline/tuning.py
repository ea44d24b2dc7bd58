"""Between runs and tuners: what is searched of a run's configuration, how a trial is run, and what it scored."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from hyperprompt.config import RunConfig
from hyperprompt.envs import make as envs
from hyperprompt.errors import HyperPromptError, InvalidValue
from hyperprompt.hyperparameters import HyperparameterSpace, Theta, for_algorithm
from hyperprompt.meta.arguments import selected
from hyperprompt.pipeline.results import Record
from hyperprompt.search import registry
from hyperprompt.search.base import Search


class SearchFailed(HyperPromptError):
    """A search has no settings to offer; says why."""


class NoScore(SearchFailed):
    """No trial has a score."""


@dataclass(frozen=True)
class Best:
    """The trial with the highest score."""

    theta: Theta
    constant: Mapping[str, float | int]
    """theta as constructor arguments; empty for the first trial, which is the run's own settings as they stand."""
    score: float


def search(name: str, base: RunConfig, trials: int, seed: int) -> Generator[RunConfig, float | None, Best]:
    """A whole search: yields the configuration of each trial, is sent its score, None or NaN if it has none, returns the best.

    Raises:
        SearchFailed: the tuner raised an error; NoScore: no trial has a score.
        HyperPromptError: see `search.registry.create`.
    """
    problem = search_problem(base, trials, seed)
    tuner, space = registry.create(name, problem), problem.space
    best: Best | None = None
    for trial in range(trials):
        # The first trial is the run's own settings, those outside the bounds (an entropy bonus of 0) included.
        theta: Theta = space.values(space.defaults)
        constant: dict[str, float | int] = {}
        if trial:
            with failing_the_search():
                theta = tuner.ask()
                check_theta(space, theta)
                constant = arguments(space, theta)
        score = yield fixed(base, constant)
        with failing_the_search():
            tuner.tell(theta, score)
        if score is not None and math.isfinite(score) and (best is None or score > best.score):
            best = Best(theta, constant, score)
    if best is None:
        raise NoScore("no trial has a score")
    return best


@contextmanager
def failing_the_search() -> Iterator[None]:
    """Turns every error of a tuner, which may be anybody's code, into SearchFailed: the other runs are to go on."""
    try:
        yield
    except Exception as error:
        said = " ".join(str(error).split())  # in one line: of longer ones the report shows the last
        raise SearchFailed(f"the tuner failed: {type(error).__name__}: {said}") from error


def search_problem(config: RunConfig, trials: int, seed: int) -> Search:
    """What a tuner is made for, of runs of a resolved configuration."""
    return Search(search_space(config), seed, trials, config.algorithm, config.env)


def search_space(config: RunConfig) -> HyperparameterSpace:
    """What a tuner searches for a resolved configuration: its `tune` and `bounds`, begun at its own agent settings."""
    dimensions = 1
    if config.algorithm == "sac":
        dimensions = envs.describe(config.env, **config.env_options).action_size
    given = {k: float(v) for k, v in config.agent.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    space = for_algorithm(config.algorithm, dimensions).starting_at(given)
    return selected(space, config.algorithm, config.tune, config.bounds)


def check_theta(space: HyperparameterSpace, theta: Theta) -> None:
    """Raises InvalidValue for a value that is not finite or out of the bounds, the rounding of their logarithms aside."""
    for h in space:
        value = float(theta[h.name])
        if not math.isclose(h.clip(value), value, rel_tol=1e-9, abs_tol=1e-12):
            raise InvalidValue(f"{h.name} must be from {h.low:g} to {h.high:g}, not {value:g}")


def arguments(space: HyperparameterSpace, theta: Theta) -> dict[str, float | int]:
    """theta as constructor arguments of the algorithm: the values that a run would be given, integers as such."""
    values = space.values(theta)
    return {h.name: int(values[h.name]) if h.scale == "integer" else float(values[h.name]) for h in space}


def fixed(config: RunConfig, constant: Mapping[str, float | int]) -> RunConfig:
    """The static run with these settings from its first update on."""
    return config.model_copy(update={"agent": {**config.agent, **constant}})


def score(record: Record, what: str) -> float | None:
    """What a tuner is told: the trial's AUC or final return; None if it failed or no episode ended."""
    value = record["result"][what] if "error" not in record else None
    return None if value is None else float(value)

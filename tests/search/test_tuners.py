"""What holds for every tuner of the registry; a new one joins by its line there."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperprompt.errors import InvalidValue, MissingDependency, UnknownName
from hyperprompt.hyperparameters import AVAILABLE, TUNED_BY_DEFAULT, Hyperparameter, HyperparameterSpace, Theta, for_algorithm
from hyperprompt.search import registry
from hyperprompt.search.base import Search, Trial, Tuner, finite
from hyperprompt.search.optuna import STARTUP

PPO = for_algorithm("ppo").subset(TUNED_BY_DEFAULT["ppo"])
every_tuner = pytest.mark.parametrize("name", registry.TUNERS)

Told = Sequence[tuple[Theta, float | None]]


def drawn(space: HyperparameterSpace, n: int, seed: int = 0) -> list[tuple[Theta, float | None]]:
    """n random trials with random scores, every third one failed."""
    rng = np.random.default_rng(seed)
    thetas = [space.values({h.name: h.at(float(rng.random())) for h in space}) for _ in range(n)]
    return [(theta, (None, math.nan)[i % 2] if i % 3 == 2 else float(rng.normal())) for i, theta in enumerate(thetas)]


def create(name: str, space: HyperparameterSpace = PPO, seed: int = 0, trials: int = 32) -> Tuner:
    return registry.create(name, Search(space, seed, trials, "ppo", "CartPole-v1"))


def told(name: str, space: HyperparameterSpace, trials: Told, seed: int = 0) -> Tuner:
    tuner = create(name, space, seed)
    for theta, score in trials:
        tuner.tell(theta, score)
    return tuner


def sound(space: HyperparameterSpace, theta: Theta) -> None:
    assert tuple(theta) == space.names
    for h in space:
        assert isinstance(theta[h.name], float)
        assert h.low <= theta[h.name] <= h.high
        assert h.scale != "integer" or theta[h.name].is_integer()


@every_tuner
def test_it_is_a_tuner_and_begins_with_the_defaults(name: str) -> None:
    tuner = create(name, PPO, 3)
    assert isinstance(tuner, Tuner)
    assert tuner.name == name
    assert tuner.ask() == PPO.defaults  # as they are: PPO's entropy bonus of 0 lies below its floor


@every_tuner
def test_a_tuner_told_the_same_history_asks_the_same(name: str) -> None:
    """Asked at every trial, asked only at the end, and asked twice."""
    asked = create(name, PPO, 7)
    history: list[tuple[Theta, float | None]] = []
    rng = np.random.default_rng(1)
    for i in range(STARTUP + 1):
        theta = asked.ask()
        history.append((theta, None if i == 4 else float(rng.normal())))
        asked.tell(*history[-1])
    replayed = told(name, PPO, history, seed=7)
    following = replayed.ask()
    assert following == asked.ask() == replayed.ask()
    assert following != told(name, PPO, history, seed=8).ask()
    assert following != told(name, PPO, history[:-1], seed=7).ask()


@every_tuner
@pytest.mark.parametrize("algorithm", AVAILABLE)
def test_proposals_lie_within_bounds_and_integers_are_whole(name: str, algorithm: str) -> None:
    space = for_algorithm(algorithm, action_dimensions=6)
    for n in (1, STARTUP + 2):
        sound(space, told(name, space, drawn(space, n)).ask())


@every_tuner
@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf, 0.0])
def test_it_goes_on_where_every_trial_scored_the_same_or_failed(name: str, score: float | None) -> None:
    tuner = create(name)
    for theta, _ in drawn(PPO, STARTUP + 1):
        tuner.tell(theta, score)
    sound(PPO, tuner.ask())


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_scores_count_from_the_first_trial_after_the_startup(name: str) -> None:
    """A search of eight trials has four that look."""
    for n in (STARTUP - 1, STARTUP, 7):
        trials = [(theta, float(i)) for i, (theta, _) in enumerate(drawn(PPO, n))]
        upside_down = [(theta, -score) for theta, score in trials]
        same = told(name, PPO, trials).ask() == told(name, PPO, upside_down).ask()
        assert same == (n < STARTUP)


SEARCH = """
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, for_algorithm
from hyperprompt.search import registry
from hyperprompt.search.base import Search

tuner = registry.create("gp", Search(for_algorithm("ppo").subset(TUNED_BY_DEFAULT["ppo"]), 3, 8, "ppo", "CartPole-v1"))
for score in (0.1, 0.5, 0.3, 0.7, 0.2):
    tuner.tell(tuner.ask(), score)
print(tuner.ask())
"""


def test_the_gaussian_process_asks_the_same_on_another_processor() -> None:
    """A search that goes on elsewhere finds its trials by their settings."""
    asked = [
        subprocess.run(
            [sys.executable, "-c", SEARCH], env={**os.environ, **core}, capture_output=True, text=True, check=True
        ).stdout
        for core in ({}, {"OPENBLAS_CORETYPE": "Nehalem", "ATEN_CPU_CAPABILITY": "default"})
    ]
    assert asked[0] == asked[1] != ""


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_a_search_that_would_never_look_at_a_score_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match=r"trials must be above 4, not 4"):
        create(name, trials=STARTUP)
    create(name, trials=STARTUP + 1)
    create("random", trials=1)


class Mine:
    """A user's tuner."""

    name = "mine"

    def __init__(self, search: Search) -> None:
        self.search = search

    def ask(self) -> Theta:
        return self.search.space.defaults

    def tell(self, theta: Theta, score: float | None) -> None:
        pass


class Fails:
    def __init__(self, search: Search) -> None:
        raise RuntimeError("no luck")


def test_a_tuner_by_import_path_is_given_the_whole_search() -> None:
    mine = create(f"{__name__}:Mine", trials=5, seed=3)
    assert mine.search == Search(PPO, 3, 5, "ppo", "CartPole-v1")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "path", ["no.such.module:Tuner", f"{__name__}:Absent", "datetime:datetime", "builtins:id", f"{__name__}:Fails", ":"]
)
def test_an_import_path_that_leads_to_no_tuner(path: str) -> None:
    with pytest.raises(InvalidValue, match=path):
        create(path)


@st.composite
def spaces(draw: st.DrawFn) -> HyperparameterSpace:
    def one(i: int) -> Hyperparameter:
        scale = draw(st.sampled_from(["log", "linear", "one_minus_log", "integer"]))
        domain = {"log": (1e-8, 1e4), "linear": (-1e3, 1e3), "one_minus_log": (-1.0, 0.9999), "integer": (0.5, 3e4)}[scale]
        low = draw(st.floats(*domain))
        least = 1e-6 * low if scale == "log" else 1e-6
        high = draw(st.floats(*domain).filter(lambda x: abs(x - low) > least))
        low, high = min(low, high), max(low, high)
        if scale == "integer":
            high = max(high, float(math.ceil(low)))
            high += high == low
        return Hyperparameter(f"h{i}", low, high, math.ceil(low) if scale == "integer" else low, scale)

    return HyperparameterSpace(tuple(one(i) for i in range(draw(st.integers(1, 5)))))


@pytest.mark.parametrize("name", ["random", "tpe"])
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(space=spaces(), n=st.integers(1, 14), seed=st.integers(0, 2**31))
def test_any_space(name: str, space: HyperparameterSpace, n: int, seed: int) -> None:
    tuner = told(name, space, drawn(space, n, seed), seed)
    sound(space, tuner.ask())
    assert told(name, space, drawn(space, n, seed), seed).ask() == tuner.ask()


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(space=spaces(), seed=st.integers(0, 2**31))
def test_any_space_with_the_gaussian_process(space: HyperparameterSpace, seed: int) -> None:
    sound(space, told("gp", space, drawn(space, STARTUP + 1, seed), seed).ask())


def test_random_is_uniform_on_the_own_scale() -> None:
    n = 400
    thetas = [told("random", PPO, drawn(PPO, 1), seed).ask() for seed in range(n)]
    for name in ("learning_rate", "ent_coef", "clip_range"):
        positions = np.sort([PPO[name].position(theta[name]) for theta in thetas])
        distance = np.abs(positions - (np.arange(n) + 0.5) / n).max()
        assert distance < 1.63 / math.sqrt(n), "Kolmogorov-Smirnov, 1%"


def test_a_failed_trial_counts_as_the_worst_so_far() -> None:
    theta = PPO.defaults
    trials = [Trial(theta, 2.0), Trial(theta, math.nan), Trial(theta, -1.0)]
    assert [t.score for t in finite(trials)] == [2.0, -1.0, -1.0]
    assert [t.score for t in finite([Trial(theta, math.nan)])] == [0.0]


def test_what_a_tuner_refuses() -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'tpe'.*gp, package.module:Class, random, tpe"):
        create("tpee")
    with pytest.raises(InvalidValue, match="seed"):
        create("random", PPO, -1)
    tuner = create("random")
    for theta in ({"learning_rate": 1e-3}, {**PPO.defaults, "tau": 0.1}, {**PPO.defaults, "n_epochs": math.nan}):
        with pytest.raises(InvalidValue):
            tuner.tell(theta, 1.0)
    assert tuner.ask() == PPO.defaults, "what was refused is not part of the history"


def test_optuna_is_quiet_and_its_settings_stay_the_users(capfd: pytest.CaptureFixture[str]) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for name in ("tpe", "gp"):
                told(name, PPO, drawn(PPO, STARTUP + 1)).ask()
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        optuna.logging.set_verbosity(optuna.logging.INFO)
    assert capfd.readouterr() == ("", "")


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperprompt.search.optuna.find_spec", lambda module: None)
    create("random")
    for name in ("tpe", "gp"):
        with pytest.raises(MissingDependency, match=r"hyperprompt\[tune\]"):
            create(name)


def test_the_registry_imports_nothing_heavy() -> None:
    code = "import sys, hyperprompt.search.registry; print({'optuna', 'torch', 'scipy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

"""Optuna's samplers: TPE (Bergstra et al. 2011, multivariate) and a Gaussian process with log expected improvement.

Each proposal builds a study in memory from the trials, so that nothing of Optuna's state outlives it. The samplers see every
hyperparameter on its own scale: integers as integers in log scale, all else as its position in [0, 1]. Of the first `STARTUP`
trials one has the defaults and the others are drawn at random; Optuna's own ten would make a search of eight a random one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hyperprompt.errors import InvalidValue, MissingDependency
from hyperprompt.hyperparameters import Hyperparameter, HyperparameterSpace, Theta
from hyperprompt.search.base import Search, Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

STARTUP = 4
"""Trials before a sampler's model has a say."""


def check(search: Search, *modules: str) -> None:
    """Whether a sampler can do the search, without importing anything.

    Raises:
        MissingDependency: Optuna, or one of `modules`, is not installed.
        InvalidValue: so few trials that its model would never be asked.
    """
    if search.trials <= STARTUP:
        raise InvalidValue(f"trials must be above {STARTUP}, not {search.trials}: the first {STARTUP} look at no score")
    for module in ("optuna", *modules):
        if find_spec(module) is None:
            raise MissingDependency(f"a tuner of Optuna ({module})", "tune")


def tpe(space: HyperparameterSpace, trials: Sequence[Trial], seed: int) -> Theta:
    """Tree-structured Parzen estimator over all hyperparameters jointly."""
    with _quiet():
        from optuna.samplers import TPESampler

        return _ask(TPESampler(n_startup_trials=STARTUP, multivariate=True, seed=seed), space, trials)


def gp(space: HyperparameterSpace, trials: Sequence[Trial], seed: int) -> Theta:
    """Gaussian process (Matern 5/2, a length scale per hyperparameter, noise fitted) with log expected improvement."""
    with _quiet():
        from optuna.samplers import GPSampler

        theta = _ask(GPSampler(n_startup_trials=STARTUP, seed=seed), space, trials)
    # Its optimisation ends in other last digits on another processor, and a trial that ran is found again by its settings.
    return space.clip({name: float(f"{value:.8g}") for name, value in theta.items()})


def _ask(sampler: BaseSampler, space: HyperparameterSpace, trials: Sequence[Trial]) -> Theta:
    import optuna

    distributions = {h.name: _distribution(h) for h in space}
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in trials:
        params = {h.name: _to_optuna(h, trial.theta[h.name]) for h in space}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=trial.score))
    params = study.ask(distributions).params
    return {h.name: _from_optuna(h, params[h.name]) for h in space}


def _distribution(h: Hyperparameter) -> BaseDistribution:
    from optuna.distributions import FloatDistribution, IntDistribution

    if h.scale == "integer":
        return IntDistribution(max(1, math.ceil(h.low)), math.floor(h.high), log=True)
    return FloatDistribution(0.0, 1.0)


def _to_optuna(h: Hyperparameter, value: float) -> float:
    return int(value) if h.scale == "integer" else h.position(value)


def _from_optuna(h: Hyperparameter, value: float) -> float:
    return float(value) if h.scale == "integer" else h.at(value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna without its log lines and its warnings about experimental samplers; the user's own settings come back."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)

"""Offline tuners by name."""

from __future__ import annotations

from collections.abc import Callable

from hyperprompt.errors import UnknownName
from hyperprompt.hyperparameters import HyperparameterSpace
from hyperprompt.search import optuna, random
from hyperprompt.search.base import FromHistory, Tuner


def _tpe(space: HyperparameterSpace, seed: int) -> Tuner:
    optuna.check()
    return FromHistory("tpe", optuna.tpe, space, seed)


def _gp(space: HyperparameterSpace, seed: int) -> Tuner:
    optuna.check("torch", "scipy")
    return FromHistory("gp", optuna.gp, space, seed)


TUNERS: dict[str, Callable[[HyperparameterSpace, int], Tuner]] = {
    "random": lambda space, seed: FromHistory("random", random.propose, space, seed),
    "tpe": _tpe,
    "gp": _gp,
}


def create(name: str, space: HyperparameterSpace, seed: int) -> Tuner:
    """The tuner called `name`.

    Raises:
        UnknownName: no such tuner; the message lists the valid ones.
        MissingDependency: it needs a package that is not installed.
        InvalidValue: a negative seed.
    """
    if name not in TUNERS:
        raise UnknownName("tuner", name, TUNERS)
    return TUNERS[name](space, seed)

"""Offline tuners: built-in ones by name, and a user's own by import path."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.search import optuna, random
from hyperprompt.search.base import FromHistory, Search, Tuner


def _tpe(search: Search) -> Tuner:
    optuna.check(search)
    return FromHistory("tpe", optuna.tpe, search.space, search.seed)


def _gp(search: Search) -> Tuner:
    optuna.check(search, "torch", "scipy")
    return FromHistory("gp", optuna.gp, search.space, search.seed)


TUNERS: dict[str, Callable[[Search], Tuner]] = {
    "random": lambda search: FromHistory("random", random.propose, search.space, search.seed),
    "tpe": _tpe,
    "gp": _gp,
}


def create(name: str, search: Search) -> Tuner:
    """The tuner called `name`: one of TUNERS, or `package.module:Class`, which is called with the search.

    Raises:
        UnknownName: no such tuner; the message lists the valid ones.
        MissingDependency: it needs a package that is not installed.
        InvalidValue: a negative seed, too few trials for it, or an import path that does not lead to a tuner.
    """
    if ":" in name:
        return _imported(name, search)
    if name not in TUNERS:
        raise UnknownName("tuner", name, [*TUNERS, "package.module:Class"])
    return TUNERS[name](search)


def _imported(path: str, search: Search) -> Tuner:
    module, _, attribute = path.partition(":")
    try:
        tuner = getattr(import_module(module), attribute)(search)
    except Exception as error:  # anybody's code
        raise InvalidValue(f"tuner {path!r} cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(tuner, Tuner):
        raise InvalidValue(f"tuner {path!r} needs a 'name', 'ask()' and 'tell(theta, score)'")
    return tuner

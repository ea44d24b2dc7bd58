"""What a caller may ask of a run: checked before anything starts, and made the hyperparameters under control."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from hyperprompt.core import Agent
from hyperprompt.errors import InvalidValue
from hyperprompt.hyperparameters import NOT_RAISED, TUNED_BY_DEFAULT, HyperparameterSpace, for_algorithm

Bounds = Mapping[str, tuple[float, float]]


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_steps(**steps: Any) -> None:
    """Raises InvalidValue for numbers of environment steps that are none; None stands for a default."""
    for name, value in steps.items():
        if value is not None and not (_whole(value) and value > 0):
            raise InvalidValue(f"{name} must be a positive number of environment steps, not {value!r}")


def check_seed(seed: Any) -> None:
    """Raises InvalidValue unless it is None or a seed that every generator takes."""
    if seed is not None and not (_whole(seed) and 0 <= seed < 2**31):
        raise InvalidValue(f"seed must be a whole number from 0 to 2^31 - 1, not {seed!r}")


def check_folder(run_dir: Any, resume: bool) -> None:
    """Raises InvalidValue for a run folder that is no path, or none to resume from."""
    if run_dir is not None and not (isinstance(run_dir, str | Path) and str(run_dir)):
        raise InvalidValue(f"run_dir must be a path, not {run_dir!r}")
    if resume and run_dir is None:
        raise InvalidValue("resume needs run_dir, the folder of the run to go on with")


def names(what: str, given: Any) -> tuple[str, ...]:
    """A list of names. Raises InvalidValue for anything else; a single name is iterable, and no list of its letters."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidValue(f"{what} must be a list of names, not {given!r}" + f": {what}=[{given!r}]" * isinstance(given, str))
    found = tuple(given)
    if wrong := [name for name in found if not isinstance(name, str)]:
        raise InvalidValue(f"{what} must be a list of names, and {wrong[0]!r} is none")
    return found


def mapping(what: str, given: Any) -> dict[str, Any]:
    """Raises InvalidValue for anything but a mapping from names, or None."""
    if given is not None and not isinstance(given, Mapping):
        raise InvalidValue(f"{what} must be a mapping from names to values, not {given!r}")
    return dict(given or {})


def checked_bounds(given: Any) -> dict[str, tuple[float, float]]:
    """Raises InvalidValue for bounds that are not name -> (low, high)."""
    bounds = mapping("bounds", given)
    for name, pair in bounds.items():
        numbers = isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(value, Real) for value in pair)
        if not numbers:
            raise InvalidValue(f"bounds of {name} must be (low, high), not {pair!r}")
    return bounds


def tuned_space(
    agent: Agent, tune: Sequence[str] | None = None, bounds: Bounds | None = None, requires: Sequence[str] = ()
) -> HyperparameterSpace:
    """The hyperparameters under control: `tune`, or the algorithm's default set as far as this agent offers it.

    `requires` are those the controller cannot do without; they join the default set.

    Raises:
        UnknownName: a name the agent does not offer.
        InvalidValue: a combination that cannot work, with the reason; bounds the wrong way round.
    """
    bounds = bounds or {}
    for name in (*(tune or ()), *bounds, *requires):
        if name in agent.refused:
            raise InvalidValue(f"{name} cannot be tuned: {agent.refused[name]}")
    return selected(agent.space, agent.algorithm, tune, bounds, requires)


def check_names(algorithm: str, tune: Sequence[str] | None, bounds: Bounds, requires: Sequence[str] = ()) -> None:
    """The part of `tuned_space` that needs no agent, so that the command line can refuse before anything starts."""
    selected(for_algorithm(algorithm), algorithm, tune, bounds, requires)


def selected(
    space: HyperparameterSpace, algorithm: str, tune: Sequence[str] | None, bounds: Bounds, requires: Sequence[str] = ()
) -> HyperparameterSpace:
    """The part of `space` under control, whose defaults are a run's first values. Of the algorithm's default set those in
    `NOT_RAISED` go no higher than they begin, and are left out where they begin at their lowest; `tune`, `bounds` and
    `requires` lift that.

    Raises:
        UnknownName, InvalidValue: see `tuned_space`.
    """
    requires = names("a controller's requires", requires)
    if tune is None:
        free = {*bounds, *requires}
        caps = {h.name: min(h.high, h.default) for h in space if h.name in NOT_RAISED and h.name not in free}
        fixed = [name for name, cap in caps.items() if cap <= space[name].low]
        defaults = (name for name in TUNED_BY_DEFAULT[algorithm] if name in space.names and name not in fixed)
        tune = tuple(dict.fromkeys((*defaults, *requires)))
        space = space.bounded({name: (space[name].low, cap) for name, cap in caps.items() if name not in fixed})
    if not tune:
        raise InvalidValue("tune is empty: name at least one hyperparameter")
    missing = [name for name in requires if name not in tune]
    if missing:
        raise InvalidValue(f"the controller sets {', '.join(missing)}, which is not among those to tune")
    if untuned := [name for name in space.subset(bounds).names if name not in tune]:
        raise InvalidValue(f"bounds of {untuned[0]}, which is not among those to tune: name it in tune as well")
    return space.subset(tune).bounded(bounds)

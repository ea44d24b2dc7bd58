"""Controllers by name: built-in ones, and a user's own class by import path."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeGuard

from hyperprompt.controllers import fixed, limits
from hyperprompt.controllers.bandit import Bandit
from hyperprompt.controllers.bounded import Bounded
from hyperprompt.controllers.over import Over
from hyperprompt.core import Controller
from hyperprompt.errors import HyperPromptError, InvalidValue, UnknownName


@dataclass(frozen=True)
class Entry:
    """A built-in controller. `build(argument, seed, options)` takes what stands behind the colon of its name."""

    usage: str
    summary: str
    build: Callable[[str, int, Mapping[str, Any]], Controller]
    algorithms: tuple[str, ...] = ()
    """Algorithms it works with; empty means all."""

    @property
    def described(self) -> str:
        """The summary, and what it is limited to."""
        return f"{self.summary} ({', '.join(self.algorithms)} only)" if self.algorithms else self.summary


def _check_options(controller: type[Controller], options: Mapping[str, Any]) -> None:
    valid = [name for name in inspect.signature(controller).parameters if name != "seed"]
    for name in options:
        if name not in valid:
            raise UnknownName(f"option of the {controller.name} controller", name, valid)


def _llm(model: str, seed: int, options: Mapping[str, Any]) -> Controller:
    from hyperprompt.controllers.llm import LLMController

    _check_options(LLMController, options)
    named = {"model": model} if model else {}
    return LLMController(**{**options, **named}, seed=seed)


def _numeric(folder: str, seed: int, options: Mapping[str, Any]) -> Controller:
    if not folder:
        raise InvalidValue("controller 'numeric' needs a folder of 'hyperprompt sft': numeric:FOLDER")
    from hyperprompt.sft.controls import NumericController

    return NumericController(Path(folder))


def _hyperprompt(argument: str, seed: int, options: Mapping[str, Any]) -> Controller:
    from hyperprompt.llm.adapters import shipped

    if "model" in options:
        raise InvalidValue("controller 'hyperprompt' is a model of its own: take controller 'llm' for another")
    controller = Bounded(_llm(str(shipped()), seed, options))
    controller.name = "hyperprompt"
    return controller


def _bounded(lower: str, seed: int, options: Mapping[str, Any]) -> Controller:
    if not lower:
        raise InvalidValue("controller 'bounded' needs another behind its colon: bounded:CONTROLLER")
    return Bounded(create(lower, seed=seed, options=options))


def _bandit(argument: str, seed: int, options: Mapping[str, Any]) -> Controller:
    _check_options(Bandit, options)
    return Bandit(seed, **options)


def _schedule(path: str, relative: bool = False) -> Controller:
    if not path:
        raise InvalidValue("controllers that follow a schedule need a file: schedule:FILE, schedule-steps:FILE")
    return fixed.Schedule(Path(path), relative)


CONTROLLERS: dict[str, Entry] = {
    "static": Entry("static", "keeps every hyperparameter: the baseline", lambda a, seed, o: fixed.Static()),
    "random": Entry("random", "a random step each time: the control", lambda a, seed, o: fixed.Random(seed)),
    "anneal": Entry(
        "anneal[:linear|:cosine]",
        "learning rate from its first value to its floor",
        lambda a, seed, o: fixed.Anneal(a or "linear"),
    ),
    "kl-adaptive": Entry(
        "kl-adaptive", "learning rate follows the policy's KL divergence", lambda a, seed, o: fixed.KLAdaptive(), ("ppo",)
    ),
    "horizon": Entry("horizon", "the discount follows what the critic explains", lambda a, seed, o: fixed.Horizon(), ("ppo",)),
    "trust": Entry(
        "trust", "learning rate up and down again, as far as the KL allows", lambda a, seed, o: fixed.Trust(), ("ppo",)
    ),
    "schedule": Entry("schedule:FILE", "replays a schedule written by 'hyperprompt export'", lambda a, seed, o: _schedule(a)),
    "schedule-steps": Entry(
        "schedule-steps:FILE",
        "takes a schedule's steps from the run's first values",
        lambda a, seed, o: _schedule(a, True),
    ),
    "bandit": Entry("bandit", "two-level UCB over a few values of each hyperparameter, after ULTHO", _bandit),
    "hyperprompt": Entry("hyperprompt", "the language model fine-tuned for this, as shipped: the default", _hyperprompt),
    "bounded": Entry("bounded:CONTROLLER", "another one, within what KL, episodes and entropy allow", _bounded),
    "llm": Entry("llm[:MODEL]", "a pre-trained language model reads the run (see 'hyperprompt models')", _llm),
    "numeric": Entry("numeric:FOLDER", "a small network of 'hyperprompt sft', the language model's control", _numeric),
}
OVER = " over "
"""Between two controllers of which the first moves what it requires, and the second all else."""
_TAKES_FILES = ("schedule", "schedule-steps", "llm", "numeric")
_TAKES_ARGUMENT = ("anneal", "bounded", *_TAKES_FILES)
_TAKES_OPTIONS = ("bandit", "bounded", "hyperprompt", "llm")


def create(spec: str, *, seed: int = 0, options: Mapping[str, Any] | None = None) -> Controller:
    """The controller called `spec`: a name of CONTROLLERS, perhaps with `:argument`, or `package.module:Class`; or `A over B`.

    `options` go to the `bandit` or the `llm` controller, of two to the lower one. A class of the user's is called with `seed=`
    if it takes one.

    Raises:
        UnknownName: no such controller; the message lists the valid ones.
        InvalidValue: an argument the controller refuses, or an import path that does not lead to a controller.
    """
    upper, over, lower = spec.partition(OVER)
    if over:
        return Over(create(upper, seed=seed), create(lower, seed=seed, options=options))
    name, _, argument = spec.partition(":")
    if options and name not in _TAKES_OPTIONS:
        raise InvalidValue(f"options ({', '.join(options)}) are for {', '.join(_TAKES_OPTIONS)} only, not for {spec!r}")
    if name in CONTROLLERS:
        if argument and name not in _TAKES_ARGUMENT:
            raise InvalidValue(f"controller {name!r} takes no argument, not {argument!r}")
        return CONTROLLERS[name].build(argument, seed, options or {})
    if argument:
        return _imported(name, argument, seed)
    raise UnknownName("controller", spec, (entry.usage for entry in CONTROLLERS.values()))


def files(spec: str, options: Mapping[str, Any]) -> tuple[Path, ...]:
    """The files that decide what a controller does beside its name and options: weights, a schedule, the limits of bounds, the
    module of a user's class."""
    *upper, lowest = _parts(spec)
    found = (file for part, given in (*((u, {}) for u in upper), (lowest, options)) for file in _files(part, given))
    return tuple(dict.fromkeys(found))


def _files(part: str, options: Mapping[str, Any]) -> list[Path]:
    name, _, argument = part.partition(":")
    named = [argument if name in _TAKES_FILES else "", options.get("model"), options.get("demonstrations")]
    if name == "hyperprompt":
        from hyperprompt.llm.adapters import shipped

        named.append(str(shipped()))
    if name in ("bounded", "hyperprompt"):
        named.append(limits.__file__)
    if name not in CONTROLLERS:
        named.append(_source(name))
    paths = [Path(path).expanduser() for path in named if path]
    return [p for path in paths for p in ([path] if path.is_file() else sorted(path.rglob("*"))) if p.is_file()]


def _source(module: str) -> str | None:
    """The file of a user's module, which is not imported."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec and spec.has_location else None


def _parts(spec: str) -> list[str]:
    """The single controllers that a spec names, the uppermost first."""
    parts = []
    for part in spec.split(OVER):
        if part.startswith("bounded:"):
            parts.append("bounded")
        parts.append(part.removeprefix("bounded:"))
    return parts


def is_controller(candidate: object) -> TypeGuard[Controller]:
    """Whether it has what a `Controller` needs; a class instead of an instance has not."""
    return isinstance(candidate, Controller) and not isinstance(candidate, type) and isinstance(candidate.name, str)


def check_algorithm(spec: str, algorithm: str) -> None:
    """Refuses a controller that cannot work with `algorithm`.

    Raises:
        InvalidValue: with the algorithms it works with.
    """
    for part in _parts(spec):
        entry = CONTROLLERS.get(part.partition(":")[0])
        if entry and entry.algorithms and algorithm not in entry.algorithms:
            raise InvalidValue(f"controller {part!r} works with {', '.join(entry.algorithms)} only, not with {algorithm}")


def _imported(module: str, attribute: str, seed: int) -> Controller:
    path = f"{module}:{attribute}"
    try:
        factory = getattr(import_module(module), attribute)
    except AttributeError as error:
        raise InvalidValue(f"controller {path!r}: module {module!r} has no {attribute!r}") from error
    except Exception as error:  # anybody's code
        # Most often a typo for a built-in name, so the valid ones are listed as well.
        known = ", ".join(entry.usage for entry in CONTROLLERS.values())
        said = f"{type(error).__name__}: {error}"
        raise InvalidValue(f"controller {path!r} cannot be imported: {said}. Built-in ones: {known}.") from error
    if not callable(factory):
        raise InvalidValue(f"controller {path!r} is not a class")
    try:
        takes_seed = "seed" in inspect.signature(factory).parameters
        controller = factory(seed=seed) if takes_seed else factory()
    except HyperPromptError:
        raise
    except Exception as error:
        raise InvalidValue(f"controller {path!r} cannot be made: {type(error).__name__}: {error}") from error
    if not is_controller(controller):
        raise InvalidValue(f"controller {path!r} needs a 'name' and 'decide(states)'")
    return controller

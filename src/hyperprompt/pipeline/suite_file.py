"""A suite's file: read from YAML, its seeds filled in, and checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperprompt.config import RunConfig, read_yaml, validated
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.evaluation.benchmark import ZERO_LINE
from hyperprompt.pipeline.constants import SEEDS as SCALE_SEEDS
from hyperprompt.pipeline.suite import KINDS, ControllerMethod, Method, Seeds, Suite, Target, TaskEntry

FIRST_SEED = {"seeds": 0, "tuning_seeds": 7001, "target.seeds": 8001}
"""Where a count begins; far enough apart that no two counts allowed here meet."""
MOST_SEEDS = 1000
RESERVED = ("env", "env_options", "seed", "controller", "llm", "checkpoints", "tensorboard")
"""Keys of a run that the suite decides in other places."""


def load(path: Path) -> Suite:
    """The suite in a YAML file. `pipeline.methods.check` goes on where this ends.

    Raises:
        InvalidValue, UnknownName: one line naming the key, what is wrong with it, and the valid choices.
    """
    values = {"name": path.stem, **read_yaml(path)}
    if "text" in values:  # which is no key of the file
        raise UnknownName("key", "text", (key for key in Suite.model_fields if key != "text"))
    values["text"] = path.read_text()
    for key in ("tasks", "methods"):
        if not values.get(key):
            raise InvalidValue(f"{path}: {key} is empty: a suite needs at least one")
    if not isinstance(values["tasks"], list) or not isinstance(values["methods"], dict):
        raise InvalidValue(f"{path}: tasks are a list of names or entries, methods a mapping from a name to settings")
    target = validated(Target, _keys(values.get("target") or {}, "target"), "target")
    values["tasks"] = [_task(entry, i) for i, entry in enumerate(values["tasks"])]
    values["methods"] = {str(name): _method(str(name), entry) for name, entry in values["methods"].items()}
    values["target"] = target.model_copy(update={"seeds": _seeds("target.seeds", target.seeds)})
    suite = validated(Suite, values)
    tasks = tuple(_seeded(task, i, suite.seeds) for i, task in enumerate(suite.tasks))
    suite = suite.model_copy(update={"tasks": tasks, "tuning_seeds": _seeds("tuning_seeds", suite.tuning_seeds)})
    _check_names(suite)
    _check_seeds(suite)
    return suite


def _keys(values: object, where: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise InvalidValue(f"{where}: expected keys and values, not {values!r}")
    return {str(key): value for key, value in values.items()}


def _task(entry: object, index: int) -> TaskEntry:
    return validated(TaskEntry, {"env": entry} if isinstance(entry, str) else _keys(entry, f"tasks.{index}"), f"tasks.{index}")


def _method(name: str, entry: object) -> Method:
    where = f"methods.{name}"
    values = _keys(entry, where)
    kinds = [key for key in KINDS if key in values]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise InvalidValue(f"{where}: a method has exactly one of the keys {', '.join(KINDS)}, not {found}: {sorted(values)}")
    method = validated(KINDS[kinds[0]], values, where)
    check_set(method.set, f"{where}.set", (*RESERVED, "steps", "preset"))
    return method


def check_set(values: Mapping[str, Any], where: str, refused: Sequence[str]) -> None:
    """Raises InvalidValue or UnknownName for a key that is no run's, or one that is decided elsewhere."""
    for key in values:
        first = key.split(".")[0]
        if first in refused:
            raise InvalidValue(f"{where}: {first} is not set here: other keys of the file decide it")
        if first not in RunConfig.model_fields:
            raise UnknownName(f"key in {where}", first, (k for k in RunConfig.model_fields if k not in refused))


def _seeded(task: TaskEntry, index: int, others: Seeds) -> TaskEntry:
    key, given = ("seeds", others) if task.seeds is None else (f"tasks.{index}.seeds", task.seeds)
    return task.model_copy(update={"seeds": _seeds(key, given)})


def _seeds(key: str, given: Seeds) -> tuple[int, ...]:
    if isinstance(given, tuple):
        if not given:
            raise InvalidValue(f"{key} is empty: name at least one seed")
        if twice := sorted({seed for seed in given if given.count(seed) > 1}):
            raise InvalidValue(f"{key}: named twice: {', '.join(map(str, twice))}")
        return given
    if not 1 <= given <= MOST_SEEDS:
        raise InvalidValue(f"{key}: a number of seeds lies between 1 and {MOST_SEEDS}, not {given}")
    first = FIRST_SEED.get(key, FIRST_SEED["seeds"])
    return tuple(range(first, first + given))


def _check_names(suite: Suite) -> None:
    labels = [task.label for task in suite.tasks]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise InvalidValue(f"tasks: {', '.join(twice)} stands there twice; give each entry a name of its own (name: ...)")
    check_set(suite.set, "set", RESERVED)
    for key, names in (("baseline", [suite.baseline]), ("meta_training_steps", list(suite.meta_training_steps))):
        for name in names:
            if name not in suite.methods:
                raise UnknownName(f"method in {key}", name, suite.methods)
    for name, method in suite.methods.items():
        if name == ZERO_LINE.format(baseline=suite.baseline):
            raise InvalidValue(f"methods: {name!r} is what the tables call the zero line; choose another name")
        if method.tasks == ():
            raise InvalidValue(f"methods.{name}.tasks is empty: name at least one task")
        for task in method.tasks or ():
            if task not in labels:
                raise UnknownName(f"task in methods.{name}.tasks", task, labels)
    baseline = suite.methods[suite.baseline]
    if baseline.tasks is not None:
        raise InvalidValue(f"baseline: {suite.baseline!r} runs on every task and has no tasks of its own")
    if not (isinstance(baseline, ControllerMethod) and baseline.controller == "static"):
        raise InvalidValue(f"baseline: {suite.baseline!r} is not a method with 'controller: static', which R* is taken from")


def _check_seeds(suite: Suite) -> None:
    held: dict[int, str] = dict.fromkeys(SCALE_SEEDS, "the fixed task scale")
    for key, seeds in (
        ("target.seeds", suite.references),
        ("tuning_seeds", suite.searches),
        *(("seeds", task.tests) for task in suite.tasks),
    ):
        if overlap := sorted(seed for seed in seeds if held.get(seed, key) != key):
            raise InvalidValue(f"{key}: {overlap[0]} also serves {held[overlap[0]]}; seeds of different purposes are disjoint")
        held |= dict.fromkeys(seeds, key)

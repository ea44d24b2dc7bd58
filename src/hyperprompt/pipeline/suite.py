"""A benchmark suite: tasks, methods, seeds and the protocol, read from YAML and checked before anything runs.

tasks: [CartPole-v1, {env: procgen/bigfish, options: {mode: hard}, steps: 200000, seeds: 3}]
methods:
  static: {controller: static}
  cosine: {controller: "anneal:cosine", preset: published, set: {agent.n_epochs: 4}}
  tpe:    {tuner: tpe, trials: 8, tasks: [CartPole-v1]}
seeds: 5                      # of tasks without their own; a count or a list, like the two below; the three must not overlap
tuning_seeds: 1               # searches of a tuner; test seed i takes what search i mod n found
target: {share: 0.9, seeds: 3}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from hyperprompt.config import assign, read_yaml, validated
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.evaluation.benchmark import ZERO_LINE
from hyperprompt.pipeline.entries import KINDS, RESERVED, ControllerMethod, Count, Method, Seeds, Target, TaskEntry, listed

Account = Literal["total", "single"]
FIRST_SEED = {"seeds": 0, "tuning_seeds": 7001, "target.seeds": 8001}
"""Where a count begins; far enough apart that no two counts allowed here meet."""
MOST_SEEDS = 1000


class Suite(BaseModel):
    """The whole protocol. Lists of seeds are filled in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[^/\\]+$")
    """What the tables call it, and where it goes unless `out` says: runs/benchmark-NAME."""
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
    meta_training_steps: dict[str, Annotated[Count, Field(gt=0)]] = {}
    """Environment steps that a method's training took once, before the suite."""
    resamples: Count = Field(default=2000, ge=100, le=100_000)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    jobs: Count = Field(default=1, ge=1, le=4096)
    time_limit: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Wall seconds for a run of T steps, then it is ended and counts as failed; a population has them for each member."""
    looks: Path | None = None
    """Where evaluations on sealed test tasks are counted, for suites with such tasks: see `collect.split.look`."""
    out: Path | None = None
    _text: str = PrivateAttr("")

    @property
    def text(self) -> str:
        """The file as it was read."""
        return self._text

    @field_validator("accounts")
    @classmethod
    def _some(cls, accounts: tuple[Account, ...]) -> tuple[Account, ...]:
        if not accounts:
            raise ValueError("name at least one account: total, single")
        if len({*accounts}) < len(accounts):
            raise ValueError("named twice")
        return accounts

    @property
    def searches(self) -> tuple[int, ...]:
        """The tuning seeds."""
        return listed(self.tuning_seeds)

    @property
    def references(self) -> tuple[int, ...]:
        """The seeds of the runs that R* is taken from."""
        return listed(self.target.seeds)

    @property
    def tests(self) -> dict[str, tuple[int, ...]]:
        """The test seeds as a reader has to be told: of all tasks at once, or task by task where they differ."""
        seeds = {f"test, {task.label}": task.tests for task in self.tasks}
        fewer = {f"{name}, of these the first": (m.seeds,) for name, m in self.methods.items() if m.seeds is not None}
        return (seeds if len(set(seeds.values())) > 1 else {"test": self.tasks[0].tests}) | fewer

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / f"benchmark-{self.name}"


def load(path: Path) -> Suite:
    """The suite in a YAML file. `pipeline.methods.check` goes on where this ends.

    Raises:
        InvalidValue, UnknownName: one line naming the key, what is wrong with it, and the valid choices.
    """
    values = {"name": path.stem, **read_yaml(path)}
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
    shared = _seeds("seeds", suite.seeds)
    tasks = tuple(_seeded(task, i, shared) for i, task in enumerate(suite.tasks))
    tuning = _seeds("tuning_seeds", suite.tuning_seeds)
    suite = suite.model_copy(update={"tasks": tasks, "seeds": shared, "tuning_seeds": tuning})
    suite._text = path.read_text()
    _check_names(suite)
    _check_methods(suite)
    _check_seeds(suite)
    return suite


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
    if isinstance(value, Mapping) and (value or _holds_keys(values, key)):
        for below, item in value.items():
            merge(values, f"{key}.{below}", item)
    else:
        assign(values, key, value)


def _holds_keys(values: Any, key: str) -> bool:
    for part in key.strip().split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return isinstance(values, Mapping)


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
    if not kinds:
        for key in values:
            if get_close_matches(key, KINDS):
                raise UnknownName(f"key in {where}", key, KINDS)
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise InvalidValue(f"{where}: a method has exactly one of the keys {', '.join(KINDS)}, not {found}: {sorted(values)}")
    method = validated(KINDS[kinds[0]], values, where)
    check_set(method.set, f"{where}.set", (*RESERVED, "steps", "preset"))
    return method


def check_set(values: Mapping[str, Any], where: str, refused: Sequence[str]) -> None:
    """Raises InvalidValue or UnknownName for a key that is no run's, or one that is decided elsewhere."""
    from hyperprompt.config import RunConfig

    for key in values:
        first = key.split(".")[0]
        if first in refused:
            raise InvalidValue(f"{where}: {first} is not set here: other keys of the file decide it")
        if first not in RunConfig.model_fields:
            raise UnknownName(f"key in {where}", first, (k for k in RunConfig.model_fields if k not in refused))


def _seeded(task: TaskEntry, index: int, shared: Seeds) -> TaskEntry:
    own = shared if task.seeds is None else _seeds(f"tasks.{index}.seeds", task.seeds)
    return task.model_copy(update={"seeds": own})


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


def _check_methods(suite: Suite) -> None:
    labels = [task.label for task in suite.tasks]
    for name, method in suite.methods.items():
        for task in method.tasks or ():
            if task not in labels:
                raise UnknownName(f"task in methods.{name}.tasks", task, labels)
        if method.tasks == ():
            raise InvalidValue(f"methods.{name}.tasks is empty: name at least one, or leave it out for all")
        tests = max(len(task.tests) for task in suite.tasks if method.runs_on(task))
        if method.seeds is not None and method.seeds > tests:
            raise InvalidValue(f"methods.{name}.seeds: {method.seeds} of at most {tests} test seeds of a task")
    if (zero := ZERO_LINE.format(baseline=suite.baseline)) in suite.methods:
        raise InvalidValue(f"methods.{zero}: the tables call the baseline's runs on the target's seeds so")
    baseline = suite.methods[suite.baseline]
    if not (isinstance(baseline, ControllerMethod) and baseline.controller == "static"):
        raise InvalidValue(f"baseline: {suite.baseline!r} is not a method with 'controller: static', which R* is taken from")
    for key, own in (("tasks", baseline.tasks), ("seeds", baseline.seeds)):
        if own is not None:
            raise InvalidValue(f"methods.{suite.baseline}.{key}: the baseline runs on all, the others are compared to it")


def _check_seeds(suite: Suite) -> None:
    from hyperprompt.pipeline.constants import SEEDS as SCALE_SEEDS

    tests = [("seeds" if task.seeds == suite.seeds else f"tasks.{i}.seeds", task.tests) for i, task in enumerate(suite.tasks)]
    held: dict[int, str] = dict.fromkeys(SCALE_SEEDS, "the fixed task scale")
    for key, seeds in (("target.seeds", suite.references), ("tuning_seeds", suite.searches), *tests):
        if overlap := sorted(seed for seed in seeds if seed in held):
            raise InvalidValue(f"{key}: {overlap[0]} also serves {held[overlap[0]]}; seeds of different purposes are disjoint")
        if key in ("target.seeds", "tuning_seeds"):  # two tasks may have the same test seeds
            held |= dict.fromkeys(seeds, key)

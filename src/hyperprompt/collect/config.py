"""A collection: which tasks, and how much of what from each, read from YAML and checked before anything runs.

rounds: 2                  # keys of a recipe at the top are everybody's defaults
families:
  procgen: {horizon_updates: 8, set: {bounds.n_epochs: [1, 6]}}
tasks:
  - gymnax/cartpole        # compiled; every other name trains for real
  - {env: procgen/bigfish, rounds: 4}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hyperprompt.collect import sources, split
from hyperprompt.collect.scales import scale_of
from hyperprompt.collect.sources import COMPILED
from hyperprompt.config import RunConfig, read_yaml, validated
from hyperprompt.controllers import registry
from hyperprompt.envs import make as envs
from hyperprompt.envs.scale import TaskScale
from hyperprompt.errors import HyperPromptError, InvalidValue, UnknownName
from hyperprompt.pipeline import tuning
from hyperprompt.pipeline.entries import RESERVED
from hyperprompt.pipeline.resolve import resolve
from hyperprompt.pipeline.suite import check_set, merge
from hyperprompt.search import registry as tuners

OWN = ("tasks", "families", "validation")
OF_ONE_TASK = ("env", "scale")
LIVE_ONLY = ("options", "every", "checkpoints", "scale")
"""Keys without a meaning for compiled tasks."""
ROLLOUT, TUNE = "agent.n_steps", "tune"
"""The keys of `set` that compiled tasks have: how large an update of PPO is, and the hyperparameters under control."""
HORIZONS = {"ppo": "horizon_updates", "sac": "horizon_steps"}


class Recipe(BaseModel):
    """What is collected from one task. A task's own entry wins over its family's, that over the top of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str
    mode: Literal["branch", "roll", "bayes"] = "branch"
    """branch: joint steps tried at checkpoints; roll: whole runs under `controller`, disturbed; bayes: runs of a tuner,
    labelled with the values it found best."""
    controller: str = "static"
    """Steers the runs of mode roll. Of compiled branches: the runs that are branched, perturbed, and every branch after the
    step that is tried."""
    rounds: int = Field(default=1, ge=1, le=1000)
    """A compiled round is eight runs with a checkpoint each, another one run with `checkpoints`, or one search."""
    steps: int | None = Field(default=None, gt=0)
    """T of the runs; by default the task's."""
    actions: int = Field(default=12, ge=3, le=1000)
    """K, joint steps tried at a checkpoint."""
    seeds: int = Field(default=2, ge=1, le=1000)
    """S, the seeds that all of them share."""
    horizon_updates: int = Field(default=16, ge=0)
    """h of on-policy algorithms; never more than a third of T. 0, on compiled tasks: the rest of the run, since short horizons
    favour what pays at once, as a lower learning rate does (Wu et al. 2018, arXiv:1803.02021)."""
    horizon_steps: int = Field(default=4000, ge=1)
    """The same for off-policy ones, in environment steps."""
    episodes: int = Field(default=16, ge=0, le=4096)
    """Evaluation episodes at a branch's end; 0: the mean return over the horizon stands for them."""
    behaviour: Literal["wide", "near"] = "wide"
    """How the runs that are branched are steered: `wide` from random settings, perturbed at every second decision, so that bad
    states occur; `near` from the defaults, at every fourth, so that most are such as a controller meets."""
    checkpoints: int = Field(default=4, ge=1, le=1000)
    """Of a run: one before any training, the others spread over it, closer together where it begins."""
    every: int | None = Field(default=None, gt=0)
    options: dict[str, Any] = {}
    """Of the environment."""
    set: dict[str, Any] = {}
    """Keys of the run's configuration, dotted ones allowed; of compiled tasks only `agent.n_steps` and `tune`."""
    scale: tuple[float, float] | None = None
    """Returns of random actions and of static defaults at T, where none have been measured."""
    tuner: str = "tpe"
    trials: int = Field(default=8, ge=2, le=1000)
    """Runs of a search, the first with the defaults."""

    @field_validator("scale")
    @classmethod
    def _upward(cls, scale: tuple[float, float] | None) -> tuple[float, float] | None:
        if scale is not None and not scale[0] < scale[1]:
            raise ValueError(f"random actions at {scale[0]:g} are not below static defaults at {scale[1]:g}")
        return scale

    @property
    def compiled(self) -> bool:
        return sources.is_compiled(self.env)

    @property
    def family(self) -> str:
        return self.env.partition("/")[0] if self.compiled else envs.family(self.env)

    def rollout(self) -> dict[str, int]:
        """The size of a compiled task's updates, as `steer.collector` takes it, where it is not the default."""
        return {"n_steps": self.set[ROLLOUT]} if ROLLOUT in self.set else {}

    @property
    def tune(self) -> tuple[str, ...]:
        """The hyperparameters under control; empty: the algorithm's tuned set."""
        return tuple(self.set.get(TUNE, ()))

    def task_scale(self) -> TaskScale:
        """The fixed scale that scores are measured in."""
        return TaskScale(*self.scale) if self.scale else scale_of(self.env)

    def run_config(self, seed: int) -> RunConfig:
        """The resolved configuration of a live run under `seed`.

        Raises:
            HyperPromptError: anything in it that cannot work.
        """
        values: dict[str, Any] = {"env": self.env, "env_options": self.options, "steps": self.steps, "every": self.every}
        for key, value in self.set.items():
            merge(values, key, value)
        return resolve(validated(RunConfig, {**values, "controller": "static", "seed": seed, "checkpoints": False}))


SHARED = tuple(key for key in Recipe.model_fields if key not in OF_ONE_TASK)


class Collection(BaseModel):
    """Everything that decides a dataset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: tuple[Recipe, ...]
    validation: bool = False
    """Whether validation tasks may be collected from: for offline scores, never to train on."""


def load(path: Path) -> Collection:
    """The collection in a YAML file, with every recipe filled in and checked.

    Raises:
        HyperPromptError: one line naming the key, what is wrong with it, and the valid choices.
    """
    values = read_yaml(path)
    shared = {key: value for key, value in values.items() if key not in OWN}
    for key in shared:
        if key not in SHARED:
            raise UnknownName(f"key in {path}", key, (*OWN, *SHARED))
    _layer(shared, "")
    families = values.get("families") or {}
    if not isinstance(families, dict):
        raise InvalidValue(f"families: expected families and their keys, not {families!r}")
    for name, layer in families.items():
        if name not in (*COMPILED, *envs.FAMILIES):
            raise UnknownName("family in families", str(name), (*COMPILED, *envs.FAMILIES))
        _layer(layer, f"families.{name}")
        if own := [key for key in OF_ONE_TASK if key in layer]:
            raise InvalidValue(f"families.{name}.{own[0]}: belongs into the entry of one task")
    tasks = values.get("tasks")
    if not isinstance(tasks, list) or not tasks:
        raise InvalidValue(f"{path}: tasks: expected a list of names or entries, at least one")
    recipes = tuple(_recipe(entry, f"tasks.{i}", shared, families) for i, entry in enumerate(tasks))
    collection = validated(Collection, {"tasks": recipes, "validation": values.get("validation", False)})
    names = [recipe.env for recipe in recipes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidValue(f"tasks: {twice[0]} stands there twice; `rounds` says how much is collected from it")
    for recipe in recipes:
        try:
            _check(recipe, collection)
        except HyperPromptError as error:
            raise InvalidValue(f"{recipe.env}: {error}") from error
    return collection


def _layer(values: object, where: str) -> None:
    """Checks keys and values of a part of a recipe where they stand, so that a message can name the place."""
    if not isinstance(values, dict):
        raise InvalidValue(f"{where}: expected keys and values, not {values!r}")
    validated(Recipe, {"env": "", **{str(key): value for key, value in values.items()}}, where)


def _recipe(entry: object, where: str, shared: Mapping[str, Any], families: Mapping[str, Mapping[str, Any]]) -> Recipe:
    own = {"env": entry} if isinstance(entry, str) else entry
    if not isinstance(own, dict) or not isinstance(own.get("env"), str):
        raise InvalidValue(f"{where}: expected the name of a task, or keys with env among them, not {entry!r}")
    _layer(own, where)
    family = validated(Recipe, own, where).family
    layers = (shared, families.get(family, {}), own)
    merged = {key: value for layer in layers for key, value in layer.items()}
    merged["set"] = {key: value for layer in layers for key, value in layer.get("set", {}).items()}
    return validated(Recipe, merged, where)


def _check(recipe: Recipe, collection: Collection) -> None:
    split.check(recipe.env, recipe.options, collection.validation)
    recipe.task_scale()
    registry.create(recipe.controller)
    if not recipe.compiled:
        check_set(recipe.set, "set", (*RESERVED, "steps", "every"))
        config = recipe.run_config(seed=0)
        if recipe.mode == "branch" and (recipe.controller != "static" or not recipe.horizon_updates):
            raise InvalidValue("controller, horizon_updates: only compiled branches go on under a controller, or to the end")
        if recipe.mode == "bayes":
            tuners.create(recipe.tuner, tuning.search_problem(config, recipe.trials, 0))
        return
    if recipe.mode == "bayes":
        raise InvalidValue("mode: compiled tasks know branch and roll, not bayes")
    algorithm = sources.find(sources.short(recipe.env)).algorithm
    own = HORIZONS[algorithm]
    for key in (*LIVE_ONLY, *(key for key in HORIZONS.values() if key != own)):
        if getattr(recipe, key) != Recipe.model_fields[key].default:
            raise InvalidValue(f"{key}: means nothing for this compiled task; under families it can be set for others")
    for key, value in recipe.set.items():
        if key == TUNE:
            _check_tune(value, algorithm)
        elif key != ROLLOUT or algorithm != "ppo":
            raise InvalidValue(f"set: {key} means nothing for this compiled task, only {TUNE} does, and of PPO's {ROLLOUT}")
        elif not isinstance(value, int) or value < 4 or value % 4:
            raise InvalidValue(f"set: {key}={value!r}: expected a multiple of 4, so that minibatches of 64 divide a rollout")
    if recipe.episodes < 1:
        raise InvalidValue("episodes: a compiled task needs at least one")


def _check_tune(names: object, algorithm: str) -> None:
    """Of a compiled task, whose learner has not every hyperparameter of the algorithm."""
    if not isinstance(names, list) or not names or len(set(map(str, names))) < len(names):
        raise InvalidValue(f"set: {TUNE}={names!r}: expected a list of hyperparameters, each of them once")
    for name in names:
        if name not in sources.TUNABLE[algorithm]:
            raise UnknownName(f"hyperparameter in set: {TUNE}", str(name), sources.TUNABLE[algorithm])

"""The configuration of one run, checked before anything starts. Unknown keys are errors with a 'did you mean'."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hyperprompt.agents.presets import Normalize
from hyperprompt.errors import InvalidValue

Algorithm = Literal["ppo", "a2c", "sac", "td3", "dqn", "sbx-ppo", "sbx-sac"]
M = TypeVar("M", bound=BaseModel)


class RunConfig(BaseModel):
    """Everything that decides a run. `agent` holds constructor arguments of the algorithm, `llm` those of the language model.

    What is None here has a default of the task's or of the preset's; `hyperprompt.pipeline.resolve` fills it in.

    Raises:
        InvalidValue: through `parse`, with the key and the valid choices.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    env: str
    env_options: dict[str, Any] = {}
    algo: Algorithm | None = None
    preset: str | None = None
    controller: str = "hyperprompt"
    steps: int | None = Field(default=None, gt=0)
    every: int | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0, lt=2**31)
    n_envs: int | None = Field(default=None, gt=0, le=4096)
    tune: tuple[str, ...] | None = None
    bounds: dict[str, tuple[float, float]] = {}
    encoder: str | None = None
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Of the encoder's products; `auto` takes bfloat16 where the CPU has instructions for it."""
    normalize: Normalize | None = None
    agent: dict[str, Any] = {}
    llm: dict[str, Any] = {}
    checkpoints: bool = True
    evaluate: int = Field(default=64, ge=0, le=4096)
    """Evaluation episodes of each kind at the end, where the task has an unseen part (Procgen); 0 for none."""
    tensorboard: bool = False

    @field_validator("bounds")
    @classmethod
    def _ordered(cls, bounds: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in bounds.items():
            if not low < high:
                raise ValueError(f"{name}: lower bound {low:g} is not below upper bound {high:g}")
        return bounds

    @property
    def library(self) -> str:
        return "sbx" if (self.algo or "").startswith("sbx-") else "sb3"

    @property
    def algorithm(self) -> str:
        """The algorithm without its library: 'ppo' for 'sbx-ppo'."""
        return (self.algo or "").removeprefix("sbx-")


def parse(values: Mapping[str, Any], settings: Sequence[str] = ()) -> RunConfig:
    """A configuration from keys and values and from `key=value` settings, whose keys may be dotted (`agent.n_steps=256`).

    Raises:
        InvalidValue: one line naming the key, what is wrong with it, and the valid choices.
    """
    return validated(RunConfig, with_settings(values, settings))


def with_settings(values: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """A copy of keys and values in which `key=value` settings, whose keys may be dotted, have won.

    Raises:
        InvalidValue: a setting of another form.
    """
    merged: dict[str, Any] = dict(values)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InvalidValue(f"setting {setting!r} is not of the form key=value")
        try:
            value = yaml.load(text, _Loader)
        except yaml.YAMLError as error:
            raise InvalidValue(f"setting {key}: {text!r} is not valid YAML") from error
        assign(merged, key, value)
    return merged


def assign(values: dict[str, Any], key: str, value: Any) -> None:
    """Put `value` at a perhaps dotted key (`agent.n_steps`) of `values`, whose nested mappings are copied, not changed.

    Raises:
        InvalidValue: an empty part of the key, or a part that holds a value instead of keys.
    """
    path = key.strip().split(".")
    if not all(path):
        raise InvalidValue(f"setting {key!r} is not of the form key=value")
    for part in path[:-1]:
        below = values.get(part)
        if below is not None and not isinstance(below, dict):
            raise InvalidValue(f"setting {key}: {part!r} holds no keys")
        values[part] = dict(below or {})
        values = values[part]
    values[path[-1]] = value


def validated(model: type[M], values: Mapping[str, Any], where: str = "") -> M:
    """`values` as a `model`; `where` is the key they stand under, for the message.

    Raises:
        InvalidValue: one line naming the first wrong key, what is wrong with it, and the valid choices.
    """
    try:
        return model(**values)
    except ValidationError as error:
        raise InvalidValue(_explain(error, model, where)) from error


def _explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")  # a misspelt key also leaves one missing
    key = ".".join(str(part) for part in first["loc"])
    full = ".".join(part for part in (where, key) if part)
    if first["type"] == "extra_forbidden":
        known = list(_holder(model, first["loc"]).model_fields)
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        if not close and model is RunConfig:
            hint = f" A constructor argument of the algorithm is set as agent.{key}=..."
        return f"unknown key {full!r}.{hint} Valid: {', '.join(known)}."
    if first["type"] == "missing":
        if model is RunConfig:
            return f"{key} is missing: name a task, as in 'hyperprompt train ENV' ('hyperprompt envs' lists them)"
        return f"{full} is missing"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{full}: {message}" if full else message
    return f"{full}: {message}, not {first['input']!r}"


def _holder(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel]:
    """The model whose field the last part of `loc` would have been."""
    for part in loc[:-1]:
        annotation = model.model_fields[str(part)].annotation
        below = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = below[0] if below else model
    return model


class _Loader(yaml.SafeLoader):
    """YAML as it is meant: of two equal keys PyYAML keeps the last in silence, and 1e-3 it reads as a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"key {key.value!r} stands there twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return node


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), "-+0123456789")


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys of a YAML file.

    Raises:
        InvalidValue: it cannot be read, is not YAML, holds no keys or one twice; names the file and the place.
    """
    try:
        data = yaml.load(path.read_text(), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise InvalidValue(f"{path}{place}: not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(data, dict):
        raise InvalidValue(f"{path}: expected keys and values, not {type(data).__name__}")
    return {str(key): value for key, value in data.items()}

"""The configuration of one run, checked before anything starts. Unknown keys are errors with a 'did you mean'."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hyperprompt.agents.presets import Normalize
from hyperprompt.errors import InvalidValue

Algorithm = Literal["ppo", "a2c", "sac", "td3", "dqn", "sbx-ppo", "sbx-sac"]


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
    controller: str = "llm"
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
    merged: dict[str, Any] = dict(values)
    for setting in settings:
        _assign(merged, setting)
    try:
        return RunConfig(**merged)
    except ValidationError as error:
        raise InvalidValue(_explain(error)) from error


def _assign(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise InvalidValue(f"setting {setting!r} is not of the form key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidValue(f"setting {key}: {text!r} is not valid YAML") from error
    # YAML 1.1 reads 1e-3 as a string, which nobody means.
    value = _number(value)
    for part in path[:-1]:
        below = values.get(part)
        if below is not None and not isinstance(below, dict):
            raise InvalidValue(f"setting {key}: {part!r} holds no keys")
        values[part] = dict(below or {})
        values = values[part]
    values[path[-1]] = value


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = list(RunConfig.model_fields if len(first["loc"]) == 1 else Normalize.model_fields)
        close = difflib.get_close_matches(key, known, n=1)
        hint = (
            f" Did you mean {close[0]!r}?" if close else f" A constructor argument of the algorithm is set as agent.{key}=..."
        )
        return f"unknown key {key!r}.{hint} Valid: {', '.join(known)}."
    if first["type"] == "missing":
        return f"{key} is missing: name a task, as in 'hyperprompt train ENV' ('hyperprompt envs' lists them)"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}, not {first['input']!r}" if first["type"] != "value_error" else f"{key}: {message}"


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys of a YAML file.

    Raises:
        InvalidValue: it cannot be read, is not YAML, or holds no keys; names the file and the place.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise InvalidValue(f"{path}{place}: not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(data, dict):
        raise InvalidValue(f"{path}: expected keys and values, not {type(data).__name__}")
    return {str(key): value for key, value in data.items()}

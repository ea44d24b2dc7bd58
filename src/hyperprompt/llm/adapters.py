"""Adapters: what supervised meta-training leaves behind, a few megabytes on top of a base model.

    FOLDER/adapter_model.safetensors, adapter_config.json   low-rank weights, in peft's layout
    FOLDER/head.safetensors                                 w and b of a continuous head, in float32
    FOLDER/hyperprompt.json                                 the base model and how the model was taught to be asked

The low-rank product is added to the base weights on loading, so that a decision costs what it costs without. A model trained
whole has the same record beside its own weights.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from hyperprompt.core import Choice
from hyperprompt.durable import atomic_write, to_json
from hyperprompt.errors import InvalidValue, MissingDependency, ModelUnavailable
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT
from hyperprompt.prompt.config import PromptConfig

HeadName = Literal["digits", "continuous"]
"""What answers a slot: see `llm.heads`."""
FORMAT = 1
RECORD, WEIGHTS, HEAD = "hyperprompt.json", "adapter_model.safetensors", "head.safetensors"
PREFIX = "head."
"""Of the names of a continuous head's tensors."""


@dataclass(frozen=True)
class Adapter:
    """One adapter on disk, or a model trained whole."""

    folder: Path
    base: str
    """Name of the model that the weights are added to; "" where they are a whole model."""
    base_sha: str
    prompt: PromptConfig
    """What its transcripts held in training."""
    temperature: float
    """At which its distribution is to be read."""
    algorithms: tuple[str, ...]
    """Those whose runs it was trained on."""
    hyperparameters: tuple[str, ...]
    """Those whose steps it was taught."""
    head: HeadName = "digits"
    choice: Choice = "mean"
    """How its probabilities become steps, if its user does not say."""

    @property
    def whole(self) -> bool:
        return not self.base

    @property
    def weights(self) -> tuple[Path, ...]:
        """The files of its weights."""
        if self.whole:
            return tuple(sorted(self.folder.glob("*.safetensors")))
        files = (WEIGHTS, HEAD) if self.head == "continuous" else (WEIGHTS,)
        return tuple(self.folder / file for file in files)


def shipped() -> Path:
    """The folder of the adapter inside the package."""
    return Path(str(resources.files("hyperprompt.llm").joinpath("adapter")))


def find(name: str) -> Adapter | None:
    """The adapter in the folder `name`, or None where the folder is none, or a model that HyperPrompt did not train.

    Raises:
        ModelUnavailable: an adapter that is damaged or incomplete, or that HyperPrompt did not make; says what is wrong.
    """
    folder = Path(name).expanduser()
    if not name or not ((folder / "adapter_config.json").is_file() or (folder / RECORD).is_file()):
        return None
    _require(folder / RECORD)
    try:
        record = json.loads((folder / RECORD).read_text())
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']!r}, not {FORMAT}")
        base, base_sha, algorithms = str(record["base"]), str(record["base_sha"]), tuple(map(str, record["algorithms"]))
        prompt, temperature = PromptConfig.from_dict(record["prompt"]), float(record["temperature"])
        head, choice = _one_of(record, "head", "digits", HeadName), _one_of(record, "choice", "mean", Choice)
        default = [name for algorithm in algorithms for name in TUNED_BY_DEFAULT[algorithm]]  # of older records
        taught = tuple(map(str, record.get("hyperparameters", default)))
        adapter = Adapter(folder, base, base_sha, prompt, temperature, algorithms, taught, head, choice)
    except (ValueError, KeyError, TypeError, AttributeError, InvalidValue) as error:
        raise ModelUnavailable(f"{folder / RECORD} is damaged: {error!r}") from error
    for path in adapter.weights if adapter.whole else (folder / "adapter_config.json", *adapter.weights):
        _require(path)
    return adapter


def _one_of(record: Mapping[str, Any], key: str, default: str, known: Any) -> Any:
    """An entry that older records lack; `known` is the Literal of its values."""
    value = record.get(key, default)
    if value not in get_args(known):
        raise ValueError(f"{key} {value!r}, not one of {', '.join(get_args(known))}")
    return value


def _require(path: Path) -> None:
    if not path.is_file():
        raise ModelUnavailable(f"{path.parent} is not an adapter of 'hyperprompt sft': {path.name} is missing")


def record(adapter: Adapter, more: Mapping[str, Any]) -> None:
    """Write the record beside the weights that `sft` has saved; `more` is kept for the reader."""
    content = {
        "format": FORMAT,
        "base": adapter.base,
        "base_sha": adapter.base_sha,
        "prompt": adapter.prompt.to_dict(),
        "temperature": adapter.temperature,
        "algorithms": adapter.algorithms,
        "hyperparameters": adapter.hyperparameters,
        "head": adapter.head,
        "choice": adapter.choice,
        **more,
    }
    atomic_write(adapter.folder / RECORD, to_json(content, indent=1) + "\n")


def sha(adapter: Adapter) -> str:
    """SHA-256 of the base model's and the adapter's weights."""
    return hashlib.sha256(adapter.base_sha.encode() + b"".join(path.read_bytes() for path in adapter.weights)).hexdigest()


def merge(model: Any, adapter: Adapter) -> Any:
    """The base model with W + (alpha / r) B A in place of every adapted W.

    Raises:
        MissingDependency: peft is not installed.
        ModelUnavailable: weights that are damaged or of another model.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        raise MissingDependency("a fine-tuned model", "llm") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecations between the two libraries, which no user can act on
            merged = PeftModel.from_pretrained(model, str(adapter.folder)).merge_and_unload(safe_merge=True)
    except Exception as error:
        raise ModelUnavailable(f"{adapter.folder} cannot be applied to {adapter.base!r}: {error}") from error
    return merged.eval().requires_grad_(False)

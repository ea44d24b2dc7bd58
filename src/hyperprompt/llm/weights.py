"""Where the weights of a language model come from: an installed wheel, the hub's cache, the hub, a local folder, an adapter.

Only safetensors are read: a pickle runs code when it is opened.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperprompt.errors import InvalidValue, ModelUnavailable
from hyperprompt.llm import adapters
from hyperprompt.llm.adapters import Adapter, HeadName
from hyperprompt.llm.conversion import converted, quiet
from hyperprompt.llm.names import DEFAULT, MODELS, adapter_of, check, check_folder, random_of
from hyperprompt.llm.wheels import WHEELS

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model in evaluation mode with its tokenizer, and what tells it from every other one."""

    model: Any
    tokenizer: Tokenizer
    name: str
    sha: str
    """SHA-256 of the wheel's file or of the folder's weights, or the hub's commit."""
    folder: Path
    prefix: tuple[int, ...] = ()
    """Token ids in front of every text (a begin-of-sequence token), where the tokenizer adds one."""
    readout: torch.nn.Linear | None = None
    """w and b of a continuous head; without it the output embedding answers, in digits."""

    @property
    def head(self) -> HeadName:
        return "digits" if self.readout is None else "continuous"

    @property
    def context(self) -> int:
        """The most tokens the model can read."""
        return int(getattr(self.model.config, "max_position_embeddings", 0) or 2048)

    @property
    def width(self) -> int:
        """D of the hidden states that a head reads."""
        return int(self.model.get_output_embeddings().weight.shape[1])

    @property
    def device(self) -> torch.device:
        where: torch.device = next(iter(self.model.parameters())).device
        return where


def load(name: str = DEFAULT, *, device: str | None = None, dtype: str | None = None) -> LanguageModel:
    """The model called `name`: bf16 on an accelerator and on processors that multiply in it, else float32.

    In bf16 a probability depends on how a transcript was read (row by row, at once, in a batch) by up to 0.04; in float32
    by less than 1e-4, at one and a half to two times the seconds on a CPU.

    Raises:
        InvalidValue: a dtype other than "bfloat16" and "float32".
        UnknownName, MissingDependency: see `check`.
        ModelUnavailable: the weights are neither here nor at the hub, or are damaged; the message says what to do.
    """
    if dtype not in (None, "bfloat16", "float32"):
        raise InvalidValue(f"dtype must be 'bfloat16' or 'float32', not {dtype!r}")
    check(name)
    if random := random_of(name):
        base, seed = random
        return _scrambled(load(base, device=device, dtype=dtype), seed, name)
    if name in WHEELS:
        return _read(converted(name), name, WHEELS[name].sha256, device, dtype)
    adapter = adapter_of(name)
    if adapter is not None and not adapter.whole:
        return _adapted(adapter, load(adapter.base, device=device, dtype=dtype), name)
    folder = Path(name).expanduser()
    if name not in MODELS and folder.is_dir():
        return _read(folder, name, _folder_sha(folder), device, dtype)
    from hyperprompt.llm import hub

    folder = hub.snapshot(name)
    check_folder(folder)
    return _read(folder, name, folder.name, device, dtype)  # a snapshot's folder is called by its commit


def _scrambled(language_model: LanguageModel, seed: int, name: str) -> LanguageModel:
    import torch

    model = language_model.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(model)(model.config).to(model.dtype).to(language_model.device).eval().requires_grad_(False)
    return replace(language_model, model=fresh, name=name, sha=f"random-{seed}-{language_model.sha}")


def _adapted(adapter: Adapter, base: LanguageModel, name: str) -> LanguageModel:
    if base.sha != adapter.base_sha:
        raise ModelUnavailable(
            f"{name!r} was made for another version of {adapter.base!r}: {adapter.base_sha}, not {base.sha}"
        )
    from hyperprompt.llm.heads import readout

    with quiet():
        model = adapters.merge(base.model, adapter)
    head = readout(adapter, base.width, base.device)
    return replace(base, model=model, name=name, sha=adapters.sha(adapter), readout=head)


def _folder_sha(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def best_dtype(device: str) -> torch.dtype:
    """bf16 where matrix products run in it, else float32 (bf16 is emulated, and slower, elsewhere)."""
    import torch

    if device.startswith("cuda"):
        return torch.bfloat16
    from hyperprompt.agents.encoders.precision import native

    return torch.bfloat16 if native() else torch.float32


def _read(folder: Path, name: str, sha: str, device: str | None, dtype: str | None) -> LanguageModel:
    import torch

    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    number = best_dtype(where) if dtype is None else getattr(torch, dtype)
    try:
        with quiet():
            # use_safetensors: never fall back to a pickle.
            model = _model_class(folder).from_pretrained(
                str(folder), dtype=number, local_files_only=True, use_safetensors=True
            )
            tokenizer = _tokenizer(folder)
            if where == "cpu" and number == torch.bfloat16 and model.config.model_type == "llama":
                from hyperprompt.llm import attention

                model.set_attn_implementation(attention.register())
    except Exception as error:
        raise ModelUnavailable(f"{folder} holds no readable model: {type(error).__name__}: {error}") from error
    begin = getattr(model.config, "bos_token_id", None)
    ids = tokenizer.encode("").ids
    prefix = (int(ids[0]),) if ids and ids[0] == begin else ()
    return LanguageModel(model.eval().requires_grad_(False).to(where), tokenizer, name, sha, folder, prefix)


def _model_class(folder: Path) -> Any:
    """The exact class where the folder names it: the automatic one imports the configurations of every architecture."""
    from importlib import import_module

    config = json.loads((folder / "config.json").read_text())
    kind, names = config.get("model_type", ""), config.get("architectures") or [""]
    try:
        return getattr(import_module(f"transformers.models.{kind}.modeling_{kind}"), names[0])
    except (ImportError, AttributeError):
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM


def _tokenizer(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    if (folder / "tokenizer.json").is_file():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    from transformers import AutoTokenizer

    tokenizer: Tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True).backend_tokenizer
    return tokenizer

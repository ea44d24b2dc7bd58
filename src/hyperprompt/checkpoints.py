"""Checkpoints of a run: `<step, 12 digits>/agent.pt` and `state.json`, whole or absent.

A checkpoint is written into `<step>.tmp`, fsynced and renamed. `agent.pt` is read with `weights_only=True`: loading one never
runs pickled code, so numpy arrays travel as tensors with a mark.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperprompt import durable
from hyperprompt.errors import InvalidValue, RunFolderError

KEPT = 2
_ARRAY = "__numpy__"
_NAME = re.compile(r"\d{12}")


@dataclass(frozen=True)
class Checkpoint:
    """One whole checkpoint on disk."""

    path: Path
    step: int
    state: dict[str, Any]

    def load_agent(self) -> dict[str, Any]:
        """The tree given to `save`, tensors on the CPU.

        Raises:
            RunFolderError: the file is damaged, or holds more than plain values, arrays and tensors.
        """
        import torch

        path = self.path / "agent.pt"
        try:
            return dict(_decode(torch.load(path, map_location="cpu", weights_only=True)))
        except Exception as error:  # torch raises half a dozen kinds for a damaged archive
            raise RunFolderError(f"{path} cannot be read: {error}") from error


def _encode(value: Any, where: str) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        value = value.detach()
        # torch.save writes the whole storage behind a view.
        whole = value.untyped_storage().nbytes() == value.numel() * value.element_size()
        return value if whole else value.clone()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        try:
            return {_ARRAY: torch.tensor(value)}
        except TypeError:
            raise InvalidValue(f"{where}: an array of {value.dtype} cannot be stored") from None
    if isinstance(value, Mapping):
        if any(not isinstance(key, str | int) or key == _ARRAY for key in value):
            raise InvalidValue(f"{where}: keys must be text or integers, and not {_ARRAY!r}")
        return {key: _encode(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = (_encode(item, f"{where}[{i}]") for i, item in enumerate(value))
        return tuple(items) if isinstance(value, tuple) else list(items)
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    raise InvalidValue(f"{where}: a {type(value).__name__} cannot be stored")


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        return value[_ARRAY].numpy() if _ARRAY in value else {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return tuple(_decode(item) for item in value) if type(value) is tuple else value


def _steps(root: Path) -> list[Path]:
    """Whole checkpoints, newest first."""
    if not root.is_dir():
        return []
    found = [entry for entry in root.iterdir() if _NAME.fullmatch(entry.name)]
    return sorted((c for c in found if (c / "agent.pt").is_file() and (c / "state.json").is_file()), reverse=True)


def clean(root: Path) -> None:
    """Remove torn checkpoints and all but the newest; put back one whose replacement was interrupted. Nothing else under
    `root` is touched."""
    if not root.is_dir():
        return
    for aside in root.glob("*.old"):
        if not (root / aside.stem).exists():
            aside.rename(root / aside.stem)
    whole = _steps(root)[:KEPT]
    for entry in root.iterdir():
        ours = _NAME.fullmatch(entry.name) or (entry.suffix in (".tmp", ".old") and _NAME.fullmatch(entry.stem))
        if ours and entry not in whole:
            shutil.rmtree(entry, ignore_errors=True)


def save(root: Path, step: int, agent: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """See `RunFolder.save_checkpoint`."""
    import torch

    tree, text = _encode(agent, "agent"), durable.to_json(state, indent=2)
    name = f"{step:012d}"
    beside, final, aside = root / f"{name}.tmp", root / name, root / f"{name}.old"
    try:
        root.mkdir(exist_ok=True)
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        torch.save(tree, beside / "agent.pt")
        durable.fsync_file(beside / "agent.pt")
        durable.atomic_write(beside / "state.json", text)
        if final.exists():
            final.rename(aside)
        beside.rename(final)
        durable.fsync_folder(root)
        clean(root)
    except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as a RuntimeError
        shutil.rmtree(beside, ignore_errors=True)
        raise RunFolderError(f"cannot write the checkpoint {final}: {error}") from error


def latest(root: Path) -> Checkpoint | None:
    """See `RunFolder.latest_checkpoint`.

    Raises:
        RunFolderError: its state.json is damaged.
    """
    path = next(iter(_steps(root)), None)
    if path is None:
        return None
    try:
        return Checkpoint(path, int(path.name), dict(durable.from_json((path / "state.json").read_text())))
    except (OSError, ValueError, TypeError) as error:
        raise RunFolderError(f"{path / 'state.json'} cannot be read: {error}") from error

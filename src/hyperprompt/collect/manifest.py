"""The manifest of a dataset: which files belong to it, and their checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hyperprompt.durable import atomic_write, from_json, to_json
from hyperprompt.errors import DatasetError

VERSION = 1
"""Of the dataset's schema; raised by every change that makes old readers misread."""
MANIFEST = "manifest.json"


def listing(folder: Path) -> dict[str, Any]:
    """Name -> sha256, checkpoints and decisions of every part that the manifest lists; {} where there is no manifest yet.

    Raises:
        DatasetError: the manifest cannot be read, or is of another version.
    """
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        manifest = from_json(path.read_text())
        check_version(path, manifest["schema"])
        parts = dict(manifest["parts"])
        if not all(isinstance(entry["sha256"], str) for entry in parts.values()):
            raise ValueError("a checksum that is not text")
        return parts
    except DatasetError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is damaged: {error!r}") from error


def enter(path: Path, content: bytes, checkpoints: int, decisions: int) -> None:
    """List the file `path`, which holds `content`, in the manifest of its folder, in place of an older one of the name."""
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "checkpoints": checkpoints, "decisions": decisions}
    _write(path.parent, {**listing(path.parent), path.name: entry})


def forget(folder: Path, names: Collection[str]) -> None:
    """Take files off the list, so that they can be made again."""
    _write(folder, {name: entry for name, entry in listing(folder).items() if name not in names})


def _write(folder: Path, listed: Mapping[str, Any]) -> None:
    manifest = {"schema": VERSION, "parts": dict(sorted(listed.items()))}
    atomic_write(folder / MANIFEST, to_json(manifest, indent=1) + "\n")


def contents(folder: Path) -> dict[str, bytes]:
    """Name -> content of every listed file, in the order of the names.

    Raises:
        DatasetError: no manifest; or a file that is missing, not the one that was listed, or not listed, which it names.
    """
    if not (folder / MANIFEST).exists():
        raise DatasetError(f"{folder} is not a dataset: {folder / MANIFEST} is missing")
    listed = listing(folder)
    if unlisted := sorted(path for path in folder.glob("*.parquet") if path.name not in listed):
        raise DatasetError(
            f"{unlisted[0]} is not listed in {MANIFEST}: the collection that wrote it was interrupted, "
            "and the same command goes on with it"
        )
    found = {}
    for name, entry in sorted(listed.items()):
        path = folder / name
        try:
            found[name] = path.read_bytes()
        except OSError as error:
            raise DatasetError(f"{path} is listed in {MANIFEST} but cannot be read: {error.strerror or error}") from error
        if hashlib.sha256(found[name]).hexdigest() != entry["sha256"]:
            raise DatasetError(f"{path} is damaged: its checksum is not the one in {MANIFEST}")
    return found


def check_version(path: Path, version: Any) -> None:
    if version != VERSION:
        raise DatasetError(f"{path} has schema version {version!r}, and this HyperPrompt reads version {VERSION}")

"""Writing that survives a kill at any moment: whole files by rename, journals by fsynced lines, one writer per folder."""

from __future__ import annotations

import csv
import fcntl
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn, TypeVar
from weakref import WeakSet

import numpy as np

from hyperprompt.errors import InvalidValue, RunFolderError

T = TypeVar("T")


def cache_dir() -> Path:
    """Of what can be made again, at the price of seconds: `$HYPERPROMPT_CACHE`, else `hyperprompt` in the XDG cache folder."""
    own = os.environ.get("HYPERPROMPT_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hyperprompt"


def fsync_folder(folder: Path) -> None:
    """Make the folder's entries (creations, renames) durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make the bytes of a file that other code wrote durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: Path, data: str | bytes) -> None:
    """Replace `path` so that a reader, or a run after a crash, finds the old content or the new, never a mixture.

    Raises:
        RunFolderError: the file cannot be written; the old content stands.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        if beside.exists():
            beside.unlink()
        raise RunFolderError(f"cannot write {path}: {error.strerror or error}") from error


def clear_torn_writes(folder: Path) -> None:
    """Remove what `atomic_write` leaves in `folder` when it is killed."""
    for left in folder.glob(".*.tmp"):
        left.unlink()


def append_line(path: Path, line: str) -> None:
    """Append one line and fsync it. A line that could not be written whole (a full disk) is taken back.

    Raises:
        RunFolderError: the file cannot be written.
    """
    assert "\n" not in line, "a journal entry is one line"
    try:
        new = not path.exists()
        with path.open("ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                data = line.encode() + b"\n"
                if file.write(data) != len(data):
                    raise OSError("the disk took only a part of the line")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise
        if new:
            fsync_folder(path.parent)
    except OSError as error:
        raise RunFolderError(f"cannot append to {path}: {error.strerror or error}") from error


def read_lines(path: Path, parse: Callable[[str], T]) -> tuple[list[T], int]:
    """The parsed lines of a journal, and the number of bytes they fill.

    A last line without a newline, or one that `parse` refuses, is what a kill leaves behind: it is left out. Bytes beyond
    the returned number are that torn tail. A missing file is an empty one.

    Raises:
        RunFolderError: `parse` refuses another line; names file and line.
    """
    if not path.exists():
        return [], 0
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror or error}") from error
    parsed: list[T] = []
    size = 0
    for number, line in enumerate(lines, start=1):
        try:
            parsed.append(parse(line.decode()))
        except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
            if number == len(lines):
                break
            raise RunFolderError(f"{path}, line {number} is damaged: {error!r}") from error
        size += len(line) + 1
    return parsed, size


def cut(path: Path, size: int) -> None:
    """Cut a torn tail off: keep the first `size` bytes."""
    if path.exists() and path.stat().st_size > size:
        with path.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())


def plain(value: Any, where: str = "value") -> Any:
    """`value` as JSON-like data: tuples become lists, numpy numbers Python's, paths text. Non-finite floats are kept.

    Raises:
        InvalidValue: something that has no such form; names where it stands.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        # Subclasses (an Enum that is a str, say) would not be written by the YAML dumper.
        return next((kind(value) for kind in (bool, int, float, str) if isinstance(value, kind)), None)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise InvalidValue(f"{where}: a {type(value).__name__} cannot be stored")


def map_floats(value: Any, change: Callable[[float], Any]) -> Any:
    """JSON-like `value` with every float in it, however deep, changed; all else is as it was."""
    if isinstance(value, dict):
        return {key: map_floats(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [map_floats(item, change) for item in value]
    return change(value) if isinstance(value, float) else value


def to_json(value: Any, indent: int | None = None) -> str:
    """Standard JSON: NaN and infinities, which JSON lacks, become null.

    Raises:
        InvalidValue: see `plain`.
    """
    return json.dumps(map_floats(plain(value), lambda x: x if math.isfinite(x) else None), indent=indent, allow_nan=False)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def from_json(text: str) -> Any:
    """Standard JSON only: Python's reader would let NaN and Infinity pass.

    Raises:
        ValueError: malformed text.
    """
    return json.loads(text, parse_constant=_no_constant)


class FolderLock:
    """Exclusive advisory lock on `path`, held until `release` or the end of the process (also by kill -9).

    Raises:
        RunFolderError: somebody else holds it, or the file cannot be made.
    """

    _held: ClassVar[WeakSet[FolderLock]] = WeakSet()

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunFolderError(f"cannot write {path}: {error.strerror or error}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            raise RunFolderError(f"{path.parent} is being written by another process or an open RunFolder") from error
        FolderLock._held.add(self)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            self.release()


def _forget_in_child() -> None:
    """A forked worker shares the lock's descriptor and, outliving its parent, would keep the folder locked."""
    for lock in list(FolderLock._held):
        lock.release()


os.register_at_fork(after_in_child=_forget_in_child)

"""The replay buffer on disk, as a log: a checkpoint writes only the transitions that are new since the last one.
`filled` and `fill` copy it within memory.

Rows are numbered over the whole run; row n lies at position n mod capacity of the buffer. A chunk holds the rows
[first, last) and carries them in its name.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.her import HerReplayBuffer

from hyperprompt.durable import clear_torn_writes, fsync_file, fsync_folder
from hyperprompt.errors import InvalidValue, RunFolderError

_CHUNK = re.compile(r"rows-(\d{12})-(\d{12})\.npz")
Array = np.ndarray[Any, Any]


class ReplayLog:
    """Chunks of one run's replay buffer in `folder`, which is made if missing.

    Every `append` goes with a checkpoint that keeps the number it returned. The rows needed by the checkpoint before are
    kept until the next append, so that a crash between the two loses nothing; older checkpoints cannot be restored.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._end: int | None = None
        self._last_row = ""

    def append(self, buffer: ReplayBuffer) -> int:
        """Write the rows added since the last call; returns their running end, to be passed to `restore`.

        Raises:
            InvalidValue: a kind of buffer whose transitions are not all in its arrays.
            RunFolderError: the folder holds rows of another run; `restore` with upto=0 drops them.
        """
        arrays = _arrays(buffer)
        capacity = buffer.buffer_size
        if self._end is None:
            self._continue(arrays, capacity)
        begin = self._end or 0
        if begin == 0:
            end = buffer.pos + (capacity if buffer.full else 0)
        else:
            end = begin + (buffer.pos - begin) % capacity
            if self._fingerprint(arrays, begin, capacity) != self._last_row:
                end += capacity  # the last row known is overwritten: the buffer has gone round since
        first = max(begin, end - capacity)
        if end > first:
            at = np.arange(first, end) % capacity
            self._write(first, end, {name: array[at] for name, array in arrays.items()})
        self._adopt(arrays, end, capacity)
        for path, _, last in self._chunks():
            if last <= begin - capacity:
                path.unlink()
        return end

    def restore(self, buffer: ReplayBuffer, upto: int) -> None:
        """Make `buffer`, freshly constructed, what it was when `append` returned `upto`, and forget all later rows.

        Raises:
            InvalidValue: as `append`, or the stored rows have other shapes.
            RunFolderError: rows are missing or a chunk is damaged; the message names them.
        """
        arrays = _arrays(buffer)
        capacity = buffer.buffer_size
        clear_torn_writes(self._folder)
        row = begin = max(0, upto - capacity)
        for path, first, last in self._chunks():
            if first >= upto or last <= row:
                continue
            if first > row:
                break
            chunk = _read(path)
            _check(path, chunk, arrays)
            stop = min(last, upto)
            at = np.arange(row, stop) % capacity
            for name, array in arrays.items():
                array[at] = chunk[name][row - first : stop - first]
            if last > upto:
                self._write(first, upto, {name: chunk[name][: upto - first] for name in arrays})
            row = stop
        if row < upto:
            raise RunFolderError(f"{self._folder}: transitions {row} to {upto} of {begin} to {upto} are missing")
        for path, _, last in self._chunks():
            if last > upto:
                path.unlink()
        buffer.pos = upto % capacity
        buffer.full = upto >= capacity
        self._adopt(arrays, upto, capacity)

    def _chunks(self) -> list[tuple[Path, int, int]]:
        found = [(path, _CHUNK.fullmatch(path.name)) for path in self._folder.iterdir()]
        return sorted(((p, int(m[1]), int(m[2])) for p, m in found if m), key=lambda chunk: chunk[1:])

    def _continue(self, arrays: dict[str, Array], capacity: int) -> None:
        """Take up the log where the folder ends, if the buffer has been restored from it."""
        if not (chunks := self._chunks()):
            return
        path, _, last = chunks[-1]
        chunk = _read(path)
        _check(path, chunk, arrays)
        self._last_row = _digest(chunk[name][-1] for name in arrays)
        if self._last_row != self._fingerprint(arrays, last, capacity):
            raise RunFolderError(f"{self._folder} holds other transitions than the buffer: call restore first")
        self._end = last

    def _adopt(self, arrays: dict[str, Array], end: int, capacity: int) -> None:
        self._end = end
        self._last_row = self._fingerprint(arrays, end, capacity)

    @staticmethod
    def _fingerprint(arrays: dict[str, Array], end: int, capacity: int) -> str:
        """Of the row before `end`. It changes only when a whole capacity has been added since."""
        return _digest(array[(end - 1) % capacity] for array in arrays.values())

    def _write(self, first: int, last: int, rows: dict[str, Array]) -> None:
        path = self._folder / f"rows-{first:012d}-{last:012d}.npz"
        # Streamed, not through `atomic_write`: a chunk may be as large as the buffer.
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **rows)
        fsync_file(beside)
        beside.replace(path)
        fsync_folder(self._folder)


def filled(buffer: ReplayBuffer) -> dict[str, Any]:
    """A copy of the part of the buffer that is filled, for `fill`; it shares no memory with the buffer.

    Raises:
        InvalidValue: as `ReplayLog.append`.
    """
    rows = buffer.buffer_size if buffer.full else buffer.pos
    return {"end": buffer.pos, "full": buffer.full, "rows": {name: a[:rows].copy() for name, a in _arrays(buffer).items()}}


def fill(buffer: ReplayBuffer, saved: Mapping[str, Any]) -> None:
    """Make `buffer`, constructed the same way, what it was when `filled` was called. The copy stays usable.

    Raises:
        InvalidValue: a buffer of other transitions or another capacity.
    """
    arrays = _arrays(buffer)
    _check("the snapshot", saved["rows"], arrays)
    rows = len(saved["rows"]["rewards"])
    if rows > buffer.buffer_size or (saved["full"] and rows != buffer.buffer_size):
        raise InvalidValue(f"the snapshot holds {rows} rows, the agent's buffer has {buffer.buffer_size}")
    for name, array in arrays.items():
        array[:rows] = saved["rows"][name]
    buffer.pos, buffer.full = saved["end"], saved["full"]


def check_storable(buffer: ReplayBuffer) -> None:
    """Refuses a buffer that `ReplayLog` could not store.

    Raises:
        InvalidValue: with the reason and what to do.
    """
    _arrays(buffer)


def _arrays(buffer: ReplayBuffer) -> dict[str, Array]:
    """Every array of the buffer that a transition is stored in, by a flat name; axis 0 is the row."""
    if isinstance(buffer, HerReplayBuffer):
        raise InvalidValue("the bookkeeping of a HerReplayBuffer cannot be stored; use another one, or checkpoints=False")
    if buffer.optimize_memory_usage:
        raise InvalidValue(
            "a replay buffer with optimize_memory_usage=True cannot be stored; leave it out, or take checkpoints=False"
        )
    arrays: dict[str, Array] = {}
    for name in ("observations", "next_observations"):
        stored: Any = getattr(buffer, name)
        arrays |= {f"{name}.{key}": array for key, array in stored.items()} if isinstance(stored, dict) else {name: stored}
    return arrays | {name: getattr(buffer, name) for name in ("actions", "rewards", "dones", "timeouts")}


def _digest(rows: Iterable[Array]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(np.ascontiguousarray(row).tobytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # zipfile and numpy raise a dozen kinds for a damaged file
        raise RunFolderError(f"{path} cannot be read: {error}") from error


def _check(source: Path | str, chunk: dict[str, Array], arrays: dict[str, Array]) -> None:
    stored = {name: (rows.shape[1:], rows.dtype) for name, rows in chunk.items()}
    wanted = {name: (array.shape[1:], array.dtype) for name, array in arrays.items()}
    if stored != wanted:
        raise InvalidValue(f"{source} holds other transitions than the agent's buffer: {stored} against {wanted}")

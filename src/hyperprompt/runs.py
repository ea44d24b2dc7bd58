"""The run folder: everything one run leaves on disk, readable after a kill at any moment.

    config.yaml               the resolved configuration, and the versions of the packages that matter
    decisions.jsonl           one core.Decision a line, appended and fsynced
    progress.csv              one row an interval: step, wall_seconds, return_mean, episodes, signals, theta/<name>
    result.json               what the run came to; absent while it is unfinished
    checkpoints/<step>/       agent.pt (weights and plain values, no pickled code) and state.json; the two newest
    report.html               made by evaluation.report
    lock                      held by the one process that writes

Numbers that are not finite are written as null (JSON) or as an empty field (CSV) and read back as NaN.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from hyperprompt import checkpoints, durable, records
from hyperprompt.checkpoints import Checkpoint
from hyperprompt.core import Decision
from hyperprompt.durable import atomic_write, from_json, to_json
from hyperprompt.errors import InvalidValue, RunFolderError
from hyperprompt.records import versions

__all__ = ["Checkpoint", "RunFolder", "atomic_write", "versions"]


class RunFolder:
    """One run on disk. Made by `create` or `open`; a context manager, since it holds the folder's lock."""

    def __init__(self, path: Path, lock: durable.FolderLock | None) -> None:
        self.path = path
        self._lock = lock
        self._header: list[str] = []

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any]) -> RunFolder:
        """Make the folder and write `config.yaml`: the items of `config` and, added here, `versions`.

        Raises:
            RunFolderError: `path` already holds a run, or cannot be written; nothing has been changed then.
            InvalidValue: `config` holds something that is not plain data, or a key `versions`.
        """
        path = Path(path)
        if "versions" in config:
            raise InvalidValue("config: the key 'versions' is written by RunFolder")
        text = yaml.safe_dump(durable.plain({**config, "versions": versions()}, "config"), sort_keys=False)
        _refuse_existing(path)
        existed = path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"cannot make the run folder {path}: {error.strerror or error}") from error
        try:
            folder = cls(path, durable.FolderLock(path / "lock"))
            _refuse_existing(path)
            atomic_write(path / "config.yaml", text)
        except RunFolderError:
            if not existed and {entry.name for entry in path.iterdir()} <= {"lock"}:
                shutil.rmtree(path, ignore_errors=True)
            raise
        durable.fsync_folder(path.parent)
        return folder

    @classmethod
    def open(cls, path: str | Path, *, readonly: bool = False) -> RunFolder:
        """Open a run: lock it, cut torn tails off its journals, clear what a torn checkpoint write left.

        With `readonly` nothing is locked or changed, so a run that is going on can be looked at; torn tails are skipped.

        Raises:
            RunFolderError: not a run folder (names the missing file), locked by another writer, or damaged elsewhere than
                at a journal's tail (names file and line).
        """
        path = Path(path)
        if not path.is_dir():
            raise RunFolderError(f"there is no run folder at {path}")
        if not (path / "config.yaml").is_file():
            raise RunFolderError(f"{path} is not a run folder: {path / 'config.yaml'} is missing")
        folder = cls(path, None if readonly else durable.FolderLock(path / "lock"))
        try:
            if not readonly:
                for file, parse in ((folder._decisions, records.read_decision), (folder._progress, records.RowParser())):
                    durable.cut(file, durable.read_lines(file, parse)[1])
                durable.clear_torn_writes(path)
                checkpoints.clean(path / "checkpoints")
            folder._header = folder._rows()[0]
            _ = folder.config
        except RunFolderError:
            folder.close()
            raise
        return folder

    def close(self) -> None:
        """Give the lock back; the folder can still be read through this object."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def _decisions(self) -> Path:
        return self.path / "decisions.jsonl"

    @property
    def _progress(self) -> Path:
        return self.path / "progress.csv"

    def _writable(self) -> None:
        if self._lock is None:
            raise RunFolderError(f"{self.path} is open for reading only")

    def _yaml(self) -> dict[str, Any]:
        try:
            data = yaml.safe_load((self.path / "config.yaml").read_text())
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise RunFolderError(f"{self.path / 'config.yaml'} cannot be read: {error}") from error
        if not isinstance(data, dict):
            raise RunFolderError(f"{self.path / 'config.yaml'} holds no configuration")
        return data

    @property
    def config(self) -> dict[str, Any]:
        """The configuration given to `create`, as plain data."""
        return {key: value for key, value in self._yaml().items() if key != "versions"}

    def extend(self, steps: int) -> None:
        """A finished run goes on to `steps` environment steps: its result no longer holds."""
        self._writable()
        (self.path / "result.json").unlink(missing_ok=True)
        atomic_write(self.path / "config.yaml", yaml.safe_dump({**self._yaml(), "steps": steps}, sort_keys=False))

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages that the run began with."""
        return dict(self._yaml().get("versions") or {})

    def append_decision(self, decision: Decision) -> None:
        """Add a line to the journal; it is on disk when this returns."""
        self._writable()
        durable.append_line(self._decisions, to_json(asdict(decision)))

    def decisions(self) -> list[Decision]:
        """The journal, oldest first."""
        return durable.read_lines(self._decisions, records.read_decision)[0]

    def append_progress(self, row: Mapping[str, float]) -> None:
        """Add one interval. The first row fixes the columns; one that appears later (a loss, once learning starts) widens the
        file, earlier rows having NaN there.

        Raises:
            InvalidValue: no `step`, or a column name with a line break.
        """
        self._writable()
        if "step" not in row or any("\n" in name or "\r" in name for name in row):
            raise InvalidValue(f"a progress row needs 'step' and one-line names, not {sorted(row)}")
        if not set(row) <= set(self._header):
            before, header = self._rows(), records.ordered([*self._header, *row])
            lines = [dict(zip(before[0], old, strict=True)) for old in before[1:]]
            body = [records.row(header), *(records.row(old.get(name, "") for name in header) for old in lines)]
            atomic_write(self._progress, "".join(f"{line}\n" for line in body))
            self._header = header
        durable.append_line(self._progress, records.row(records.field(row.get(name, math.nan)) for name in self._header))

    def _rows(self) -> list[list[str]]:
        return durable.read_lines(self._progress, records.RowParser())[0] or [[]]

    def progress(self) -> dict[str, list[float]]:
        """Column name -> one value per interval, NaN where nothing was reported. Empty before the first interval."""
        header, *rows = self._rows()
        return {name: [float(row[i] or "nan") for row in rows] for i, name in enumerate(header)}

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write result.json; its presence marks the run as finished."""
        self._writable()
        atomic_write(self.path / "result.json", to_json(result, indent=2) + "\n")

    def result(self) -> dict[str, Any] | None:
        """What `write_result` was given, None for a run that has not finished. Non-finite numbers read as None."""
        path = self.path / "result.json"
        if not path.exists():
            return None
        try:
            return dict(from_json(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise RunFolderError(f"{path} cannot be read: {error}") from error

    def truncate(self, decisions: int, intervals: int) -> None:
        """Drop the decisions, intervals and result that follow a checkpoint. Each file is replaced in one step; a kill between
        two of them is made good by calling it again, as every resume does.

        Raises:
            RunFolderError: a journal holds fewer lines than the checkpoint says.
        """
        self._writable()
        (self.path / "result.json").unlink(missing_ok=True)
        for path, keep in ((self._decisions, decisions), (self._progress, intervals + 1 if self._header else intervals)):
            lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
            if len(lines) < keep:
                raise RunFolderError(f"{path} holds {len(lines)} lines where the checkpoint expects {keep}")
            if len(lines) > keep:
                atomic_write(path, b"".join(lines[:keep]))

    def save_checkpoint(self, step: int, agent: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Save the run at environment step `step`; the two newest checkpoints are kept.

        Args:
            agent: tree of plain values, arrays and tensors (`Agent.snapshot`).
            state: JSON-like data: counters, the number of decisions and intervals, random states.

        Raises:
            InvalidValue: something in the trees could not be read back without running pickled code; names where.
            RunFolderError: the disk refuses; older checkpoints stand.
        """
        self._writable()
        checkpoints.save(self.path / "checkpoints", step, agent, state)

    def latest_checkpoint(self) -> Checkpoint | None:
        """The newest whole checkpoint."""
        return checkpoints.latest(self.path / "checkpoints")


def _refuse_existing(path: Path) -> None:
    held = [name for name in ("config.yaml", "decisions.jsonl", "progress.csv", "result.json") if (path / name).exists()]
    if held:
        raise RunFolderError(
            f"{path} already holds a run ({held[0]}): go on with --resume (in a script, resume=True), or choose another --out "
            "(run_dir)"
        )

"""What a run writes into its folder, interval by interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from hyperprompt.agents.replay import ReplayLog, check_storable
from hyperprompt.core import Decision, Interval
from hyperprompt.durable import plain
from hyperprompt.errors import InvalidValue, RunFolderError
from hyperprompt.evaluation.metrics import auc, final_return
from hyperprompt.hyperparameters import HyperparameterSpace
from hyperprompt.meta.run import MetaRun
from hyperprompt.runs import RunFolder

_RECORDERS: WeakValueDictionary[Path, Recorder] = WeakValueDictionary()
"""Who writes each folder, or wrote it last, in this process."""


def interrupted(path: Path, settings: Mapping[str, Any]) -> RunFolder:
    """The folder of a run that is to go on, locked; of a training that an exception ended, of which no callback hears, it is
    taken from the recorder of then.

    Raises:
        InvalidValue: the run has other settings than these, its budget aside; both values.
        RunFolderError: no checkpoint to go on from, though more than an interval would be lost; in use elsewhere, or damaged.
    """
    if recorder := _RECORDERS.pop(path.resolve(), None):
        with suppress(Exception):  # what could not be written then is cut off now
            recorder.close()
    folder = RunFolder.open(path)
    try:
        stored = folder.config
        for key, value in plain(dict(settings), "config").items():
            if key != "steps" and key in stored and stored[key] != value:
                raise InvalidValue(f"{path} holds a run with {_difference(key, stored[key], value)}")
        if folder.latest_checkpoint() is None and (len(folder.decisions()) > 1 or folder.result() is not None):
            raise RunFolderError(f"{path} holds a run without a checkpoint to go on from: name another folder, or remove it")
    except BaseException:
        folder.close()
        raise
    return folder


def _difference(key: str, stored: Any, given: Any) -> str:
    if key != "agent" or not isinstance(stored, dict):
        return f"{key}={stored!r}, not {given!r}: name another folder"
    name = next(name for name in {**stored, **given} if stored.get(name) != given.get(name))
    # A notebook has the model of the interrupted training, which was steered since.
    advice = "construct the model anew, as it was when that run began, or name another folder"
    return f"agent.{name}={stored.get(name)!r}, not {given.get(name)!r}: {advice}"


class Recorder:
    """Writes one run: decisions and progress as they come, checkpoints between intervals, the result at the end.

    One thread does the writing, in order, while training goes on: what a kill can cut off is the end of that order. A write
    that fails is raised by the next `checkpoint`, `result` or `close`.

    Args:
        target: a folder to create, or one that is open already.
        config: what a new folder's config.yaml says.
        checkpoints: whether the run can be resumed.
        resumed: state of the checkpoint the run goes on from; its transitions are put back into the replay buffer.
    """

    def __init__(
        self,
        target: str | Path | RunFolder,
        model: BaseAlgorithm,
        config: Mapping[str, Any],
        checkpoints: bool = True,
        resumed: Mapping[str, Any] | None = None,
    ) -> None:
        self._checkpoints = checkpoints
        self._buffer = model.replay_buffer if checkpoints and isinstance(model, OffPolicyAlgorithm) else None
        if self._buffer is not None:
            check_storable(self._buffer)  # before a folder is made
        self.folder = target if isinstance(target, RunFolder) else RunFolder.create(target, config)
        _RECORDERS[self.folder.path.resolve()] = self
        self._replay = ReplayLog(self.folder.path / "checkpoints" / "replay") if self._buffer is not None else None
        if self._replay is not None and self._buffer is not None and isinstance(target, RunFolder):
            self._replay.restore(self._buffer, resumed["replay"] if resumed else 0)
        self._decisions = len(self.folder.decisions())
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hyperprompt-writer")
        self._last: Future[None] | None = None
        self._error: Exception | None = None

    def reopen(self, steps: int) -> None:
        """Goes on, to a budget of `steps`, in the folder, which an exception may have left open."""
        self.close()
        self.folder = RunFolder.open(self.folder.path)
        self.folder.extend(steps)

    def close(self) -> None:
        """Waits for what is still to be written and gives the folder's lock back."""
        try:
            self._wait()
        finally:
            self.folder.close()

    def _write(self, write: Callable[..., None], *arguments: Any) -> None:
        def run() -> None:
            if self._error is None:  # nothing may be written after a gap
                try:
                    write(*arguments)
                except Exception as error:
                    self._error = error

        self._last = self._writer.submit(run)

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()
        if self._error is not None:
            raise self._error

    def decision(self, decision: Decision) -> None:
        self._write(self.folder.append_decision, decision)
        self._decisions += 1

    def interval(self, interval: Interval, space: HyperparameterSpace, wall_seconds: float) -> None:
        """One row of progress.csv: theta as the agent was given it during the interval."""
        row: dict[str, float] = {"step": interval.step, "wall_seconds": wall_seconds, "return_mean": math.nan}
        row |= {"episodes": interval.signals.episodes, **interval.signals.values}
        row |= {f"theta/{name}": value for name, value in space.values(interval.theta).items()}
        self._write(self.folder.append_progress, row)

    def checkpoint(self, step: int, run: MetaRun, clock: Mapping[str, float]) -> None:
        """Weights, meta-state, counts of the journals and, for off-policy agents, the new part of the replay buffer."""
        if not self._checkpoints:
            return
        self._wait()  # the log drops rows that only older checkpoints need, so the last one must have reached the disk
        rows = self._replay.append(self._buffer) if self._replay is not None and self._buffer is not None else 0
        counts = {"replay": rows, "decisions": self._decisions, "intervals": len(run.intervals)}
        state = {"run": run.to_dict(step), **counts, **clock}
        self._write(self.folder.save_checkpoint, step, run.agent.snapshot(), state)

    def result(self, run: MetaRun, step: int, updates: int, wall_seconds: float, adapt_seconds: float) -> None:
        """result.json: AUC and final return of the curve in progress.csv, from the run's first step on, and what they cost."""
        self._wait()
        config, progress, total = self.folder.config, self.folder.progress(), run.task.total_steps - run.first_step
        steps, returns = [at - run.first_step for at in progress.get("step", [])], progress.get("return_mean", [])
        self.folder.write_result(
            {
                "env": run.task.env,
                "algo": config["algo"],
                "controller": config["controller"],
                "seed": config["seed"],
                "steps": step,
                "auc": auc(steps, returns, total),
                "final_return": final_return(steps, returns, total),
                "wall_seconds": wall_seconds,
                "adapt_seconds": adapt_seconds,
                "gradient_updates": updates,
                "decisions": self._decisions,
            }
        )

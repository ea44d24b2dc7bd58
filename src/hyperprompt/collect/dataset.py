"""The dataset of decisions: Parquet files of checkpoints, and a manifest that vouches for them.

    FOLDER/NAME.parquet      one part: a row a checkpoint, see `schema`; how it was made is in the file's own metadata
    FOLDER/manifest.json     {"schema": 1, "parts": {"NAME.parquet": {"sha256", "checkpoints", "decisions"}}}

A *checkpoint* is a meta-state and what different joint steps, each under several common seeds, led to from there. One without
branches is a state without scores. Needs neither JAX nor torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperprompt.collect.effects import main_effects
from hyperprompt.collect.manifest import VERSION, check_version, contents, enter
from hyperprompt.core import STEPS, MetaState
from hyperprompt.durable import atomic_write, from_json, plain, to_json
from hyperprompt.errors import DatasetError, HyperPromptError, InvalidValue, MissingDependency
from hyperprompt.records import versions

METADATA = b"hyperprompt"
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One meta-state of one run, and the branches tried from it, none perhaps.

    Raises:
        InvalidValue: arrays that do not fit together, a step that is not an index into STEPS, a unit that is not positive.
    """

    family: str
    task: str
    algorithm: str
    run: str
    variant: str
    """What was changed in the task, as JSON; "{}" for nothing."""
    state: MetaState
    horizon: int
    """Environment steps of a branch."""
    before: float
    """Mean evaluation return at the checkpoint."""
    random: float
    """Return of random actions, score 0."""
    unit: float
    """Returns that make a score of 1 above that: fixed for the task."""
    steps: NDArray[np.int64]
    """(branches, hyperparameters in the order of `state.space.names`), indices into STEPS."""
    seeds: NDArray[np.int64]
    """(branches,): branches with the same seed share all random numbers."""
    end: Floats
    """(branches,): mean evaluation return at the branch's end."""
    mean: Floats
    """(branches,): mean return of the episodes that ended in the branch; NaN where none did."""
    target: str = ""
    """Tuned values of the hyperparameters as JSON, in collections of mode bayes."""

    def __post_init__(self) -> None:
        branches = len(self.seeds)
        if self.steps.shape != (branches, len(self.state.space)):
            raise InvalidValue(f"steps {self.steps.shape} for {branches} branches and {len(self.state.space)} hyperparameters")
        if self.end.shape != (branches,) or self.mean.shape != (branches,):
            raise InvalidValue(f"returns {self.end.shape} and {self.mean.shape} for {branches} branches")
        if branches and not (self.steps.min() >= 0 and self.steps.max() < len(STEPS)):
            raise InvalidValue(f"steps are indices from 0 to {len(STEPS) - 1}, not {self.steps.min()} to {self.steps.max()}")
        if not self.unit > 0:
            raise InvalidValue(f"the unit of {self.task} must be positive, not {self.unit}")

    def returns(self, mean_share: float = 0.5) -> Floats:
        """(1 - w) end + w mean, (branches,), in the task's returns; `end` stands in where no episode ended.

        The mean over the horizon is what AUC is made of.
        """
        result: Floats = (1 - mean_share) * self.end + mean_share * np.where(np.isfinite(self.mean), self.mean, self.end)
        return result

    def scores(self, mean_share: float = 0.5) -> Floats:
        """`returns` in task units, (branches,): (R - R_random) / unit."""
        return (self.returns(mean_share) - self.random) / self.unit

    def advantages(self, mean_share: float = 0.5) -> Floats:
        """A = score - mean score of the checkpoint, (branches,)."""
        scores = self.scores(mean_share)
        return scores - scores.mean() if len(scores) else scores

    def effects(self, mean_share: float = 0.5) -> tuple[Floats, Floats]:
        """Main effects of every hyperparameter's steps in task units, keep = 0, and their standard errors; each (names, 7).

        Raises:
            InvalidValue: fewer than three branches.
        """
        return main_effects(np.asarray(STEPS)[self.steps], self.scores(mean_share))


@dataclass(frozen=True)
class Part:
    """One file of a dataset. `spent`: environment steps and wall-clock seconds it took, as far as they were counted."""

    name: str
    checkpoints: list[Checkpoint]
    config: dict[str, Any]
    versions: dict[str, str]
    spent: dict[str, float]


def schema() -> Any:
    """The columns of version 1, as a pyarrow.Schema without metadata."""
    pa = _pyarrow("pyarrow")
    texts = ("family", "task", "algorithm", "run", "variant")
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            *((name, pa.int64()) for name in ("step", "index", "horizon")),
            *((name, pa.float64()) for name in ("before", "random", "unit")),
            ("meta_state", pa.string()),
            ("target", pa.string()),
            ("names", pa.list_(pa.string())),
            ("steps", pa.list_(pa.list_(pa.int8()))),
            ("seeds", pa.list_(pa.int64())),
            *((name, pa.list_(pa.float64())) for name in ("end", "mean", "advantage")),
        ]
    )


def write(
    path: Path, checkpoints: Sequence[Checkpoint], config: Mapping[str, Any], spent: Mapping[str, float] | None = None
) -> None:
    """Write the part `path` and list it in the manifest of its folder, in this order.

    A kill in between leaves a part that is not listed: `read` refuses it, and whoever writes it again repairs that.

    Raises:
        RunFolderError: the folder cannot be written.
        DatasetError: its manifest is damaged.
    """
    content = write_part(path, checkpoints, config, spent)
    enter(path, content, len(checkpoints), sum(len(c.seeds) for c in checkpoints))


def write_part(
    path: Path, checkpoints: Sequence[Checkpoint], config: Mapping[str, Any], spent: Mapping[str, float] | None = None
) -> bytes:
    """Write the part only, which no manifest lists yet; returns the file's content."""
    pa, pq = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")
    head = to_json({"schema": VERSION, "config": plain(config), "versions": versions(), "spent": plain(spent or {})})
    table = pa.Table.from_pylist([_row(c) for c in checkpoints], schema().with_metadata({METADATA: head}))
    content = BytesIO()
    pq.write_table(table, content, compression="zstd")
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, content.getvalue())
    return content.getvalue()


def parts(folder: Path) -> list[Part]:
    """Every part of a dataset, in the order of their names, checked against the manifest.

    Raises:
        DatasetError: no manifest; or a file that is missing, damaged, not listed or of another version, which it names.
    """
    return [_part(folder / name, content) for name, content in contents(folder).items()]


def read(folder: Path, algorithms: Collection[str] = ()) -> list[Checkpoint]:
    """Every checkpoint of a dataset, or those of some algorithms, in the order of the files' names. Raises as `parts` does."""
    return [c for part in parts(folder) for c in part.checkpoints if not algorithms or c.algorithm in algorithms]


def _part(path: Path, content: bytes) -> Part:
    pa, pq = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")
    try:
        table = pq.read_table(BytesIO(content))
        head = from_json(table.schema.metadata[METADATA].decode())
        check_version(path, head["schema"])
        if not table.schema.remove_metadata().equals(schema()):
            raise ValueError(f"columns {table.schema.names}")
        checkpoints = [_checkpoint(row) for row in table.to_pylist()]
        return Part(path.name, checkpoints, head["config"], head["versions"], head["spent"])
    except DatasetError:
        raise
    except (HyperPromptError, pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} is damaged: {error!r}") from error


def _row(c: Checkpoint) -> dict[str, Any]:
    return {
        **{name: getattr(c, name) for name in ("family", "task", "algorithm", "run", "variant", "horizon", "target")},
        **{name: getattr(c, name) for name in ("before", "random", "unit")},
        "step": c.state.step,
        "index": c.state.index,
        "meta_state": to_json(c.state.to_dict()),
        "names": list(c.state.space.names),
        **{name: getattr(c, name).tolist() for name in ("steps", "seeds", "end", "mean")},
        "advantage": c.advantages().tolist(),
    }


def _checkpoint(row: Mapping[str, Any]) -> Checkpoint:
    state = MetaState.from_dict(from_json(row["meta_state"]))
    if row["names"] != list(state.space.names) or (row["step"], row["index"]) != (state.step, state.index):
        raise InvalidValue(f"names, step and index of a row of {row['run']} are not those of its meta-state")
    fields = ("family", "task", "algorithm", "run", "variant", "horizon", "before", "random", "unit", "target")
    return Checkpoint(
        **{name: row[name] for name in fields},
        state=state,
        steps=np.array(row["steps"], np.int64).reshape(-1, len(state.space)),
        seeds=np.array(row["seeds"], np.int64),
        end=np.array(row["end"], np.float64),
        mean=np.array(row["mean"], np.float64),
    )


def _pyarrow(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependency("a dataset of decisions", "collect") from error

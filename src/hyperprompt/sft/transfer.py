"""Whether what branches teach holds on a task that gave none: the teacher of all other tasks, scored on one that is left out.

python -m hyperprompt.sft.transfer results/gonogo/branches results/source --out results/source-transfer.json
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from hyperprompt.collect import dataset
from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.durable import atomic_write, to_json
from hyperprompt.errors import InvalidValue
from hyperprompt.records import versions
from hyperprompt.sft import labels, offline

Scores = dict[str, dict[str, Any]]


def leave_one_out(checkpoints: Sequence[Checkpoint], tau: float, mean_share: float) -> dict[str, Scores]:
    """Task -> expected advantage a decision, in task units, of its checkpoints under the teacher of all the others.

    Variants of a task are left out together. `keep` changes nothing; `blind` is the mean distribution over the states that
    the teacher has learned from.

    Raises:
        InvalidValue: branches of a single task, or of several algorithms or sets of hyperparameters.
    """
    known = [c for c in checkpoints if len(c.seeds)]
    tasks, kinds = sorted({c.task for c in known}), {labels.kind(c.state) for c in known}
    if len(tasks) < 2 or len(kinds) != 1:
        raise InvalidValue(f"{len(tasks)} tasks of {len(kinds)} kinds: leaving one out wants several tasks of one kind")
    return {task: _score(known, task, tau, mean_share) for task in tasks}


def _score(known: Sequence[Checkpoint], task: str, tau: float, mean_share: float) -> Scores:
    rest = [c for c in known if c.task != task]
    unseen = [c for c in known if c.task == task]
    teachers = labels.teachers(rest, mean_share)

    blind = offline.blind(labels.policy(teachers, rest, tau))[0]
    arms = {
        "teacher": offline.gains(labels.policy(teachers, unseen, tau), unseen, mean_share),
        "blind": offline.gains([blind] * len(unseen), unseen, mean_share),
        "keep": np.zeros(len(unseen)),
    }
    return offline.compare(arms, "teacher")


def main(
    data: Annotated[list[Path], typer.Argument(help="Folders of datasets.")],
    out: Annotated[Path, typer.Option(help="The figures, as JSON.")],
    algorithm: str = "ppo",
    tau: float = 0.05,
    mean_share: float = 0.5,
) -> None:
    """Score the teacher of every algorithm's tasks but one on that one, in turn."""
    found = [c for folder in data for c in dataset.read(folder, (algorithm,))]
    settings = {"algorithm": algorithm, "tau": tau, "mean_share": mean_share}
    tasks = leave_one_out(found, tau, mean_share)
    result = {**settings, "data": [str(p) for p in data], "checkpoints": len(found), "tasks": tasks, "versions": versions()}
    atomic_write(out, to_json(result, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)

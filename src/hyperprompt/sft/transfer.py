"""Whether what branches teach holds on a task that gave none: the teacher of all other tasks, scored on one that is left out.

python -m hyperprompt.sft.transfer results/gonogo/branches results/source --out results/source-transfer.json
python -m hyperprompt.sft.transfer results/sac --on results/source --algorithm sac --out sac-transfer.json
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from hyperprompt.collect import dataset
from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.collect.sources import relatives
from hyperprompt.durable import atomic_write, to_json
from hyperprompt.errors import InvalidValue
from hyperprompt.records import versions
from hyperprompt.sft import labels, offline

Scores = dict[str, dict[str, Any]]


def leave_one_out(checkpoints: Sequence[Checkpoint], tau: float, mean_share: float) -> dict[str, Scores]:
    """Task -> expected advantage a decision, in task units, of its checkpoints under the teacher of all the others.

    Variants of a task are left out together, as are compiled tasks of one environment. `keep` changes nothing; `blind` is the
    mean distribution over the states that the teacher has learned from.

    Raises:
        InvalidValue: branches of a single task, or of several algorithms or sets of hyperparameters.
    """
    known = [c for c in checkpoints if len(c.seeds)]
    tasks, kinds = sorted({c.task for c in known}), {labels.kind(c.state) for c in known}
    environments = {relatives(task) for task in tasks}
    if len(environments) < 2 or len(kinds) != 1:
        raise InvalidValue(f"{len(environments)} tasks of {len(kinds)} kinds: leaving one out wants several tasks of one kind")
    return onto(known, known, tau, mean_share)


def onto(checkpoints: Sequence[Checkpoint], others: Sequence[Checkpoint], tau: float, mean_share: float) -> dict[str, Scores]:
    """The same of every task of `others`, under the teacher of `checkpoints` alone, less those of its relatives.

    Raises:
        InvalidValue: no branches on either side, or those of several algorithms or sets of hyperparameters.
    """
    known, unseen = ([c for c in side if len(c.seeds)] for side in (checkpoints, others))
    if not known or not unseen or len({labels.kind(c.state) for c in (*known, *unseen)}) != 1:
        raise InvalidValue(
            f"{len(known)} checkpoints to learn from and {len(unseen)} to judge by: both are wanted, of one kind"
        )
    tasks = sorted({c.task for c in unseen})
    found: dict[str, Scores] = {}
    for task in tasks:
        near = relatives(task)
        rest, own = [c for c in known if c.task not in near], [c for c in unseen if c.task == task]
        found[task] = _score(rest, own, tau, mean_share)
    return found


def _score(rest: Sequence[Checkpoint], unseen: Sequence[Checkpoint], tau: float, mean_share: float) -> Scores:
    teachers = labels.teachers(rest, mean_share)
    blind = np.mean(labels.policy(teachers, rest, tau), axis=0)
    policies = {"teacher": labels.policy(teachers, unseen, tau), "blind": [blind] * len(unseen)}
    return offline.judge(policies, unseen, "teacher", mean_share)


def main(
    data: Annotated[list[Path], typer.Argument(help="Folders of datasets.")],
    out: Annotated[Path, typer.Option(help="The figures, as JSON.")],
    on: Annotated[list[Path] | None, typer.Option(help="Folders to judge by only: nothing is learned from them.")] = None,
    algorithm: str = "ppo",
    tau: float = 0.05,
    mean_share: float = 0.5,
) -> None:
    """Score the teacher of every algorithm's tasks but one on that one, in turn."""
    found, others = ([c for folder in folders for c in dataset.read(folder, (algorithm,))] for folders in (data, on or []))
    settings = {"algorithm": algorithm, "tau": tau, "mean_share": mean_share}
    tasks = onto(found, others, tau, mean_share) if on else leave_one_out(found, tau, mean_share)
    result = {
        **settings,
        "data": [str(p) for p in data],
        **({"on": [str(p) for p in on]} if on else {}),
        "checkpoints": len(found),
        "tasks": tasks,
        "versions": versions(),
    }
    atomic_write(out, to_json(result, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)

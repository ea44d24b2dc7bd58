"""The dataset card: what is in a dataset, how it came about, and what it is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hyperprompt.collect.dataset import Checkpoint, Part, parts
from hyperprompt.collect.manifest import VERSION
from hyperprompt.collect.split import part_of
from hyperprompt.durable import atomic_write

NAME = "CARD.md"
LABELS = """\
## What a score is

A row is a checkpoint: the meta-state of a run at one decision. `steps` holds the joint steps tried there, `seeds` the seed of
each; branches with one seed share all random numbers. A branch trains under its step for `horizon` environment steps. `end` is
the mean return of evaluation episodes after them, under seeds that are always the same, and `mean` the mean return of the
episodes that ended in them. With w = 1/2, and `end` for a missing `mean`:

    score = ((1 - w) end + w mean - random) / unit        advantage = score - mean score of the checkpoint

`random` and `unit` are fixed for the task: random actions score 0. On live tasks static defaults at T score 1, on compiled
ones (gymnax/...) the best fixed setting of a grid at the end of the run. Main effects and their errors: `Checkpoint.effects`.
Rows with `target` come from a tuner instead: no branches, and the settings its search found best.

## Known limits

- One decision alone is mostly noise: effects of 0.03 against 0.05 between seeds. Average over seeds and checkpoints.
- A step that leads beyond a bound was clipped there; `steps` says what was asked for.
- A live branch begins new episodes, since environments cannot be saved; `mean` favours those that end soon.
- `end` comes from few episodes. Common seeds make live branches alike until their policies differ, not after.
- Steps spent leave evaluation episodes out.
"""


def write(folder: Path, command: str) -> Path:
    """Write the card of the dataset in `folder`.

    Raises:
        DatasetError: the dataset is damaged.
    """
    found = parts(folder)
    path = folder / NAME
    atomic_write(path, text(found, command))
    return path


def text(found: Sequence[Part], command: str) -> str:
    """The card as Markdown: a line a task, then how scores are defined, then how it was made."""
    tasks: dict[str, list[Part]] = {}
    for part in found:
        for task in dict.fromkeys(c.task for c in part.checkpoints):
            tasks.setdefault(task, []).append(part)
    everything = [c for part in found for c in part.checkpoints]
    head = (
        "| family | task | part of the split | algorithm | checkpoints | scored decisions | runs | seeds | horizon, steps "
        "| random | unit | steps spent | wall s |\n" + "|---" * 13 + "|\n"
    )
    rows = "".join(_row(task, of) for task, of in sorted(tasks.items(), key=lambda item: (_family(item[1]), item[0])))
    decisions = sum(len(c.seeds) for c in everything)
    versions = sorted({f"{name} {version}" for part in found for name, version in part.versions.items()})
    return (
        f"# Dataset of decisions, schema {VERSION}\n\n{len(everything):,} checkpoints, {decisions:,} scored decisions, "
        f"{len(tasks)} tasks, {len(found)} files. Read it with `hyperprompt.collect.dataset.read`.\n\n{head}{rows}\n{LABELS}\n"
        f"## How it was made\n\n    {command or '(not by the command line)'}\n\n"
        f"Every file holds its settings and versions in its metadata, and `manifest.json` the checksums. "
        f"Versions: {', '.join(versions)}.\n"
    )


def _family(of: Sequence[Part]) -> str:
    return of[0].checkpoints[0].family


def _row(task: str, of: Sequence[Part]) -> str:
    found: list[Checkpoint] = [c for part in of for c in part.checkpoints if c.task == task]
    spent = {key: sum(part.spent.get(key, 0.0) for part in of) for key in ("steps", "seconds")}
    cells = [
        found[0].family,
        task,
        part_of(task) or "-",
        _all(c.algorithm for c in found),
        f"{len(found):,}",
        f"{sum(len(c.seeds) for c in found):,}",
        f"{len({c.run for c in found}):,}",
        _all(str(len(set(c.seeds.tolist()))) for c in found),
        _range([c.horizon for c in found]),
        _all(f"{c.random:.4g}" for c in found),
        _all(f"{c.unit:.4g}" for c in found),
        f"{spent['steps']:,.0f}" if spent["steps"] else "not counted",
        f"{spent['seconds']:,.0f}" if spent["seconds"] else "not counted",
    ]
    return f"| {' | '.join(cells)} |\n"


def _all(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"

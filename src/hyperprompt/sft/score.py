"""What controllers would have been worth on branches they have not seen, as they are deployed.

python -m hyperprompt.sft.score results/validation/branches --out results/validation/offline.json \
    --controller hyperprompt --controller numeric:runs/meta/first/model --controller llm:smollm2-135m
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperprompt.collect import dataset
from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.controllers import registry
from hyperprompt.durable import atomic_write, to_json
from hyperprompt.errors import InvalidValue
from hyperprompt.records import versions
from hyperprompt.sft import offline


def score(specs: Sequence[str], checkpoints: Sequence[Checkpoint], mean_share: float = 0.5) -> dict[str, dict[str, Any]]:
    """Arm -> its gain and what the first controller gains more, in task units, with intervals from a bootstrap over
    checkpoints. The arms: the controllers, `keep`, and `blind`, the mean distribution of the first.

    Raises:
        InvalidValue: no checkpoint with branches.
    """
    branched = offline.branched(checkpoints)
    if not branched:
        raise InvalidValue("no checkpoint has branches to score by")
    policies = {spec: offline.taken(registry.create(spec), branched) for spec in specs}
    return offline.judge(policies, branched, specs[0], mean_share)


def main(
    data: Annotated[list[Path], typer.Argument(help="Folders of datasets of validation tasks.")],
    controller: Annotated[
        list[str], typer.Option(help="As 'hyperprompt train' takes it; the others are compared with the first.")
    ],
    out: Annotated[Path, typer.Option(help="The figures, as JSON.")],
    algorithm: str = "ppo",
) -> None:
    """Score controllers on every checkpoint of these datasets."""
    checkpoints = offline.branched([c for folder in data for c in dataset.read(folder, (algorithm,))])
    result = {"data": [str(p) for p in data], "checkpoints": len(checkpoints), "arms": score(controller, checkpoints)}
    atomic_write(out, to_json({**result, "versions": versions()}, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)

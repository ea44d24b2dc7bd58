"""Supervised meta-training: the head's loss of the slots against soft labels, early stopping, checkpoints, and resume.

digits       L = - mean over slots of sum_k p(k) log pi_phi(k | transcript, slot), less the labels' entropy
continuous   L = mean over slots of (mu_phi(transcript, slot) - sum_k p(k) step_k)^2
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hyperprompt import checkpoints
from hyperprompt.durable import append_line, atomic_write, cut, from_json, read_lines, to_json
from hyperprompt.errors import InvalidValue
from hyperprompt.llm.heads import Head
from hyperprompt.sft.config import SFTConfig
from hyperprompt.sft.examples import Example

GRADIENT_NORM = 1.0


class Model(Protocol):
    """The language model or a control. `score`: the head's outputs (N, O) and the labels (N, K) of a run's slots."""

    @property
    def head(self) -> Head: ...
    def trained(self) -> list[torch.nn.Parameter]: ...
    def score(self, example: Example, rng: np.random.Generator | None = None) -> tuple[Tensor, Tensor]: ...
    def state(self) -> dict[str, Tensor]: ...
    def load(self, state: Mapping[str, Tensor]) -> None: ...
    def save(self, folder: Path) -> None: ...


@dataclass
class Progress:
    """Where a training stands."""

    step: int = 0
    best: float = math.inf
    """Lowest validation loss a slot, in the unit of the head's measure."""
    since: int = 0
    """Evaluations since then."""


def mean_loss(model: Model, examples: Sequence[Example]) -> float:
    """The head's loss, mean over all labelled slots."""
    total, count = 0.0, 0
    with torch.no_grad():
        for example in examples:
            outputs, target = model.score(example)
            total += float(model.head.loss(outputs, target).sum())
            count += len(target)
    return total / count


def learning_rate(config: SFTConfig, step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to 0 (or constant)."""
    rise = max(1, round(config.warmup * steps))
    if step < rise and config.warmup:
        return config.learning_rate * (step + 1) / rise
    share = 1.0 if config.constant else 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
    return config.learning_rate * share


def fit(
    model: Model,
    source: Sequence[Example],
    validation: Sequence[Example],
    config: SFTConfig,
    folder: Path,
    listen: Callable[[dict[str, Any]], None] = lambda line: None,
) -> Progress:
    """Train until the epochs are over or the validation loss has stopped falling; the best weights end in `model`, which may
    be those that it began with.

    Every evaluation is a line of `folder`/log.jsonl and a checkpoint under `folder`/checkpoints, from which the next call
    goes on. Everything random is drawn from (seed, epoch) or (seed, step), so that a resumed training is the undisturbed one.

    Raises:
        InvalidValue: no examples on one side.
    """
    if not source or not validation:
        raise InvalidValue(f"nothing to train on: {len(source)} source runs, {len(validation)} validation runs")
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = torch.optim.AdamW(model.trained(), lr=config.learning_rate, weight_decay=0.01)
    batches = math.ceil(len(source) / config.batch)
    steps = config.epochs * batches
    due = {round(batches * (i + 1) / config.evaluations) for i in range(config.evaluations)}
    progress, best = _resume(folder, model, optimiser)
    log = folder / "log.jsonl"
    _forget(log, progress.step)
    losses: list[float] = []
    if progress.step == 0:
        log.unlink(missing_ok=True)
        progress.best = mean_loss(model, validation)
        line = {"step": 0, "epoch": 0.0, "measure": model.head.measure, "validation": progress.best}
        _record(log, line, listen)
    while progress.step < steps and progress.since < config.patience:
        epoch, number = divmod(progress.step, batches)
        order = np.random.default_rng([config.seed, epoch]).permutation(len(source))
        rng = np.random.default_rng([config.seed, progress.step, 1])
        rate = learning_rate(config, progress.step, steps)
        chosen = [source[i] for i in order[number * config.batch : (number + 1) * config.batch]]
        losses.append(_step(model, optimiser, chosen, rate, rng))
        progress.step += 1
        if number + 1 in due:
            found = mean_loss(model, validation)
            progress.since += 1
            if found < progress.best:
                progress.best, progress.since, best = found, 0, model.state()
            line = {"step": progress.step, "epoch": progress.step / batches, "learning_rate": rate}
            line |= {"measure": model.head.measure, "validation": found, "source": float(np.mean(losses))}
            _record(log, line, listen)
            losses.clear()
            tree = {"weights": model.state(), "best": best, "optimiser": optimiser.state_dict()}
            checkpoints.save(folder / "checkpoints", progress.step, tree, vars(progress))
    model.load(best)
    return progress


def _step(
    model: Model, optimiser: torch.optim.Optimizer, batch: Sequence[Example], rate: float, rng: np.random.Generator
) -> float:
    """One gradient step; returns the mean loss of the batch. Runs weigh alike, however long they are."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    total = 0.0
    for example in batch:
        loss = model.head.loss(*model.score(example, rng)).mean()
        torch.autograd.backward(loss / len(batch))
        total += float(loss.detach())
    torch.nn.utils.clip_grad_norm_(model.trained(), GRADIENT_NORM)
    optimiser.step()
    optimiser.zero_grad()
    return total / len(batch)


def _resume(folder: Path, model: Model, optimiser: torch.optim.Optimizer) -> tuple[Progress, dict[str, Tensor]]:
    found = checkpoints.latest(folder / "checkpoints")
    if found is None:
        return Progress(), model.state()
    tree = found.load_agent()
    model.load(tree["weights"])
    optimiser.load_state_dict(tree["optimiser"])
    return Progress(**found.state), tree["best"]


def _forget(log: Path, step: int) -> None:
    """Drop lines after the checkpoint, and a torn last one."""
    if not log.exists():
        return
    lines, whole = read_lines(log, from_json)
    cut(log, whole)
    if any(line["step"] > step for line in lines):
        atomic_write(log, "".join(to_json(line) + "\n" for line in lines if line["step"] <= step))


def _record(log: Path, line: dict[str, Any], listen: Callable[[dict[str, Any]], None]) -> None:
    append_line(log, to_json(line))
    listen(line)

"""From meta-states with soft labels to token sequences: the labelled decisions that share a transcript are scored at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from hyperprompt.core import MetaState
from hyperprompt.errors import InvalidValue
from hyperprompt.llm.tokens import Encoder
from hyperprompt.prompt import template
from hyperprompt.prompt.config import PromptConfig
from hyperprompt.prompt.layout import settle
from hyperprompt.prompt.transcript import window

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """One run as far as it is known, and the labels of its decisions.

    `labels`: decision index -> name -> p over STEPS, (7,). Hyperparameters without a label are not scored.
    """

    state: MetaState
    labels: Mapping[int, Mapping[str, Floats]]

    def names(self) -> list[str]:
        """The hyperparameters of the labels in the order in which models score them."""
        known = sorted(self.labels.items())
        return [name for _, label in known for name in self.state.space.names if name in label]


@dataclass(frozen=True)
class Piece:
    """A transcript as tokens. N slots are scored: `before` (N,) holds the position of the token in front of each, `target`
    (N, 7) its label."""

    ids: NDArray[np.int64]
    before: NDArray[np.int64]
    target: NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """Against memorising tasks and their layouts: odds of each change, drawn anew every time a transcript is read."""

    order: float = 1.0
    """Hyperparameters in a random order."""
    subset: float = 0.25
    """Some of them missing: they changed, and nobody says so."""
    signals: float = 0.25
    """Some of the signals missing."""
    task: float = 0.25
    """The task line missing."""
    history: float = 0.1
    """The steps last taken missing."""

    @classmethod
    def of(cls, odds: float) -> Augmentation:
        """The default one, scaled down from 1."""
        return cls(**{name: odds * value for name, value in asdict(cls()).items()})

    def __call__(
        self, state: MetaState, config: PromptConfig, rng: np.random.Generator, labelled: Collection[str]
    ) -> tuple[MetaState, PromptConfig]:
        """The changed run and prompt; one hyperparameter that has labels is never missing."""
        names = list(state.space.names)
        if rng.random() < self.order:
            names = [names[i] for i in rng.permutation(len(names))]
        if rng.random() < self.subset and len(names) > 1:
            kept = names[: int(rng.integers(1, len(names)))] if self.order else names
            if not any(name in labelled for name in kept):
                kept[-1] = next((name for name in names if name in labelled), kept[-1])
            names = kept
        signals = config.signals or ()
        if rng.random() < self.signals:
            signals = tuple(name for name in signals if rng.random() < 0.5)
        config = replace(
            config,
            signals=signals,
            task=config.task and rng.random() >= self.task,
            history=config.history and rng.random() >= self.history,
        )
        return replace(state, space=state.space.subset(names)), config


def prefix(state: MetaState, index: int) -> MetaState:
    """The meta-state as it was at an earlier decision.

    Raises:
        InvalidValue: an index after the state's own.
    """
    if not 0 <= index <= state.index:
        raise InvalidValue(f"decision {index} is not among the {state.index + 1} of run {state.run!r}")
    if index == state.index:
        return state
    last = state.intervals[index - 1] if index else None
    theta = last.theta if last else state.space.defaults
    return replace(state, step=last.step if last else 0, theta=theta, intervals=state.intervals[:index])


def longest(states: Iterable[MetaState]) -> list[MetaState]:
    """One state a run, the one that knows most; in order of first appearance."""
    found: dict[str, MetaState] = {}
    for state in states:
        if state.run not in found or state.index > found[state.run].index:
            found[state.run] = state
    return list(found.values())


def pieces(
    example: Example,
    config: PromptConfig,
    encoder: Encoder,
    context: int,
    prefix_ids: Sequence[int] = (),
    rng: np.random.Generator | None = None,
    augmentation: Augmentation | None = None,
) -> list[Piece]:
    """The transcripts of a run with a decision in every row: one, or where it is longer than what a controller reads at once
    (`prompt.template.start_row`), as many as it begins anew. `augmentation` draws its changes from `rng`.

    Args:
        context: the most tokens the model reads.
        prefix_ids: what it puts in front.

    Raises:
        InvalidValue: no labelled decision; rows that do not fit.
    """
    config = settle(example.state.task.algorithm, example.state.space.names, config)
    state = example.state
    if rng is not None and augmentation is not None:
        state, config = augmentation(state, config, rng, example.names())
    head = [*prefix_ids, *encoder.encode(template.head(state, config)).ids]
    rows = [encoder.encode(row.atoms, row.slots) for row in template.rows(state, config)]
    kept = window(config, context - len(prefix_ids), len(head) - len(prefix_ids), len(rows[0].ids))
    found = []
    for start, read in groupby(range(len(rows)), key=lambda index: template.start_row(index + 1, kept)):
        decisions = list(read)
        ids, before, target = list(head), [], []
        for index in range(start, decisions[-1] + 1):
            labels = example.labels.get(index, {}) if index >= decisions[0] else {}
            for name, slot in zip(state.space.names, rows[index].slots, strict=True):
                if name in labels:
                    before.append(len(ids) + slot - 1)
                    target.append(labels[name])
            ids.extend(rows[index].ids)
        if before:
            found.append(Piece(np.array(ids), np.array(before), np.array(target, np.float32)))
    if not found:
        raise InvalidValue(f"run {state.run!r} has no labelled decision of {', '.join(state.space.names)}")
    return found

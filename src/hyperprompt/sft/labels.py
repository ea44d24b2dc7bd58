"""Soft labels: which step pays, as a distribution over STEPS for every hyperparameter. From branches:

    p(k | s, j) ~ exp(e_jk(s) / tau),    e_jk: the effect of step k of hyperparameter j in task units

A single checkpoint tells little (24 branches; the seed noise of a return is as large as an effect), so `pooled` effects come
from small networks fitted to the branches of all checkpoints at once; they can be asked about any meta-state. From a tuner's
search, the paper's recipe: the step toward the values that it found best. From any controller: the steps it takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.collect.features import features
from hyperprompt.collect.student import Student, arrays, softmax, train
from hyperprompt.core import STEPS, Controller, Interval, MetaState
from hyperprompt.durable import from_json
from hyperprompt.errors import InvalidValue
from hyperprompt.hyperparameters import Theta
from hyperprompt.sft.examples import Example, longest, prefix

Floats = NDArray[np.float64]
Label = Callable[[MetaState], Mapping[str, Floats]]
Kind = tuple[str, tuple[str, ...]]
"""Algorithm and hyperparameters: what one set of networks knows."""


def kind(state: MetaState) -> Kind:
    return state.task.algorithm, state.space.names


def teachers(
    checkpoints: Sequence[Checkpoint], mean_share: float, ceiling: float | None = None, **options: Any
) -> dict[Kind, Student]:
    """Effects of every algorithm and set of hyperparameters that has branches, an ensemble each; `pooled` asks them.

    Checkpoints of runs that stand at `ceiling` task units or above teach nothing. `options` go to `collect.student.train`.
    """
    groups: dict[Kind, list[Checkpoint]] = defaultdict(list)
    for c in checkpoints:
        if len(c.seeds) and (ceiling is None or not c.before >= c.random + ceiling * c.unit):
            groups[kind(c.state)].append(c)
    return {key: train(arrays(group, mean_share), **options) for key, group in groups.items()}


def pooled(students: Mapping[Kind, Student], state: MetaState, tau: float) -> dict[str, Floats]:
    """The label of one meta-state, name -> (7,).

    Raises:
        InvalidValue: no teacher has seen branches of its algorithm and hyperparameters.
    """
    student = students.get(kind(state))
    if student is None:
        raise InvalidValue(f"no branches of {state.task.algorithm} with {', '.join(state.space.names)} to label {state.run!r}")
    p = softmax(student.effects(features(state)[None]) / tau)[0]
    return dict(zip(student.names, p, strict=True))


def policy(students: Mapping[Kind, Student], checkpoints: Sequence[Checkpoint], tau: float) -> list[Floats]:
    """What the teachers would do at each checkpoint, (names, 7) each. Raises as `pooled` does."""
    return [np.array([*pooled(students, c.state, tau).values()]) for c in checkpoints]


def labelled(states: Iterable[MetaState], label: Label) -> list[Example]:
    """Every run once, each of its decisions labelled."""
    return [Example(state, {i: label(prefix(state, i)) for i in range(state.index + 1)}) for state in longest(states)]


def pooled_examples(checkpoints: Sequence[Checkpoint], students: Mapping[Kind, Student], tau: float) -> list[Example]:
    """Every run once, each of its decisions labelled by what pays on average."""
    return labelled((c.state for c in checkpoints), lambda state: pooled(students, state, tau))


def effect_examples(checkpoints: Sequence[Checkpoint], tau: float, mean_share: float) -> list[Example]:
    """Every run with branches once, labelled at the decisions that were branched."""
    labels: dict[str, dict[int, dict[str, Floats]]] = defaultdict(dict)
    known = [c for c in checkpoints if len(c.seeds)]
    for c in known:
        p = softmax(c.effects(mean_share)[0] / tau)
        labels[c.run][c.state.index] = dict(zip(c.state.space.names, p, strict=True))
    return [Example(state, labels[state.run]) for state in longest(c.state for c in known)]


def around(delta: Theta, names: Sequence[str]) -> dict[str, Floats]:
    """Steps, clipped to STEPS, as the distribution on the two of them around each whose mean it is: name -> (7,). A name
    without a step keeps."""
    return {name: np.array([np.interp(delta.get(name, 0.0), STEPS, step) for step in np.eye(len(STEPS))]) for name in names}


def toward(state: MetaState, target: Theta) -> dict[str, Floats]:
    """The step from a meta-state to tuned values: delta = clip(u(theta*) - u(theta), -2, 2)."""
    names = state.space.names
    return around({name: state.space[name].delta(state.theta[name], target[name]) for name in names}, names)


def taught_examples(checkpoints: Sequence[Checkpoint], teacher: Controller) -> list[Example]:
    """Every run once, each of its decisions labelled with the steps that a controller would take there."""
    return labelled((c.state for c in checkpoints), partial(taught, teacher))


def taught(teacher: Controller, state: MetaState) -> dict[str, Floats]:
    """The label of one meta-state: the steps that a controller would take there."""
    return around(teacher.decide([state])[0].delta, state.space.names)


def exchanged_examples(examples: Sequence[Example], teacher: Controller, copies: int, seed: int) -> list[Example]:
    """`copies` of every run whose intervals have the signals of any interval of any run, but their own returns, labelled anew,
    for those hyperparameters alone of which that changes a label.

    As long as signals are the run's own, what a teacher does follows nearly everywhere from the progress; here it has to be
    read off them.
    """
    rng = np.random.default_rng([seed, 2])
    pool = [interval.signals.values for e in examples for interval in e.state.intervals]

    def exchanged(interval: Interval) -> Interval:
        # Returns are of the task's own scale: where this interval has none, it is not given another task's.
        own = {name: value for name, value in interval.signals.values.items() if name.startswith("return")}
        other = {name: value for name, value in pool[rng.integers(len(pool))].items() if not name.startswith("return")}
        return replace(interval, signals=replace(interval.signals, values={**other, **own}))

    originals = [*examples] * copies
    states = [
        replace(e.state, run=f"{e.state.run}:{k}", intervals=tuple(map(exchanged, e.state.intervals)))
        for k, e in enumerate(originals)
    ]
    found = labelled(states, partial(taught, teacher))
    read = {
        name
        for new, old in zip(found, originals, strict=True)
        for index, label in new.labels.items()
        for name, p in label.items()
        if not np.array_equal(p, old.labels[index][name])
    }
    if not read:
        return []
    return [
        Example(e.state, {i: {n: p for n, p in label.items() if n in read} for i, label in e.labels.items()}) for e in found
    ]


def tuned_examples(checkpoints: Sequence[Checkpoint]) -> list[Example]:
    """Every run of a tuner once, each of its decisions labelled with the step toward what its search found best.

    Raises:
        InvalidValue: none of these runs is a tuner's.
    """
    targets = {c.run: from_json(c.target) for c in checkpoints if c.target}
    if not targets:
        raise InvalidValue("labels=tuned needs runs of a tuner, collected in mode bayes: these have no tuned values")
    # The trials of one search tell their states the same name.
    states = (replace(c.state, run=c.run) for c in checkpoints if c.run in targets)
    return labelled(states, lambda state: toward(state, targets[state.run]))

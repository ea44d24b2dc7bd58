"""Labels from branches, and from a tuner's search."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hyperprompt.controllers.fixed import Anneal, KLAdaptive
from hyperprompt.core import KEEP, STEPS
from hyperprompt.errors import InvalidValue
from hyperprompt.sft import labels
from hyperprompt.sft.examples import prefix
from hyperprompt.testing import lessons


def step(checkpoints, **options):
    """Mean step of the learning rate that the teachers would take at the first checkpoint."""
    students = labels.teachers(checkpoints, 0.5, seeds=range(2), epochs=150, **options)
    return float(labels.policy(students, checkpoints[:1], 0.05)[0][0] @ np.asarray(STEPS))


def test_runs_that_have_learned_what_there_is_teach_nothing_below_a_ceiling():
    learning = lessons.checkpoints(range(12))
    rising = [replace(c, end=0.3 * np.asarray(STEPS)[c.steps[:, 0]], before=0.2) for c in learning]
    rising = [replace(c, mean=c.end) for c in rising]
    learned = [replace(c, end=-c.end, mean=-c.end, before=0.9) for c in rising]
    assert step(rising) > 0.5
    assert abs(step([*rising, *learned])) < 0.5 * step(rising)
    assert step([*rising, *learned], ceiling=0.7) > 0.5
    unknown = [replace(c, before=float("nan")) for c in rising]
    assert step(unknown, ceiling=0.7) > 0.5


def test_a_tuner_s_runs_are_labelled_with_the_step_toward_what_it_found():
    (c, *_) = lessons.searched(range(12), {"learning_rate": 1e-3, "clip_range": 0.4, "n_epochs": 1.0})
    at = replace(c.state, theta={**c.state.theta, "learning_rate": 6e-4, "clip_range": 0.2, "n_epochs": 10.0})
    label = labels.toward(at, json.loads(c.target))
    means = {name: float(p @ np.asarray(STEPS)) for name, p in label.items()}
    assert means["learning_rate"] == pytest.approx(np.log2(10 / 6))
    assert (means["clip_range"], means["n_epochs"]) == (2.0, -2.0)  # the largest steps, where it is farther
    assert all(p.sum() == pytest.approx(1.0) and np.count_nonzero(p) <= 2 for p in label.values())
    kept = labels.toward(replace(at, theta=json.loads(c.target)), json.loads(c.target))
    assert all(p[KEEP] == 1.0 for p in kept.values())


def test_every_decision_of_every_run_of_a_tuner_has_a_label_and_others_have_none():
    searched, others = lessons.searched(range(12), {"learning_rate": 1e-3}), lessons.checkpoints(range(12, 14))
    examples = labels.tuned_examples([*searched, *others])
    assert {e.state.run for e in examples} == {c.run for c in searched}
    assert all(sorted(e.labels) == list(range(e.state.index + 1)) for e in examples)
    with pytest.raises(InvalidValue, match="bayes"):
        labels.tuned_examples(others)


def test_copies_with_exchanged_signals_keep_their_runs_but_for_what_the_teacher_reads():
    teacher = KLAdaptive()
    examples = labels.taught_examples(lessons.checkpoints(range(6)), teacher)
    copies = labels.exchanged_examples(examples, teacher, 2, seed=3)
    assert len({e.state.run for e in [*examples, *copies]}) == 18
    known = {i.signals.values["approx_kl"] for e in examples for i in e.state.intervals}
    both = zip(copies, [*examples] * 2, strict=True)
    pairs = [pair for e, own in both for pair in zip(e.state.intervals, own.state.intervals, strict=True)]
    for mine, own in pairs:
        assert (mine.theta, mine.delta, mine.step) == (own.theta, own.delta, own.step)
        assert mine.signals.values["return_mean"] == own.signals.values["return_mean"]
        assert mine.signals.values["approx_kl"] in known
    changed = sum(mine.signals.values["approx_kl"] != own.signals.values["approx_kl"] for mine, own in pairs)
    assert 0.1 < changed / len(pairs) < 0.7  # there are but two values
    for e in copies:
        for i, label in e.labels.items():
            wanted = teacher.decide([prefix(e.state, i)])[0].delta.get("learning_rate", 0.0)
            assert set(label) == {"learning_rate"}, "a rule that reads nothing for the others"
            assert label["learning_rate"] @ np.asarray(STEPS) == pytest.approx(wanted)
    again = labels.exchanged_examples(examples, teacher, 2, seed=3)
    assert [e.state for e in again] == [e.state for e in copies]
    assert [e.state for e in labels.exchanged_examples(examples, teacher, 2, seed=4)] != [e.state for e in copies]


def test_an_interval_without_a_return_is_not_given_another_task_s():
    examples = labels.taught_examples(lessons.checkpoints(range(6)), KLAdaptive())
    first, *others = examples

    def silent(interval):
        kept = {name: v for name, v in interval.signals.values.items() if not name.startswith("return")}
        return replace(interval, signals=replace(interval.signals, values=kept))

    bare = replace(first, state=replace(first.state, intervals=tuple(map(silent, first.state.intervals))))
    copies = labels.exchanged_examples([bare, *others], KLAdaptive(), 3, seed=0)
    ours = [interval.signals.values for e in copies[::6] for interval in e.state.intervals]
    assert any("approx_kl" in values for values in ours)
    assert not any(name.startswith("return") for values in ours for name in values)


def test_a_teacher_that_reads_no_signal_has_no_copies():
    examples = labels.taught_examples(lessons.checkpoints(range(3)), Anneal())
    assert not labels.exchanged_examples(examples, Anneal(), 1, seed=0)

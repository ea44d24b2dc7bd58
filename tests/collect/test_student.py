"""Students on synthetic branches whose best step depends on one feature of the state."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("gymnax")

from hyperprompt.collect.student import RUINED, Branches, Student, advantages, arrays, effects, features, softmax, train
from hyperprompt.core import KEEP, STEPS, Interval, MetaState, Signals
from hyperprompt.errors import UnknownName
from hyperprompt.hyperparameters import for_algorithm
from hyperprompt.testing import lessons

SPACE = for_algorithm("ppo").subset(("learning_rate", "ent_coef"))
LEVELS = np.asarray(STEPS)


def branches(seed: int, noise: float = 0.1, checkpoints: int = 60, each: int = 24) -> Branches:
    """Raising `a` helps where feature 0 is positive and harms where it is negative; `b` never matters."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], size=(checkpoints, 3))
    group = np.repeat(np.arange(checkpoints), each)
    actions = rng.integers(len(STEPS), size=(len(group), 2))
    level = rng.normal(size=checkpoints)
    scores = level[group] + 0.2 * x[group, 0] * LEVELS[actions[:, 0]] + noise * rng.standard_normal(len(group))
    return Branches(x, actions, scores, group, ("a", "b"), np.full(checkpoints, noise), np.arange(checkpoints) % 3)


def explained(student: Student, data: Branches) -> float:
    """Correlation of predicted and seen advantages of branches."""
    e = student.effects(data.features)
    e = e - e.mean(-1, keepdims=True)
    predicted = np.take_along_axis(e[data.group], data.actions[:, :, None], 2)[:, :, 0].sum(1)
    return float(np.corrcoef(predicted, advantages(data))[0, 1])


def value(student: Student, data: Branches) -> float:
    """Mean fitted effect, over checkpoints, of the mean step that the student would take, relative to keep."""
    e, _ = effects(data)
    e = e - e[..., KEEP : KEEP + 1]
    steps = softmax(student.effects(data.features) / student.tau) @ LEVELS
    gains = [[np.interp(steps[i, j], STEPS, e[i, j]) for j in range(e.shape[1])] for i in range(len(e))]
    return float(np.sum(gains, 1).mean())


def test_how_far_a_run_is_lost_does_not_matter():
    checkpoint = lessons.checkpoints([0])[0]
    end = np.linspace(-30.0, 1.0, len(checkpoint.seeds))
    scores = arrays([replace(checkpoint, end=end, mean=end, random=-1.0, unit=2.0)]).scores
    assert scores.min() == RUINED
    assert scores[-1] == 1.0
    assert (scores == RUINED).sum() == (end <= -2.0).sum()


def test_checkpoints_whose_seeds_disagree_do_not_drown_the_others():
    clean, loud = branches(0), branches(3, noise=5.0, checkpoints=20)
    both = Branches(
        np.concatenate([clean.features, loud.features]),
        np.concatenate([clean.actions, loud.actions]),
        np.concatenate([clean.scores, loud.scores]),
        np.concatenate([clean.group, 60 + loud.group]),
        clean.names,
        np.concatenate([clean.noise, loud.noise]),
        np.concatenate([clean.task, loud.task]),
    )
    told, untold = train(both, seeds=(0,), epochs=200), train(replace(both, noise=np.ones(80)), seeds=(0,), epochs=200)
    assert explained(told, branches(1)) > 0.8
    assert explained(untold, branches(1)) < explained(told, branches(1))


@pytest.mark.parametrize("labels", ["pooled", "effects"])
def test_a_student_learns_which_state_asks_for_which_step(labels):
    student = train(branches(0), labels=labels, seeds=(0,), epochs=200)
    unseen = branches(1)
    e = student.effects(np.array([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]]))
    assert e[0, 0].argmax() == 6
    assert e[1, 0].argmax() == 0
    assert value(student, unseen) > 0.2
    if labels == "pooled":
        assert explained(student, unseen) > 0.8


def test_pessimism_leaves_alone_what_tasks_disagree_about():
    rng = np.random.default_rng(0)
    checkpoints, each = 80, 24
    x, task = rng.choice([-1.0, 1.0], size=(checkpoints, 3)), np.arange(checkpoints) % 4
    group = np.repeat(np.arange(checkpoints), each)
    actions = rng.integers(len(STEPS), size=(len(group), 2))
    sides = np.array([1.0, 1.0, 1.0, -1.0])[task]  # raising `a` pays on three tasks of four, and `b` on all
    scores = 0.2 * sides[group] * LEVELS[actions[:, 0]] + 0.2 * LEVELS[actions[:, 1]] + 0.05 * rng.standard_normal(len(group))
    data = Branches(x, actions, scores, group, ("a", "b"), np.full(checkpoints, 0.05), task)
    steps = {}
    for pessimism in (0.0, 2.0):
        student = train(data, seeds=range(6), epochs=150, share=0.5, pessimism=pessimism)
        steps[pessimism] = softmax(student.effects(x) / student.tau) @ LEVELS
    assert steps[0.0][:, 0].mean() > 0.5
    assert abs(steps[2.0][:, 0].mean()) < 0.5 * steps[0.0][:, 0].mean()
    assert steps[2.0][:, 1].mean() > 0.8 * steps[0.0][:, 1].mean()


def test_a_student_that_may_not_look_gains_nothing_here():
    student = train(branches(0), seeds=(0,), epochs=100, sees="nothing")
    assert abs(value(student, branches(1))) < 0.1


def test_advantages_leave_out_the_level_of_the_checkpoint():
    data = branches(2)
    a = advantages(data)
    means = np.bincount(data.group, a) / np.bincount(data.group)
    np.testing.assert_allclose(means, 0.0, atol=1e-12)


def state(*signals: dict[str, float]) -> MetaState:
    theta = {"learning_rate": 3e-4, "ent_coef": 0.0}
    rows = tuple(Interval(i, 512 * (i + 1), theta, {}, Signals(s)) for i, s in enumerate(signals))
    from hyperprompt.core import Task

    task = Task("t", "ppo", "discrete", "vector", 4, 2, 16, 512 * 64)
    return MetaState("r", task, SPACE, 512 * len(rows), theta, rows)


def test_features_are_finite_and_of_order_one_whatever_is_missing():
    full = {"return_mean": 1e4, "approx_kl": 3.0, "value_loss": 1e9, "gradient_norm": 0.5, "explained_variance": -1e6,
            "clip_fraction": 0.9, "entropy_fraction": 0.2}  # fmt: skip
    for case in (state(), state({}), state({}, full), state(full, {}), state(full, full), state({"return_mean": math.pi})):
        x = features(case)
        assert x.shape == features(state()).shape
        assert np.isfinite(x).all()
        assert np.abs(x).max() < 4


def test_features_do_not_depend_on_the_task_s_unit_of_return():
    rows = [{"return_mean": v} for v in (1.0, 3.0, 2.0)]
    scaled = [{"return_mean": 50 * v - 7} for v in (1.0, 3.0, 2.0)]
    np.testing.assert_allclose(features(state(*rows)), features(state(*scaled)))


def test_a_student_answers_with_steps_and_probabilities():
    data = branches(0)
    n = len(features(state()))
    wide = replace(data, features=np.tile(data.features[:, :1], (1, n)), names=SPACE.names)
    student = train(wide, seeds=(0,), epochs=5)
    (answer,) = student.decide([state()])
    assert set(answer.delta) == set(SPACE.names)
    assert all(sum(p) == pytest.approx(1.0) for p in answer.probabilities.values())


def test_unknown_labels_and_choices_are_named():
    with pytest.raises(UnknownName, match="pooled"):
        train(branches(0), labels="polled")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="likeliest"):
        train(branches(0), choice="worst")

"""Aggregates against rliable's recorded outputs and hand-worked cases, and what an interval must do."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprompt.errors import InvalidValue
from hyperprompt.evaluation import statistics
from hyperprompt.evaluation.statistics import (
    Estimate,
    bootstrap,
    difference,
    iqm,
    mean,
    mean_ratio,
    optimality_gap,
    probability_of_improvement,
)

RLIABLE = json.loads((Path(__file__).parent / "fixtures" / "rliable.json").read_text())
AGGREGATES = (iqm, mean, optimality_gap)

any_machine = settings(deadline=None, max_examples=50)
task_scores = st.lists(st.floats(-5, 5, allow_subnormal=False), min_size=1, max_size=6)


@st.composite
def two_methods(draw, tasks: int = 4):
    names = [f"t{i}" for i in range(draw(st.integers(1, tasks)))]
    return [{name: np.array(draw(task_scores)) for name in names} for _ in range(2)]


@pytest.mark.parametrize("name", RLIABLE["cases"])
def test_aggregates_equal_those_of_rliable(name: str):
    case = RLIABLE["cases"][name]
    x, y = np.array(case["x"]), np.array(case["y"])
    for aggregate in AGGREGATES:
        assert float(aggregate(x)) == pytest.approx(case[aggregate.__name__], abs=1e-9), aggregate.__name__
    assert float(probability_of_improvement(x, y)) == pytest.approx(case["probability_of_improvement"], abs=1e-9)


@pytest.mark.parametrize("name", RLIABLE["cases"])
def test_the_uncorrected_interval_is_that_of_rliable(name: str):
    case = RLIABLE["cases"][name]
    found = bootstrap(iqm, np.array(case["x"]), seed=0, replicates=RLIABLE["replicates"], corrected=False)
    low, high = case["iqm_percentile_interval"]
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.03 * (high - low))  # both are random


def test_every_task_weighs_the_same_whatever_its_seeds():
    scores = {"many": [0.0] * 10, "few": [1.0] * 2}
    assert [float(aggregate(scores)) for aggregate in (mean, iqm)] == pytest.approx([0.5] * 2)
    # 4 runs, one of weight: a 1/2, b 1/6 each; a quarter is cut at either end, b's highest and half of the second highest
    assert float(iqm({"a": [0.0], "b": [1.0, 2.0, 3.0]})) == pytest.approx((0.0 * 0.25 + 1 / 6 * 1.0 + 1 / 12 * 2.0) / 0.5)


@any_machine
@given(two_methods())
def test_iqm_of_whole_quarters_does_not_change_when_the_seeds_of_one_task_are_doubled(methods):
    scores = {task: np.tile(x, 4) for task, x in methods[0].items()}
    first = next(iter(scores))
    assert float(iqm({**scores, first: np.tile(scores[first], 2)})) == pytest.approx(float(iqm(scores)), abs=1e-9)


@any_machine
@given(two_methods())
def test_iqm_lies_between_the_lowest_and_the_highest_run(methods):
    runs = np.concatenate(list(methods[0].values()))
    assert runs.min() - 1e-9 <= float(iqm(methods[0])) <= runs.max() + 1e-9


@any_machine
@given(two_methods(), st.randoms(use_true_random=False))
def test_neither_the_order_of_tasks_nor_that_of_seeds_matters(methods, random):
    x, y = methods
    mixed = {task: np.array(random.sample(list(x[task]), len(x[task]))) for task in random.sample(sorted(x), len(x))}
    for aggregate in AGGREGATES:
        assert float(aggregate(mixed)) == pytest.approx(float(aggregate(x)), abs=1e-9)
    assert float(probability_of_improvement(mixed, y)) == pytest.approx(float(probability_of_improvement(x, y)), abs=1e-9)


@any_machine
@given(two_methods())
def test_either_method_improves_on_the_other_or_ties(methods):
    x, y = methods
    forth, back = float(probability_of_improvement(x, y)), float(probability_of_improvement(y, x))
    assert forth + back == pytest.approx(1.0)
    assert 0 <= forth <= 1
    assert float(probability_of_improvement(x, x)) == pytest.approx(0.5)


@any_machine
@given(two_methods(), st.floats(0.1, 10), st.floats(-5, 5))
def test_shifting_and_stretching_all_scores_shifts_and_stretches_the_aggregates(methods, factor, shift):
    x = methods[0]
    for aggregate in (iqm, mean):
        moved = float(aggregate({task: factor * v + shift for task, v in x.items()}))
        assert moved == pytest.approx(factor * float(aggregate(x)) + shift, abs=1e-7)


def test_aggregates_of_replicates_are_those_of_each_replicate_alone():
    rng = np.random.default_rng(0)
    x, y = ({"a": rng.normal(size=(7, 3)), "b": rng.normal(size=(7, 5))} for _ in range(2))
    for i in range(7):
        xi, yi = ({task: v[i] for task, v in scores.items()} for scores in (x, y))
        for aggregate in AGGREGATES:
            assert aggregate(x)[i] == pytest.approx(float(aggregate(xi)))
        assert probability_of_improvement(x, y)[i] == pytest.approx(float(probability_of_improvement(xi, yi)))


def test_mean_ratio_is_the_geometric_mean_of_the_tasks_ratios():
    assert float(mean_ratio({"a": [2.0, 6.0], "b": [10.0]}, {"a": [1.0], "b": [10.0, 10.0]})) == pytest.approx(2.0)
    with pytest.raises(InvalidValue, match="above 0"):
        mean_ratio({"a": [1.0]}, {"a": [-1.0, 1.0]})


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: iqm({"good": [1.0], "CartPole": [1.0, math.nan]}), "'CartPole'.*nan"),
        (lambda: iqm({"CartPole": [math.inf]}), "'CartPole'.*inf"),
        (lambda: mean(np.array([[1.0, math.nan]])), "'1'"),
        (lambda: mean({"CartPole": []}), "'CartPole' has no seeds"),
        (lambda: mean({"CartPole": 3.0}), "'CartPole' has no seeds"),
        (lambda: mean({}), "no tasks"),
        (lambda: mean(np.ones(3)), r"\(seeds, tasks\), not \(3,\)"),
        (lambda: probability_of_improvement({"a": [1.0], "b": [1.0]}, {"a": [1.0], "c": [1.0]}), r"\['b', 'c'\]"),
        (lambda: bootstrap(iqm, {"a": [1.0, 2.0]}, seed=0, confidence=1.0), "confidence"),
        (lambda: bootstrap(iqm, {"a": [1.0, 2.0]}, seed=0, replicates=0), "replicates"),
    ],
)
def test_malformed_scores_are_refused_by_name(call, named: str):
    with pytest.raises(InvalidValue, match=named):
        call()


SCORES = {"a": [0.1, 0.4, 0.3], "b": [0.9, 1.4, 1.2, 0.8, 1.0]}
BASELINE = {"b": [0.7, 1.2, 0.9, 1.0, 0.6], "a": [0.2, 0.1, 0.2]}


def test_an_interval_follows_from_the_seed_and_not_from_the_order_of_the_tasks():
    first = bootstrap(difference(iqm), SCORES, BASELINE, seed=3)
    assert bootstrap(difference(iqm), dict(reversed(SCORES.items())), BASELINE, seed=3) == first
    assert bootstrap(difference(iqm), SCORES, BASELINE, seed=4) != first
    assert first.value == pytest.approx(float(iqm(SCORES) - iqm(BASELINE)))
    assert first.low < first.value < first.high


def test_the_difference_of_a_method_to_itself_resampled_independently_holds_zero():
    found = bootstrap(difference(mean), SCORES, SCORES, seed=0)
    assert found.value == 0.0
    assert found.low < 0.0 < found.high


def test_tasks_are_strata_so_that_their_differences_are_no_uncertainty():
    found = bootstrap(mean, {"easy": [100.0] * 3, "hard": [0.0] * 5}, seed=0)
    assert found == Estimate(50.0, 50.0, 50.0)


def test_a_task_of_one_seed_leaves_the_value_and_no_interval():
    found = bootstrap(mean, {"a": [1.0], "b": [2.0, 4.0]}, seed=0)
    assert found.value == 2.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_the_replicates_of_a_mean_have_its_unbiased_variance():
    x = {"a": [0.0, 0.0, 3.0], "b": [1.0, 5.0]}
    expected = (np.var(x["a"], ddof=1) / 3 + np.var(x["b"], ddof=1) / 2) / 4
    drawn: list[np.ndarray] = []

    def kept(scores):
        drawn.append(mean(scores))
        return drawn[-1]

    bootstrap(kept, x, seed=0, replicates=50_000)
    (replicates,) = (values for values in drawn if values.size == 50_000)
    assert np.var(replicates) == pytest.approx(expected, rel=0.03)


GROUPED = {"a": [0.5, 0.5, 10.5, 10.5, 5.0, 5.0]}


@pytest.mark.parametrize(
    ("scores", "groups"), [(GROUPED["a"], [0, 0, 1, 1, 2, 2]), ([0.5, 10.5, 10.5, 5.0, 5.0, 5.0], [0, 1, 1, 2, 2, 2])]
)
def test_runs_that_are_alike_within_their_group_count_as_one(scores: list[float], groups: list[int]):
    found, three = (
        bootstrap(mean, {"a": scores}, seed=0, groups=[{"a": groups}]),
        bootstrap(mean, {"a": [0.5, 10.5, 5.0]}, seed=0),
    )
    one_by_one = bootstrap(mean, {"a": scores}, seed=0)
    assert [found.low, found.high] == pytest.approx([three.low, three.high])
    assert found.high - found.low > one_by_one.high - one_by_one.low


def test_groups_of_one_run_each_are_runs():
    assert bootstrap(mean, GROUPED, seed=0, groups=[{"a": range(6)}]) == bootstrap(mean, GROUPED, seed=0)


def test_an_interval_needs_three_groups_of_whatever_method():
    two = {"a": [0, 0, 0, 1, 1, 1]}
    for groups in ([two, {}], [{}, two]):
        found = bootstrap(difference(mean), GROUPED, {"a": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}, seed=0, groups=groups)
        assert math.isfinite(found.value)
        assert math.isnan(found.low)


@pytest.mark.parametrize("sizes", [[3] * 3, [4, 3, 3], [3] * 10])
def test_the_interval_over_groups_holds_the_truth_about_as_often_as_it_says(sizes: list[int]):
    """Groups with a spread of their own."""
    rng = np.random.default_rng(0)
    labels = {"a": np.repeat(np.arange(len(sizes)), sizes).tolist()}
    held = []
    for _ in range(150):
        x = {"a": np.repeat(rng.normal(size=len(sizes)), sizes) + rng.normal(size=sum(sizes))}
        found = [bootstrap(mean, x, seed=0, replicates=400, groups=which) for which in ([labels], ())]
        held.append([each.low <= 0.0 <= each.high for each in found])
    grouped, one_by_one = np.mean(held, axis=0)
    assert one_by_one < 0.88 < grouped


def test_groups_of_unequal_size_are_as_uncertain_as_the_smallest():
    """Nothing differs between the groups: a mean of 3 x 3 runs, of which the correction takes one group away."""
    labels, x = np.repeat(np.arange(3), [7, 7, 3]), np.tile([-1.0, 1.0], 9)[:17]
    units = statistics._units({"a": x}, {"a": labels.tolist()})["a"]
    drawn = statistics._resample(x, units, 20_000, 1, np.random.default_rng(0))
    assert drawn.shape == (20_000, 2 * 3)
    assert np.var(drawn.mean(axis=-1)) == pytest.approx(1 / 6, rel=0.1)


@pytest.mark.parametrize(
    ("scores", "degrees"),
    [
        ({"a": [0.0, 1.0, 2.0], "b": [5.0, 6.0, 7.0]}, 4.0),  # equal variances add their degrees
        ({"a": [0.0, 1.0, 2.0], "b": [5.0] * 9}, 2.0),  # a task without variance adds none
        ({"a": [0.0, 3.0, 6.0], "b": [5.0, 6.0, 7.0]}, (9 + 1) ** 2 / (81 / 2 + 1 / 2)),
        ({"a": [0.0, 1e-120, 2e-120], "b": [5e-120, 6e-120, 7e-120]}, 4.0),
        ({"a": [1.0, 1.0]}, math.inf),
    ],
)
def test_degrees_of_freedom_are_those_of_welch_and_satterthwaite(scores, degrees: float):
    sample = statistics.strata(scores)
    assert statistics._degrees(mean, [sample], [statistics._units(sample, {})]) == pytest.approx(degrees)


@pytest.mark.parametrize(
    ("degrees", "t"), [(3, 3.1824), (4, 2.7764), (8, 2.3060), (16, 2.1199), (30, 2.0423), (math.inf, 1.9600)]
)
def test_the_tail_is_that_of_students_t(degrees: float, t: float):
    tail = statistics._normal_tail(0.025, degrees)
    assert -statistics.NormalDist().inv_cdf(tail) == pytest.approx(t, rel=0.01)


def test_options_reach_the_aggregate_in_every_replicate():
    found = bootstrap(optimality_gap, {"a": [0.0, 1.0, 5.0]}, seed=0, gamma=5.0)
    assert found.value == pytest.approx(3.0)
    assert found.high > 4.0


def test_an_estimate_reads_as_text():
    assert str(Estimate(0.8, 0.7, 0.95)) == "0.8 [0.7, 0.95]"

"""Censored steps to a target: a published table, synthetic curves with known crossings, and static against static."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hyperprompt.errors import InvalidValue
from hyperprompt.evaluation.censoring import (
    Spending,
    censored,
    kaplan_meier,
    median_steps,
    restricted_mean,
    step_ratio,
    target_return,
)
from hyperprompt.evaluation.metrics import final_return, steps_to
from hyperprompt.evaluation.statistics import Estimate, bootstrap

INF = math.inf
REMISSION = (  # weeks of remission under 6-MP, Freireich et al. 1963; True where the relapse was seen
    [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35],
    [True] * 9 + [False] * 12,
)

T, INTERVALS = 100_000.0, 100
STEPS = np.linspace(T / INTERVALS, T, INTERVALS)


def curves(taus: NDArray[np.float64], rng: np.random.Generator, noise: float = 0.01) -> NDArray[np.float64]:
    """R(s) = 1 - exp(-s / tau) with noise, (runs, INTERVALS); it crosses R* at s = -tau ln(1 - R*)."""
    clean = 1.0 - np.exp(-STEPS / np.asarray(taus)[:, None])
    return clean + noise * rng.normal(size=clean.shape)


def sample(taus: NDArray[np.float64], target: float, rng: np.random.Generator) -> NDArray[np.float64]:
    return censored([steps_to(STEPS, curve, target) for curve in curves(taus, rng)], T)


def test_kaplan_meier_gives_the_published_survival_of_the_remission_data():
    weeks, seen = np.array(REMISSION[0], dtype=float), np.array(REMISSION[1])
    data = censored(np.where(seen, weeks, INF), weeks)
    times, survival = kaplan_meier(data)
    np.testing.assert_array_equal(times, [6, 7, 10, 13, 16, 22, 23])
    np.testing.assert_allclose(survival, [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], atol=5e-4)
    assert median_steps(data) == 23
    heights, edges = np.append(1.0, survival), np.concatenate([[0.0], times, [35.0]])
    assert float(restricted_mean(data, 35.0)) == pytest.approx(float(np.sum(heights * np.diff(edges))))


@given(st.lists(st.floats(1, 200) | st.just(INF), min_size=1, max_size=12), st.floats(10, 150))
@settings(deadline=None, max_examples=100)
def test_runs_censored_at_the_budget_alone_give_the_mean_of_the_steps_made(steps: list[float], horizon: float):
    data = censored(steps, horizon)
    assert float(restricted_mean(data, horizon)) == pytest.approx(np.minimum(steps, horizon).mean())
    times, survival = kaplan_meier(data)
    for time, share in zip(times, survival, strict=True):
        assert share == pytest.approx(np.mean(np.array(steps) > time))


def test_a_run_cut_off_at_the_step_at_which_another_reaches_was_still_at_risk():
    for order in ([0, 1, 2], [2, 1, 0]):
        data = censored(np.array([INF, 10.0, INF])[order], np.array([10.0, 10.0, 20.0])[order])
        times, survival = kaplan_meier(data)
        np.testing.assert_array_equal(times, [10.0])
        np.testing.assert_allclose(survival, [2 / 3])


@pytest.mark.parametrize(
    ("steps", "expected"),
    [([10, 20, 30], 20), ([10, 20, INF, INF], 20), ([10, INF, INF], INF), ([INF], INF), ([10, 101, 102], INF), ([5, 5, 9], 5)],
)
def test_the_median_keeps_what_was_not_reached(steps: list[float], expected: float):
    assert median_steps(censored(steps, 100)) == expected


def test_restricted_means_of_replicates_are_those_of_each_replicate_alone():
    rng = np.random.default_rng(0)
    ends = rng.uniform(20, 100, size=(6, 5))
    data = censored(np.where(rng.random((6, 5)) < 0.3, INF, rng.uniform(1, 100, size=(6, 5))), ends)
    expected = [float(restricted_mean(data[:, i], 80.0)) for i in range(6)]
    np.testing.assert_allclose(restricted_mean(data, 80.0), expected)


def test_runs_that_end_early_do_not_bias_the_estimate():
    """Steps to R* and the end of a run independent and exponential: the mean of the crossings seen is far too low."""
    rng = np.random.default_rng(1)
    crossing, end = rng.exponential(100, 4000), rng.exponential(100, 4000)
    data = censored(np.where(crossing <= end, crossing, INF), end)
    truth = 100 * (1 - math.exp(-1.5))
    assert float(restricted_mean(data, 150.0)) == pytest.approx(truth, rel=0.03)
    assert crossing[crossing <= end].mean() < 0.7 * truth
    assert median_steps(data) == pytest.approx(100 * math.log(2), rel=0.06)


def test_known_crossings_of_learning_curves_are_recovered_within_two_intervals():
    """Half an interval late by the grid, the rest by noise: a sustained crossing waits until the curve is clear of R*."""
    rng = np.random.default_rng(2)
    taus = rng.lognormal(math.log(50_000), 0.5, 300)
    target = 0.8
    truth = np.minimum(-taus * math.log(1 - target), T)
    data = sample(taus, target, rng)
    assert 0.2 < np.mean(truth == T) < 0.5  # many are censored
    assert float(restricted_mean(data, T)) == pytest.approx(truth.mean(), abs=2 * T / INTERVALS)
    assert median_steps(data) == pytest.approx(np.median(truth), abs=2 * T / INTERVALS)


def static_taus(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.lognormal(math.log(30_000), 0.3, n)


def separate_target(rng: np.random.Generator) -> float:
    found = target_return([final_return(STEPS, curve, T) for curve in curves(static_taus(3, rng), rng)], random=0.0)
    assert found.value is not None
    return found.value


def ratio_of(x: dict[str, NDArray[np.float64]], y: dict[str, NDArray[np.float64]], seed: int = 0) -> Estimate:
    spending = dict.fromkeys(x, Spending(T))
    return bootstrap(step_ratio, x, y, seed=seed, replicates=500, ours=spending, theirs=spending)


def test_static_against_static_needs_the_same_steps():
    """Over many comparisons of 4 tasks x 5 seeds the ratio is 1 on average, and most intervals hold 1."""
    rng = np.random.default_rng(3)
    ratios, held = [], 0
    for i in range(40):
        targets = {f"task{k}": separate_target(rng) for k in range(4)}
        static, again = (
            {task: sample(static_taus(5, rng), target, rng) for task, target in targets.items()} for _ in range(2)
        )
        found = ratio_of(static, again, seed=i)
        ratios.append(found.value)
        held += found.low <= 1.0 <= found.high
    assert float(np.exp(np.mean(np.log(ratios)))) == pytest.approx(1.0, abs=0.03)
    assert held >= 34


def test_steps_to_the_level_where_the_baseline_ends_would_flatter_static_against_itself():
    """The trap: a first touch of the very level at which another static run ends, against the whole budget."""
    rng = np.random.default_rng(4)
    shares = []
    for _ in range(50):
        one, other = curves(static_taus(2, rng), rng)
        shares.append(min(steps_to(STEPS, one, final_return(STEPS, other, T), sustain=0), T) / T)
    assert float(np.mean(shares)) < 0.9


def test_a_faster_method_saves_its_share_of_the_steps():
    rng = np.random.default_rng(5)
    taus = {task: rng.lognormal(math.log(scale), 0.2, 10) for task, scale in {"a": 20_000, "b": 10_000}.items()}
    baseline = {task: sample(x, 0.8, rng) for task, x in taus.items()}
    method = {task: sample(x / 2, 0.8, rng) for task, x in taus.items()}
    found = ratio_of(method, baseline)
    assert found.value == pytest.approx(0.5, abs=0.04)
    assert found.low < 0.5 < found.high < 1
    alone = [ratio_of({task: method[task]}, {task: baseline[task]}).value for task in taus]
    assert found.value == pytest.approx(math.sqrt(math.prod(alone)))


def test_runs_that_never_arrive_count_with_the_whole_budget():
    spending = {"a": Spending(100.0)}
    half, all_of_them, never = ({"a": censored(x, 100)} for x in ([50, INF], [50, 50], [INF, INF]))
    assert float(step_ratio(half, all_of_them, spending, spending)) == pytest.approx(1.5)
    assert float(step_ratio(never, never, spending, spending)) == 1.0


@pytest.mark.parametrize(
    ("spending", "expected"),
    [
        (Spending(100), 75),  # (50 + 100) / 2
        (Spending(100, budget=100), 75),
        (Spending(100, budget=130), 75 + 30 / 2),  # of what missed, all spends the rest
        (Spending(100, budget=200), 75 + 75 / 2),
        (Spending(100, budget=380), 75 * (1 + 1 / 2 + 1 / 4) + (50 + 80) / 2 / 8),
        (Spending(100, budget=1e5), 75 / 0.5),  # the expected running time: all steps over runs that arrive
        (Spending(100, search=800), 875),
        (Spending(100, members=4, budget=800), 4 * (75 + 75 / 2)),
        (Spending(100, members=4, search=10, budget=430), 10 + 4 * (75 + 5 / 2)),
    ],
)
def test_what_misses_the_target_runs_again_while_the_budget_lasts(spending: Spending, expected: float):
    assert float(spending.steps(censored([50, INF], 100))) == pytest.approx(expected)


def test_a_method_that_never_arrives_spends_the_whole_budget_whatever_its_runs_cost():
    never = censored([INF, INF], 100)
    budget = 930.0
    for spending in (Spending(100, budget=budget), Spending(100, 4, budget=budget), Spending(100, search=800, budget=budget)):
        assert float(spending.steps(never)) == pytest.approx(budget)


def test_expected_steps_are_those_of_simulated_restarts():
    rng = np.random.default_rng(7)
    own, budget = np.array([20.0, 60.0, INF, INF, INF]), 350.0
    spent = []
    for _ in range(20_000):
        total = 0.0
        while total < budget and math.isinf(found := float(rng.choice(own))):
            total += 100.0
        spent.append(min(budget, total + found))
    assert float(Spending(100, budget=budget).steps(censored(own, 100))) == pytest.approx(np.mean(spent), rel=0.02)


def test_the_target_lies_between_random_and_the_mean_end_of_static():
    assert target_return([100.0, 110.0, 120.0], random=10.0).value == pytest.approx(10 + 0.9 * 100)
    assert target_return([-50.0, -50.0], random=-200.0, random_error=5.0, share=0.5).value == pytest.approx(-125.0)


@pytest.mark.parametrize(
    ("static", "random", "error", "reason"),
    [
        ([10.0], 0.0, 0.0, "from 1 static runs"),
        ([], 0.0, 0.0, "from 0 static runs"),
        ([1.0, 9.0], 0.0, 0.0, "not clearly learn.*5 above random.*error 4"),  # one lucky seed
        ([10.0, 10.0], 0.0, 5.0, "not clearly learn"),  # exactly two standard errors of the random policy
        ([1.0, 1.0], 2.0, 0.0, "not clearly learn"),
    ],
)
def test_a_task_where_static_does_not_clearly_learn_has_no_target_and_says_why(static, random, error, reason: str):
    found = target_return(static, random, error)
    assert found.value is None
    assert re.search(reason, found.reason)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: target_return([1.0, 1.0], 0.0, share=0.0), "share"),
        (lambda: target_return([1.0, math.nan], 0.0), "finite"),
        (lambda: censored([1.0, math.nan], 10), "above 0"),
        (lambda: censored([0.0], 10), "above 0"),
        (lambda: censored([1.0], INF), "finite"),
        (lambda: censored([1.0], [0.0]), "above 0"),
        (lambda: step_ratio({"a": censored([1], 9)}, {"b": censored([1], 9)}, {}, {}), r"\['a', 'b'\]"),
    ],
)
def test_malformed_steps_are_refused(call, named: str):
    with pytest.raises(InvalidValue, match=named):
        call()

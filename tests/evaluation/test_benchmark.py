"""A benchmark's numbers on made-up runs whose answers are known by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperprompt.errors import InvalidValue, MissingDependency
from hyperprompt.evaluation import (
    benchmark,
    benchmark_report,
    benchmark_tables,
    benchmark_task_tables,
    benchmark_total_tables,
    plots,
    statistics,
)
from hyperprompt.evaluation.benchmark import Tables, tables, verdict
from hyperprompt.evaluation.censoring import median_steps
from hyperprompt.evaluation.comparison import MINUS, NOT_KNOWN, Run
from hyperprompt.evaluation.outcomes import Outcome, Record
from hyperprompt.evaluation.statistics import Estimate

T = 1000
STEPS = [float(s) for s in range(100, T + 1, 100)]
NEVER = 2 * T


def run(at: float, seed: int = 0, env: str = "own/task", top: float = 1.0, members: int = 1, **agent: float) -> Record:
    """A run that returns 0 before step `at` and `top` from there on."""
    returns = [top if step >= at else 0.0 for step in STEPS]
    record: dict[str, Any] = {
        "task": env,
        "seed": seed,
        "result": {
            "auc": float(np.mean(returns)),
            "final_return": returns[-1],
            "steps": T * members,
            "wall_seconds": 10.0 * members,
            "adapt_seconds": 0.1,
            "gradient_updates": 100,
        },
        "curve": {"step": STEPS, "return_mean": returns},
        "config": {"env": env, "algo": "ppo", "steps": T, "seed": seed, "env_options": {}, "agent": agent},
        "versions": {"python": "3"},
    }
    return {**record, "members": members} if members > 1 else record


def failed(seed: int = 0, steps: float = 0.0) -> Record:
    return {"seed": seed, "error": "Traceback\nValueError: NaN", "steps": steps, "config": run(0)["config"]}


def outcomes(method: str, *at: float, **more: Any) -> list[Outcome]:
    """One outcome a seed, which reaches its level at the given steps."""
    return [Outcome("task", method, i, run(a, i, **more)) for i, a in enumerate(at)]


def compare(*methods: list[Outcome], targets: list[Outcome] | None = None) -> Tables:
    flat = [outcome for method in methods for outcome in method]
    separate = targets or outcomes("static", 400, 500)
    return tables(flat, separate, {"task": (0.0, 0.0)}, baseline="static", share=0.9, resamples=200)


STATIC = outcomes("static", 500, 600, 700)


def test_the_target_and_the_scale_come_from_the_separate_runs() -> None:
    (task,) = compare(STATIC, targets=outcomes("static", 400, 500, top=2.0)).tasks
    assert task.target.value == pytest.approx(0.9 * 2.0)
    assert task.scale is not None
    assert (task.scale.random, task.scale.static, task.fixed) == (0.0, 2.0, False)
    assert task.cells["static"].single[1].sum() == 0, "static runs that end at 1 never reach it"


@pytest.mark.parametrize(
    ("differs", "fixed"),
    [
        ({}, True),
        ({"steps": 15_000}, False),
        ({"algo": "dqn"}, False),
        ({"preset": "x"}, False),
        ({"env_options": {"a": 1}}, False),
    ],
)
def test_the_fixed_scale_holds_for_runs_like_those_it_was_measured_by(differs: dict[str, Any], fixed: bool) -> None:
    config = {"preset": "sb3-default", "algo": "ppo", "steps": 100_000, **differs}
    separate = outcomes("static", 400, 500, env="CartPole-v1")
    separate = [replace(o, run={**o.run, "config": {**o.run["config"], **config}}) for o in separate]
    (task,) = compare(STATIC, targets=separate).tasks
    assert task.scale is not None
    assert (task.scale.static, task.fixed) == ((500.0, True) if fixed else (1.0, False))
    assert ("fixed scale" in benchmark_task_tables.on_task(compare(STATIC, targets=separate), task).note) == fixed


def test_a_crossing_that_is_not_sustained_or_never_made_is_censored_at_T() -> None:
    (task,) = compare(STATIC, outcomes("late", 300, 800, NEVER)).tasks
    assert task.cells["late"].single.tolist() == [[300, 1000, 1000], [1, 0, 0]]


def test_the_total_account_adds_the_trials_up() -> None:
    trials = (run(NEVER, 7001), run(900, 7001), run(300, 7001), run(200, 7001))
    found = [Outcome("task", "tpe", seed, run(200, seed), trials, 7001) for seed in (0, 1)]
    tuned = compare(STATIC, found).tasks[0].cells["tpe"]
    assert tuned.single.tolist() == [[200, 200], [1, 1]]
    assert tuned.total.tolist() == [[2 * T + 300], [1]], "one sequence a search; its first crossing lies in the third trial"
    assert tuned.spent == 5 * T
    assert tuned.beside == 4 * T


def test_searches_are_counted_one_by_one_and_failed_trials_cost_the_steps_they_made() -> None:
    found = [
        Outcome("task", "tpe", 0, run(200, 0), (failed(7001, 300),), 7001),
        Outcome("task", "tpe", 1, run(NEVER, 1), (run(NEVER, 7002),), 7002),
    ]
    tuned = compare(STATIC, found).tasks[0].cells["tpe"]
    assert tuned.total.tolist() == [[300 + 200, 2 * T], [1, 0]]
    assert tuned.spent == (300 + T + T + T) / 2


def test_what_failed_early_did_not_reach_the_target_up_to_T() -> None:
    """Cut off at its own steps, it would count as if it had gone on like the others."""
    cell = compare(STATIC, [*outcomes("broken", 500), Outcome("task", "broken", 1, failed(1))]).tasks[0].cells["broken"]
    assert cell.total.tolist() == cell.single.tolist() == [[500, T], [1, 0]]
    assert cell.spent == T / 2


def test_a_failed_population_is_charged_the_steps_of_all_members() -> None:
    broken = {**failed(1, steps=800), "members": 4}
    cell = compare(STATIC, [*outcomes("pbt", 300, members=4), Outcome("task", "pbt", 1, broken)]).tasks[0].cells["pbt"]
    assert cell.spent == (4 * T + 800) / 2
    assert cell.beside == (3 * T + 600) / 2


def test_a_population_counts_all_members_in_the_total_account_only() -> None:
    cell = compare(STATIC, outcomes("pbt", 300, NEVER, members=4)).tasks[0].cells["pbt"]
    assert cell.single.tolist() == [[300, T], [1, 0]]
    assert cell.total.tolist() == [[4 * 300, 4 * T], [1, 0]]
    assert cell.beside == 3 * T


def test_a_tuner_pays_its_search_before_a_run_under_its_own_settings() -> None:
    """Its first trial has the settings of static and reaches R* first; that is not the tuner's doing."""
    trials = (run(100, 7001), run(100, 7001))
    found = [Outcome("task", "tpe", seed, run(200, seed), trials, 7001) for seed in (0, 1, 2)]
    made = compare(STATIC, found)
    (task,) = made.tasks
    assert task.budget == 3 * T
    assert made.steps_ratio("tpe", "single").value == pytest.approx(200 / 600)
    assert made.steps_ratio("tpe", "total").value == pytest.approx((2 * T + 200) / 600)
    assert made.steps_ratio("static", "total", "tpe").value == pytest.approx(600 / (2 * T + 200))
    row = next(row for row in benchmark_total_tables.totals(made).rows if row[0] == "tpe")
    assert (*row[1:5], *row[6:]) == ("1 of 1", "3", "2.2", "0.6", "3 of 3", "1 of 1")
    assert made.saved_steps("tpe") == pytest.approx({"task": 400})


def test_what_is_held_after_equal_steps_in_all() -> None:
    """A tuner holds its best trial that has ended, and in the end what its own settings come to."""
    tops = (0.5, 0.2, 0.8)
    trials = tuple(run(100, 7001, top=top) for top in tops)
    tuned = [Outcome("task", "tpe", seed, run(100, seed, top=0.7), trials, 7001) for seed in (0, 1)]
    (task,) = compare(STATIC, tuned, outcomes("pbt", 300, members=4)).tasks
    assert [float(task.held("tpe", n * T).mean()) for n in (1, 2, 3, 3.9, 4)] == pytest.approx([0.5, 0.5, 0.8, 0.8, 0.7])
    assert [float(task.held("static", n * T).mean()) for n in (1, 4)] == [1.0, 1.0]
    assert task.held("pbt", T)[0] == pytest.approx(0.375), "a quarter each: 225 to 250 on the way from 0 to 1"
    assert task.held("pbt", 4 * T)[0] == 1.0


def test_of_its_trials_a_tuner_holds_the_one_that_its_score_chose() -> None:
    """The second ends higher, and was worse by AUC: its end is luck that the search has not taken."""
    trials = (run(100, 7001, top=0.5), run(900, 7001, top=0.9))
    tuned = [Outcome("task", "tpe", 0, run(100, 0, top=0.5), trials, 7001)]
    for score, second in (("auc", 0.5), ("final_return", 0.9)):
        made = tables(
            [*STATIC, *tuned], STATIC, {"task": (0.0, 0.0)}, baseline="static", share=0.9, score=score, resamples=100
        )
        assert [float(made.tasks[0].held("tpe", n * T)[0]) for n in (1, 2, 3)] == [0.5, second, 0.5]


def test_searches_that_failed_early_are_not_taken_for_ones_that_might_have_gone_on() -> None:
    lost = [Outcome("task", "tpe", i, failed(i), (failed(7001 + i),), 7001 + i) for i in (0, 1)]
    found = Outcome("task", "tpe", 2, run(300, 2), (run(NEVER, 7003), run(NEVER, 7003)), 7003)
    cell = compare(STATIC, [*lost, found]).tasks[0].cells["tpe"]
    assert cell.total.tolist() == [[3 * T, 3 * T, 2 * T + 300], [0, 0, 1]]
    assert math.isinf(median_steps(cell.total))


def test_failed_runs_hold_what_random_actions_do() -> None:
    lost = Outcome("task", "tpe", 0, failed(0, 500), (failed(7001, 500), run(100, 7001, top=0.4)), 7001)
    (task,) = compare(STATIC, [lost]).tasks
    assert [float(task.held("tpe", steps)[0]) for steps in (500, 1000, 1500, 1900, 2000)] == [0.0, 0.4, 0.4, 0.4, 0.0]


def test_the_returns_held_stand_in_a_table_where_something_spends_more_than_a_run() -> None:
    trials = (run(100, 7001, top=0.5), run(100, 7001, top=0.2))
    made = compare(STATIC, [Outcome("task", "tpe", seed, run(100, seed, top=0.7), trials, 7001) for seed in (0, 1)])
    table = benchmark_total_tables.incumbents(made)
    assert table is not None
    assert table.header == ("method", "tasks", "1 T", "2 T", "B")
    assert [row for row in table.rows if row[0] == "tpe"] == [("tpe", "1 of 1", "0.500", "0.500", "0.700")]
    assert benchmark_total_tables.incumbents(compare(STATIC)) is None


def searched(method: str, *searches: Sequence[float], trials: int = 8) -> list[Outcome]:
    """Test seeds that reach their level at the given steps, listed by the search they share."""
    found: list[Outcome] = []
    for i, steps in enumerate(searches):
        tried = tuple(run(NEVER, 7001 + i) for _ in range(trials))
        found += [Outcome("task", method, len(found) + k, run(at), tried, 7001 + i) for k, at in enumerate(steps)]
    return found


def test_restarts_happen_under_the_settings_of_one_search() -> None:
    """One search found settings that always hold R*, the other ones that never do: a restart does not choose between them."""
    dear = searched("dear", (NEVER,), trials=32)
    made = compare(STATIC, searched("tpe", (300, 300), (NEVER, NEVER)), dear)
    (task,) = made.tasks
    assert task.budget == 33 * T
    assert task.steps("tpe", "total") / T == pytest.approx((8.3 + 33) / 2)
    assert made.steps_ratio("tpe", "total").value == pytest.approx(20.65 * T / 600)
    uneven = compare(STATIC, searched("tpe", (300,) * 3, (NEVER,)), dear)
    assert uneven.tasks[0].steps("tpe", "total") / T == pytest.approx((8.3 + 33) / 2), "searches weigh the same"


def test_the_budget_is_that_of_the_dearest_search() -> None:
    found = [*searched("tpe", (300,), trials=2), *[replace(o, tuning_seed=7002) for o in searched("tpe", (300,), trials=4)]]
    assert compare(STATIC, found).tasks[0].budget == 5 * T


@pytest.mark.parametrize(("searches", "few"), [(1, "1 search"), (2, "2 searches")])
def test_fewer_than_three_searches_decide_nothing(searches: int, few: str) -> None:
    made = compare(STATIC, searched("tpe", *[(100,) * 4] * searches))
    (task,) = made.tasks
    assert ("tpe", "0", "0", f"1: task ({few})", "0") in benchmark_tables.wins(made, "auc").rows
    row = next(row for row in benchmark_task_tables.on_task(made, task).rows if row[0] == "tpe")
    assert row[6].endswith(f" ({few})")
    for account in ("single", "total"):
        estimate = made.steps_ratio("tpe", account)
        assert math.isfinite(estimate.value)
        assert math.isnan(estimate.low)
    for aggregate in (statistics.iqm, statistics.probability_of_improvement):
        against = "static" if aggregate is statistics.probability_of_improvement else ""
        assert math.isnan(made.aggregate("tpe", "auc", aggregate, against).low)


def test_of_three_searches_the_searches_are_drawn() -> None:
    made = compare(STATIC, searched("tpe", (100,) * 4, (500,) * 4, (900,) * 4))
    alone = compare(STATIC, outcomes("tpe", 100, 500, 900))
    found, expected = (each.difference(each.tasks[0], "tpe", "auc") for each in (made, alone))
    assert [found.value, found.low] == pytest.approx([expected.value, expected.low], abs=0.05)
    total = made.steps_ratio("tpe", "total")
    assert total.low < total.value < total.high
    alike = compare(STATIC, searched("tpe", *[(100,) * 4] * 3))
    assert verdict(alike.difference(alike.tasks[0], "tpe", "auc")) == "win"


def test_a_search_for_every_test_seed_is_drawn_like_a_run() -> None:
    made = compare(STATIC, searched("tpe", (100,), (300,)))
    alone = compare(STATIC, outcomes("tpe", 100, 300))
    assert made.difference(made.tasks[0], "tpe", "auc") == alone.difference(alone.tasks[0], "tpe", "auc")


def test_what_ends_early_without_the_target_is_not_cheap_for_that() -> None:
    found = [Outcome("task", "tpe", seed, run(NEVER, seed), (run(NEVER, 7001),) * 3, 7001) for seed in (0, 1)]
    made = compare(STATIC, found, outcomes("never", NEVER, NEVER), outcomes("pbt", NEVER, NEVER, members=2))
    steps = [made.tasks[0].steps(method, "total") for method in ("tpe", "never", "pbt")]
    assert steps == [4 * T] * 3
    assert made.steps_ratio("never", "total", "tpe").value == pytest.approx(1.0)


def test_without_a_search_or_a_population_the_accounts_agree() -> None:
    made = compare(STATIC, outcomes("other", 300, NEVER, 700))
    assert made.steps_ratio("other", "total") == made.steps_ratio("other", "single")


def test_wins_and_losses() -> None:
    made = compare(STATIC, outcomes("better", 100, 100, 100), outcomes("worse", NEVER, NEVER, NEVER), outcomes("one", 100))
    task = made.tasks[0]
    assert verdict(made.difference(task, "better", "auc")) == "win"
    assert verdict(made.difference(task, "worse", "auc")) == "loss"
    assert verdict(made.difference(task, "better", "final_return")) == "open", "all of them end at 1"
    assert verdict(made.difference(task, "one", "auc")) == "no interval"
    assert verdict(made.difference(task, made.zero_line, "auc")) == "open"
    table = benchmark_tables.wins(made, "auc")
    assert ("better", "1: task", "0", "0", "0") in table.rows
    assert ("worse", "0", "1: task", "0", "0") in table.rows
    assert ("one", "0", "0", "1: task (one seed)", "0") in table.rows


def test_the_normalised_gain_over_each_other_method() -> None:
    made = compare(STATIC, outcomes("better", 100, 100, 100), outcomes("worse", NEVER, NEVER, NEVER))
    assert made.gain("better", "static", "auc").value == pytest.approx(0.5), "1 is what static ends above random actions"
    assert made.gain("worse", "better", "auc").value == pytest.approx(-1.0)
    table = benchmark_tables.gains(made, "final_return")
    assert table.header == ("method", "over static", "over better", "over worse", "over static, other seeds")
    assert table.rows[0][1] == NOT_KNOWN
    assert table.rows[2][2].startswith(f"{MINUS}1.00 "), table.rows


def test_the_spread_over_seeds_stands_beside_the_baselines() -> None:
    static, calm, wild = (300, 400, 600, 700), (500, 500, 500), (100, 200, 900)
    once, broken = outcomes("once", 500), [Outcome("task", "broken", i, failed(i)) for i in range(3)]
    made = compare(outcomes("static", *static), outcomes("calm", *calm), outcomes("wild", *wild), once, broken)
    rows = {row[0]: row[1:5] for row in benchmark_tables.spreads(made).rows}
    own, theirs = (np.std(made.tasks[0].scores(name, "auc"), ddof=1) for name in ("wild", "static"))
    assert rows["static"] == ("4", f"{theirs:.3f}", NOT_KNOWN, NOT_KNOWN)
    assert rows["wild"] == ("3", f"{own:.3f}", f"{theirs:.3f}", "0 of 1")
    assert rows["calm"] == ("3", "0.000", f"{theirs:.3f}", "1 of 1")
    assert rows["once"] == ("1", NOT_KNOWN, NOT_KNOWN, "0 of 0"), "one seed has no spread"
    assert rows["broken"][1:] == (NOT_KNOWN, NOT_KNOWN, "0 of 0"), "nor has a method that never finished"
    made = compare(outcomes("static", *static), outcomes("same", *static))
    assert benchmark_tables.spreads(made).rows[1][4] == "0 of 1", "as large is not smaller"


def test_methods_stand_in_the_suites_order() -> None:
    here = [*outcomes("static", 300, 400), *outcomes("b", 300, 400)]
    there = [replace(o, task="other") for o in (*outcomes("static", 300, 400), *outcomes("a", 300, 400))]
    more: dict[str, Any] = {"baseline": "static", "share": 0.9, "resamples": 100}
    targets = [*outcomes("static", 400, 500), *(replace(o, task="other") for o in outcomes("static", 400, 500))]
    random = {"task": (0.0, 0.0), "other": (0.0, 0.0)}
    ordered = tables([*here, *there], targets, random, methods=("a", "static", "absent", "b"), **more)
    assert ordered.methods == ("a", "static", "b", "static, other seeds")
    assert tables([*here, *there], targets, random, **more).methods == ("static", "b", "a", "static, other seeds")


def test_the_steps_of_each_method_over_those_of_each_other_one() -> None:
    made = compare(STATIC, outcomes("quick", 100, 100, 100), outcomes("slow", 200, 200, 200))
    assert made.steps_ratio("quick", "single", "slow").value == pytest.approx(0.5)
    table = benchmark_tables.step_ratios(made, "single")
    assert table.header == ("method", "over static", "over quick", "over slow", "over static, other seeds")
    quick, slow = table.rows[1:3]
    assert (quick[2], quick[3][:4], slow[2][:2]) == (NOT_KNOWN, "0.50", "2.")


def test_an_interval_that_touches_0_decides_nothing() -> None:
    assert verdict(Estimate(0.5, 0.0, 1.0)) == "open"


def test_a_failed_run_has_the_return_of_random_actions() -> None:
    broken = [*outcomes("broken", 100, 100), Outcome("task", "broken", 2, failed(2))]
    flat = [*STATIC, *broken]
    made = tables(flat, outcomes("static", 400, 500), {"task": (-1.0, 0.0)}, baseline="static", share=0.9, resamples=200)
    (task,) = made.tasks
    assert task.returns("broken", "auc").tolist() == [1.0, 1.0, -1.0]
    assert task.scores("broken", "final_return").tolist() == [1.0, 1.0, 0.0]
    assert made.gain("broken", "static", "final_return").value == pytest.approx(-1 / 3)
    assert made.difference(task, "broken", "auc").value == pytest.approx(1 / 3 - 0.5)
    assert verdict(made.difference(task, "broken", "auc")) == "open"
    assert task.cells["broken"].single.tolist() == [[100, 100, T], [1, 1, 0]], "a failed run did not reach R*"
    assert math.isnan(made.seconds_ratio("broken").value)
    row = next(row for row in benchmark_task_tables.on_task(made, task).rows if row[0] == "broken")
    assert row[1] == "3 (1 failed)"


def test_a_failed_reference_run_has_the_return_of_random_actions_in_target_and_scale_alike() -> None:
    reference = [*outcomes("static", 400, 400, 400, 400), Outcome("task", "static", 4, failed(4))]
    (task,) = compare(STATIC, targets=reference).tasks
    assert task.target.value == pytest.approx(0.9 * 0.8)
    assert task.scale is not None
    assert (task.scale.random, task.scale.static) == pytest.approx((0.0, 0.8))
    (task,) = compare(STATIC, targets=[reference[0], reference[-1]]).tasks
    assert (task.target.value, task.scale) == (None, None), "of two, one says little"


@pytest.mark.parametrize(("measured", "learns"), [(True, True), (True, False), (False, False)])
def test_a_scale_is_not_made_of_noise(monkeypatch: pytest.MonkeyPatch, measured: bool, learns: bool) -> None:
    def refused(task: str) -> None:
        raise InvalidValue("no unit")

    monkeypatch.setattr(benchmark, "measured_under", lambda env: {"algo": "ppo"} if measured else {})
    monkeypatch.setattr(benchmark, "task_scale", refused)
    reference = outcomes("static", 400, 400 if learns else NEVER)
    made = compare(STATIC, targets=reference)
    assert (made.tasks[0].scale is not None) == learns
    note = benchmark_task_tables.on_task(made, made.tasks[0]).note
    assert ("no R*: static does not clearly learn" in note) == ("no scale for the same reason" in note) == (not learns)


def test_a_method_that_fails_everywhere_loses() -> None:
    made = compare(STATIC, [Outcome("task", "broken", i, failed(i)) for i in range(3)])
    assert verdict(made.difference(made.tasks[0], "broken", "auc")) == "loss"
    assert made.aggregate("broken", "auc", statistics.iqm).value == 0.0


def uneven() -> Tables:
    """Three seeds on one task and two on the other, which one method was not run on."""
    first = [*STATIC, *outcomes("everywhere", 300, 300, 300), *outcomes("once", 100, 100, 100)]
    second = [*outcomes("static", 600, 600), *outcomes("everywhere", 600, 600)]
    targets = outcomes("static", 400, 500)
    here, there = ([replace(o, task=name) for o in (*targets, *second)] for name in ("task", "other"))
    random = {"task": (0.0, 0.0), "other": (0.0, 0.0)}
    return tables([*first, *there[2:]], [*here[:2], *there[:2]], random, baseline="static", share=0.9, resamples=200)


def test_a_method_that_was_not_run_everywhere_is_compared_where_it_was() -> None:
    made = uneven()
    assert made.steps_ratio("everywhere", "single").value == pytest.approx(math.sqrt(300 / 600 * 600 / 600))
    assert made.steps_ratio("once", "single", "everywhere").value == pytest.approx(100 / 300), "on the task of both"
    assert made.gain("once", "everywhere", "auc").value == pytest.approx(0.2)
    assert ("once", "1: task", "0", "0", "1: other") in benchmark_tables.wins(made, "auc").rows
    rows = {row[0]: row[1:5] for row in benchmark_total_tables.totals(made).rows}
    assert rows["static"][0] == "2 of 2"
    assert rows["once"] == ("1 of 2", "1", "0.1", "0.6"), "static's figure is of the same task"
    assert [row[1] for row in benchmark_tables.overall(made).rows] == ["2 of 2", "2 of 2", "1 of 2", "2 of 2"]


def test_unequal_seeds_and_absent_methods_go_through_the_files(tmp_path: Path) -> None:
    protocol = benchmark_report.Protocol("x", "x", "x", {}, ("single", "total"), {"once": 1000})
    markdown, page = (path.read_text() for path in benchmark_report.write(uneven(), protocol, tmp_path))
    part = markdown[markdown.index("### other") : markdown.index("## Protocol")]
    assert "| everywhere | 2 |" in part
    assert "| once |" not in part
    assert markdown.split("## Tasks")[1].count("| once | 3 |") == 1
    assert page.count("<td>once</td><td>3</td>") == 2, "in the spreads too"


def test_the_bars_are_differences_to_the_baseline_on_the_tasks_of_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made, drawn = uneven(), {}

    def intervals(rows: Sequence[Any], label: str, line: float, *more: Any, **options: Any) -> None:
        drawn[label] = (line, {name: (estimate, tasks) for name, estimate, tasks in rows})

    monkeypatch.setattr(plots, "intervals", intervals)
    benchmark_report.write(made, benchmark_report.Protocol("x", "x", "x", {}, ("single",)), tmp_path)
    (line, bars) = drawn["difference to static, task scale (more is better)"]
    gains = {method: made.gain(method, "static", "final_return") for method in made.methods[1:]}
    assert line == 0
    assert bars == {m: (gain, 1 if m == "once" else 2) for m, gain in gains.items()}
    (line, bars) = drawn["steps to R*, ratio to static (log axis; less is better)"]
    assert (line, bars["once"]) == (1, (made.steps_ratio("once", "single"), 1))


def test_the_page_says_on_how_many_tasks_a_bar_is(tmp_path: Path) -> None:
    figure = plots.intervals([("once", Estimate(0.2, 0.1, 0.3), 1)], "", 0.0, ["once"])
    assert figure is not None
    assert "once (1)" in figure
    protocol = benchmark_report.Protocol("x", "x", "x", {}, ("single",))
    assert "in parentheses, how many" in benchmark_report.write(uneven(), protocol, tmp_path)[1].read_text()


@pytest.mark.parametrize("account", ["single", "total"])
def test_what_is_of_one_run_each_is_left_out_where_that_account_is(account: str, tmp_path: Path) -> None:
    protocol = benchmark_report.Protocol("x", "x", "x", {}, (account,))
    for file in benchmark_report.write(compare(STATIC, outcomes("other", 300, 400)), protocol, tmp_path):
        text = file.read_text()
        assert ("Wins and losses against static" in text) == ("Normalised gain" in text) == (account == "single")
        assert ("Account 2" in text) == (account == "total")
        assert ("What the intervals cover" in text) == (account == "single")


def test_a_task_on_which_static_does_not_learn_has_no_target_and_no_scale() -> None:
    made = compare(STATIC, outcomes("other", 100, 200), targets=outcomes("static", NEVER, NEVER))
    (task,) = made.tasks
    assert task.target.value is None
    assert task.scale is None
    assert math.isnan(made.steps_ratio("other", "single").value)
    assert "no R*" in benchmark_task_tables.on_task(made, task).note
    assert verdict(made.difference(task, "other", "auc")) == "win", "raw returns are compared in any case"


def test_the_settings_found_are_those_that_differ_from_the_first_trial() -> None:
    trials = (run(500, 7001, learning_rate=1e-3, gamma=0.9), run(400, 7001, learning_rate=1e-2, gamma=0.9))
    found = [Outcome("task", "tpe", 0, run(400, 0, learning_rate=1e-2, gamma=0.9), trials, 7001)]
    table = benchmark_task_tables.found(compare(STATIC, found))
    assert table is not None
    assert table.rows == (("task", "tpe", "7001", "2", "learning_rate 0.01"),)


def test_payback() -> None:
    table = benchmark_tables.paid_back(
        compare(STATIC, outcomes("llm", 100, 100), outcomes("slow", NEVER, NEVER)), {"llm": 1200, "slow": 1}
    )
    assert table is not None
    assert [row[-1] for row in table.rows] == ["3", "never"]


def test_the_page_is_the_same_every_time_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    bad = [Outcome("task", "<b>", 0, run(100)), Outcome("task", "<b>", 1, {**failed(1), "error": "x\n<script>"})]
    made = compare(STATIC, bad)
    protocol = benchmark_report.Protocol("<i>", "hyperprompt benchmark x.yaml", "tasks: [x]\n", {"test": [0, 1]}, ("single",))
    first = [path.read_bytes() for path in benchmark_report.write(made, protocol, tmp_path)]
    assert first == [path.read_bytes() for path in benchmark_report.write(made, protocol, tmp_path)]
    page = first[1].decode()
    assert "<script" not in page
    assert "<b>" not in page
    assert "Failed: &lt;b&gt; on task, seed 1, after 0 steps: &lt;script&gt;" in page


@pytest.mark.parametrize("count", [2, 8])
def test_the_legend_of_the_schedules_shows_colour_and_dash(count: int, tmp_path: Path) -> None:
    steered = [Outcome("task", f"m{i}", s, {**run(300), "theta": {"gamma": [0.9] * 3}}) for i in range(count) for s in (0, 1)]
    protocol = benchmark_report.Protocol("x", "x", "x", {}, ("single",))
    page = benchmark_report.write(compare(STATIC, steered), protocol, tmp_path)[1].read_text()
    assert len(set(re.findall(r'class="swatch" src="([^"]+)"', page))) == count
    assert ("means over the seeds" in page) == (count > plots.FEW)
    assert ("a line a seed" in page) == (count <= plots.FEW)


def test_a_sequence_is_one_curve() -> None:
    outcome = Outcome("task", "tpe", 0, run(200), (run(300), failed(steps=50), run(400)), 7001)
    made = benchmark_report.sequence(outcome, "tpe")
    spent = (0, T + 50, 2 * T + 50)
    assert made.progress["step"] == [before + s for before in spent for s in STEPS], "a failed trial costs its steps"
    assert made.controller == "tpe"


def test_a_population_is_one_curve_over_the_steps_of_all_members() -> None:
    made = benchmark_report.sequence(Outcome("task", "pbt", 0, run(200, members=4)), "pbt")
    assert made.progress["step"] == [4 * s for s in STEPS]


def test_the_curves_over_all_steps_show_whatever_spends_more_than_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[str]] = []

    def learning_curves(runs: Sequence[Run], *more: Any) -> None:
        drawn.append([run.controller for run in runs])

    monkeypatch.setattr(plots, "learning_curves", learning_curves)
    found = [Outcome("task", "tpe", seed, run(100, seed), (run(NEVER, 7001),), 7001) for seed in (0, 1)]
    made = compare(STATIC, found, outcomes("pbt", 300, 400, members=4), outcomes("noise", 100))
    protocol = benchmark_report.Protocol("x", "x", "x", {}, ("total",))
    benchmark_report.write(made, protocol, tmp_path)
    assert drawn[-1] == ["static"] * 3 + ["tpe", "pbt", "pbt"]


def test_the_coverage_at_a_size_no_larger_stands_beside_the_results() -> None:
    table = benchmark_tables.covered(compare(STATIC, outcomes("other", 100, 200)))
    assert table is not None
    assert [(row[0], *row[1:3]) for row in table.rows][1] == ("IQM", "1 x 2", "1 x 2")
    assert benchmark_tables.covered(compare(outcomes("static", 100))) is None, "one seed has no interval"


def test_coverage_is_told_of_unequal_seeds_and_of_no_other_confidence() -> None:
    table = benchmark_tables.covered(uneven())
    assert table is not None
    assert [row[1] for row in table.rows] == ["1 x 2", "3, 2", "3, 2", "3, 2"]
    assert benchmark_tables.covered(replace(uneven(), confidence=0.9)) is None


def test_a_failed_trial_is_said(tmp_path: Path) -> None:
    found = [Outcome("task", "tpe", seed, run(200, seed), (failed(7001, 300),), 7001) for seed in (0, 1)]
    protocol = benchmark_report.Protocol("x", "x", "x", {}, ("total",))
    text = benchmark_report.write(compare(STATIC, found), protocol, tmp_path)[0].read_text()
    assert text.count("Failed: tpe on task, tuning seed 7001, after 300 steps: ValueError: NaN") == 1


def test_without_the_extras_of_the_page_the_tables_say_that_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*arguments: Any, **more: Any) -> str:
        raise MissingDependency("the report", "report")

    monkeypatch.setattr(benchmark_report, "page", missing)
    protocol = benchmark_report.Protocol("x", "x", "x", {}, ("single",))
    (markdown,) = benchmark_report.write(compare(STATIC), protocol, tmp_path)
    assert "No report.html was written" in markdown.read_text()
    assert "the report needs an extra" in markdown.read_text()

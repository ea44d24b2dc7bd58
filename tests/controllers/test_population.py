from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hyperprompt.config import RunConfig, parse
from hyperprompt.controllers.population import RECENT_EPISODES, evolve, recent_return, selection, train_population
from hyperprompt.core import Interval, MetaAction, Signals
from hyperprompt.errors import InvalidValue
from hyperprompt.meta.live import LiveRun
from hyperprompt.testing.probe import BEST, ProbeRun

CONFIG: RunConfig = parse(
    {
        "env": "CartPole-v1",
        "algo": "ppo",
        "steps": 512,
        "every": 128,
        "n_envs": 2,
        "normalize": {"observation": True, "reward": True},
        "agent": {"n_steps": 32, "batch_size": 32, "n_epochs": 2, "policy_kwargs": {"net_arch": [8]}},
    }
)
FAR = {"learning_rate": (4.0,) + (0.0,) * 23}
"""A learning rate sixteen times the default is best throughout; no single first step reaches it."""


def timeless(record: dict[str, Any]) -> str:
    """The record without what the clock says; NaN equals NaN."""
    return json.dumps({key: value for key, value in record.items() if "seconds" not in key}, sort_keys=True)


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else bool(a == b)


returns = st.lists(st.one_of(st.just(-math.inf), st.floats(-100, 100)), min_size=2, max_size=20)


@given(returns, st.integers(0, 9))
def test_the_bottom_quarter_copies_from_better_ones_of_the_top_quarter(recent: list[float], seed: int) -> None:
    copies = selection(recent, np.random.default_rng(seed))
    quarter = max(1, len(recent) // 4)
    assert len(copies) <= quarter
    assert not set(copies) & set(copies.values())
    for member, donor in copies.items():
        assert recent[donor] > recent[member]
        assert sum(other > recent[donor] for other in recent) < quarter
        assert sum(other < recent[member] for other in recent) < quarter


def test_recent_are_the_last_episodes_however_many_intervals_they_took() -> None:
    def interval(index: int, mean: float, episodes: int) -> Interval:
        return Interval(index, index, {}, {}, Signals({"return_mean": mean}, episodes))

    many, none, few = interval(0, 200.0, 1_000), interval(1, math.nan, 0), interval(2, 40.0, 2)
    assert recent_return([]) == recent_return([none]) == -math.inf
    assert recent_return([few]) == 40.0
    assert recent_return([few, none, many]) == 200.0
    # Two early failures right after a copy do not outweigh what it was copied for.
    assert recent_return([many, none, few]) == pytest.approx((2 * 40.0 + (RECENT_EPISODES - 2) * 200.0) / RECENT_EPISODES)


def test_equal_members_are_left_alone() -> None:
    assert selection([1.0] * 8, np.random.default_rng(0)) == {}


def test_a_value_that_is_clearly_better_is_found() -> None:
    runs = [ProbeRun(seed, best=FAR) for seed in range(8)]
    alone = ProbeRun(best=FAR)
    while not alone.finished:
        alone.advance()
    record = evolve(runs, seed=0)
    final = [member["theta"][-1]["learning_rate"] for member in record["members"]]
    assert np.median(np.log2(np.array(final) / 3e-4)) == pytest.approx(4.0, abs=1.0)
    assert record["best"]["returns"][-1] > 0.95 > 0.05 > alone.performance
    selected = evolve([ProbeRun(seed, best=FAR) for seed in range(8)], seed=0, select_only=True)
    assert selected["best"]["returns"][-1] == pytest.approx(alone.performance)


def test_copies_and_moves_are_in_the_record() -> None:
    record = evolve([ProbeRun(seed, noise=0.2) for seed in range(8)], seed=1)
    members = record["members"]
    assert all(donor is None for member in members for donor in member["copied_from"][:1])
    assert members[0]["theta"][0]["learning_rate"] == 3e-4  # one keeps the defaults at first
    assert len({member["theta"][0]["learning_rate"] for member in members}) > 2
    copied = 0
    for member in members:
        for t, donor in enumerate(member["copied_from"]):
            if donor is None and t:
                assert member["theta"][t] == member["theta"][t - 1]  # whoever does not copy goes on as before
            elif donor is not None:
                copied += 1
                assert members[donor]["returns"][t - 1] > member["returns"][t - 1]
                moved = math.log2(member["theta"][t]["learning_rate"] / members[donor]["theta"][t - 1]["learning_rate"])
                assert abs(moved) == pytest.approx(0.5) or abs(moved) == pytest.approx(1.0)
    assert copied > 8
    best = record["best"]
    for t in range(1, len(BEST["learning_rate"])):
        leader = max(range(8), key=lambda i: members[i]["returns"][t - 1])
        assert best["member"][t] == leader
        assert best["returns"][t] == members[leader]["returns"][t]
    assert best["total_steps"] == [8_000 * (t + 1) for t in range(8)]
    assert record["steps"] == 64_000
    assert record["updates"] == 64


def test_a_copy_has_the_bits_of_what_was_learnt_normaliser_and_optimiser_included() -> None:
    """What `evolve` does to one member, with the population of the test after this."""
    weak, strong = (LiveRun(CONFIG.model_copy(update={"seed": seed})) for seed in (1, 2))
    strong.apply(MetaAction({"learning_rate": 2.0, "n_epochs": 0.5}))
    for run in (weak, strong):
        run.advance()
    kept = strong.snapshot()
    weak.restore(strong.snapshot(), 1)
    copy = weak.snapshot()
    assert equal(copy["agent"], kept["agent"])
    assert kept["agent"]["normaliser"]["observation"]["count"] > 64
    assert any("optimizer" in name for name in kept["agent"]["weights"]["modules"])
    assert weak.state().theta == strong.state().theta
    weak.apply(MetaAction({"learning_rate": -1.0}))
    weak.advance()
    assert equal(strong.snapshot()["agent"], kept["agent"])
    for run in (weak, strong):
        run.close()


def test_a_population_is_what_its_seed_says() -> None:
    record = train_population(CONFIG, 4, seed=3)
    assert timeless(record) == timeless(train_population(CONFIG.model_copy(update={"seed": 9}), 4, seed=3))
    assert timeless(record) != timeless(train_population(CONFIG, 4, seed=4))
    assert record["steps"] == 4 * 512 == record["best"]["total_steps"][-1]
    assert any(donor is not None for member in record["members"] for donor in member["copied_from"])
    assert 0 <= record["adapt_seconds"] < record["seconds"]
    assert record["updates"] > 0


def test_selection_alone_changes_no_hyperparameter() -> None:
    record = train_population(CONFIG, 4, seed=3, select_only=True)
    assert any(donor is not None for member in record["members"] for donor in member["copied_from"])
    thetas = [theta for member in record["members"] for theta in member["theta"]]
    assert all(theta == thetas[0] for theta in thetas)


def test_one_run_is_no_population() -> None:
    with pytest.raises(InvalidValue, match="2 members"):
        train_population(CONFIG, 1, seed=0)

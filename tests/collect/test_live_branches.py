"""Branches of live runs at tiny sizes, with real environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperprompt.collect import dataset, live
from hyperprompt.collect.config import Recipe
from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.core import KEEP, MetaAction
from hyperprompt.errors import InvalidValue
from hyperprompt.meta.live import LiveRun

SHARED: dict[str, Any] = {"actions": 3, "seeds": 2, "episodes": 8, "checkpoints": 2}
PPO = Recipe(
    env="CartPole-v1",
    steps=2048,
    horizon_updates=1,
    set={"n_envs": 4, "agent.n_steps": 64, "agent.learning_rate": 3e-3, "agent.policy_kwargs": {"net_arch": [8]}},
    **SHARED,
)
SAC = Recipe(
    env="Pendulum-v1",
    steps=300,
    horizon_steps=60,
    set={"agent.learning_starts": 16, "agent.batch_size": 16, "agent.policy_kwargs": {"net_arch": [8]}},
    **SHARED,
)
RECIPES = [pytest.param(PPO, id="ppo"), pytest.param(SAC, id="sac")]


@pytest.fixture(scope="module")
def rounds() -> dict[str, list[Checkpoint]]:
    return {recipe.env: live.collect_round(recipe, 0) for recipe in (PPO, SAC)}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_round_is_a_function_of_task_and_number(recipe: Recipe, rounds: dict[str, list[Checkpoint]]) -> None:
    first, again, other = rounds[recipe.env], live.collect_round(recipe, 0), live.collect_round(recipe, 1)
    for a, b in zip(first, again, strict=True):
        assert a.state == b.state
        for name in ("steps", "seeds", "end", "mean"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert {c.run for c in other}.isdisjoint(c.run for c in first)
    assert not np.array_equal(other[0].seeds, first[0].seeds)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_round_has_its_checkpoints_and_reads_back(
    recipe: Recipe, rounds: dict[str, list[Checkpoint]], tmp_path: Path
) -> None:
    untrained, trained = rounds[recipe.env]
    assert untrained.state.index == 0
    assert trained.state.index == len(trained.state.intervals) > 0
    assert untrained.state.theta != trained.state.intervals[0].theta, "the behaviour run begins somewhere else"
    for c in (untrained, trained):
        assert c.end.shape == c.mean.shape == (6,)
        assert np.isfinite(c.end).all()
        assert len(set(c.seeds.tolist())) == 2
        assert len(np.unique(c.steps, axis=0)) == 3
        assert c.unit > 0
        assert c.state.task.env == recipe.env
    dataset.write(tmp_path / "a.parquet", [untrained, trained], {})
    assert [c.state for c in dataset.read(tmp_path)] == [untrained.state, trained.state]


def test_common_seeds_are_common(rounds: dict[str, list[Checkpoint]]) -> None:
    for c in rounds["CartPole-v1"]:
        # Within one update the policy that plays is the same under every step, so only the seed can tell rollouts apart.
        by_seed = [set(c.mean[c.seeds == seed].tolist()) for seed in dict.fromkeys(c.seeds.tolist())]
        assert all(len(means) == 1 for means in by_seed)
        assert by_seed[0] != by_seed[1]
        assert len(set(c.end.tolist())) > 1, "but the steps differ"


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_step_under_the_same_seed_ends_alike_and_another_step_does_not(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(rng: object, actions: int, seeds: int, names: int) -> tuple[Any, Any]:
        steps = np.full((4, names), KEEP)
        steps[2] = 6
        return steps, np.array([5, 5, 5, 6])

    monkeypatch.setattr(live, "branches", twice)
    one_more = recipe.model_copy(update={"checkpoints": 1, "horizon_updates": 2})
    (c,) = live.collect_round(one_more, 0)
    first, same, other_step, other_seed = np.stack([c.end, c.mean], 1)
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other_step, equal_nan=True)
    assert not np.array_equal(first, other_seed, equal_nan=True)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_behaviour_run_goes_on_as_if_it_had_only_been_restored(recipe: Recipe) -> None:
    """However many branches are tried, under whatever steps."""
    states = []
    for recipe_ in (recipe, recipe.model_copy(update={"episodes": 1})):
        rng = np.random.default_rng(3)
        run = LiveRun(recipe.run_config(7))
        run.apply(MetaAction({"learning_rate": 1.0}))
        run.advance()
        live.checkpoint(run, recipe_, rng, 60)
        run.apply(MetaAction({"learning_rate": -0.5}))
        run.advance()
        states.append(run.state())
        run.close()
    bare = LiveRun(recipe.run_config(7))
    bare.apply(MetaAction({"learning_rate": 1.0}))
    bare.advance()
    rng = np.random.default_rng(3)
    live.branches(rng, recipe.actions, recipe.seeds, len(bare.state().space))
    bare.restore(bare.snapshot(), branch=int(rng.integers(2**31)))
    bare.apply(MetaAction({"learning_rate": -0.5}))
    bare.advance()
    assert states[0] == states[1] == bare.state()
    bare.close()


def test_a_run_that_has_not_begun_to_learn_gets_the_time_to(rounds: dict[str, list[Checkpoint]]) -> None:
    untrained, trained = rounds["Pendulum-v1"]
    assert untrained.horizon == 60 + 16
    assert trained.horizon == 60


def test_a_horizon_is_at_most_a_third_of_the_budget() -> None:
    run = LiveRun(PPO.run_config(0))
    assert live.horizon_of(run, PPO) == 256
    assert live.horizon_of(run, PPO.model_copy(update={"horizon_updates": 100})) == 2048 // 3 // 256 * 256
    run.close()


def test_stops_are_spread_and_begin_at_zero() -> None:
    for seed in range(50):
        stops = live.stops(np.random.default_rng(seed), 4, 9000)
        assert stops[0] == 0
        assert stops[1] <= 1000 <= stops[2] <= 4000 <= stops[3] <= 9000
    assert live.stops(np.random.default_rng(0), 1, 9000) == [0]


def test_without_evaluation_the_mean_over_the_horizon_stands_for_it() -> None:
    (c,) = live.collect_round(PPO.model_copy(update={"episodes": 0, "checkpoints": 1}), 0)
    np.testing.assert_array_equal(c.end, c.mean)
    with pytest.raises(InvalidValue, match="no episode ended"):
        live.collect_round(SAC.model_copy(update={"episodes": 0, "checkpoints": 1, "horizon_steps": 20}), 0)

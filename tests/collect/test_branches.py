"""Branches of compiled runs: designs, and one small round."""

import numpy as np
import pytest

pytest.importorskip("gymnax")

from hyperprompt.agents import measures
from hyperprompt.collect import branches
from hyperprompt.collect.branches import PARTS, Design, first_theta
from hyperprompt.collect.compiled import space_of
from hyperprompt.collect.config import Recipe
from hyperprompt.collect.steer import LANES, Fleet, collector
from hyperprompt.collect.tasks import Variant
from hyperprompt.controllers.fixed import Static
from hyperprompt.core import MetaAction
from hyperprompt.errors import InvalidValue
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT

PPO, SAC = collector("lake"), collector("point")
SPACE = space_of(PPO)


@pytest.mark.parametrize(("fast", "low", "high"), [(PPO, 2e-4, 2e-2), (SAC, 1e-4, 1e-2)])
def test_first_settings_are_wide_and_within_bounds(fast, low, high):
    thetas = [first_theta(np.random.default_rng(seed), space_of(fast), fast.narrow) for seed in range(200)]
    rates = np.array([theta["learning_rate"] for theta in thetas])
    assert low * 0.999 <= rates.min() < 2 * low
    assert high / 2 < rates.max() <= high * 1.001
    assert all(h.low <= theta[h.name] <= h.high for theta in thetas for h in space_of(fast))


@pytest.mark.parametrize("updates", [PARTS, 6, 20, 96, 128])
def test_every_checkpoint_falls_between_two_intervals(updates):
    """Of the run, whose intervals are those of `IntervalSchedule`; the default budget has the stops it is named with."""
    from hyperprompt.meta.interval import IntervalSchedule

    schedule, bounds = IntervalSchedule(updates, 1), [0]
    while bounds[-1] < updates:
        bounds.append(bounds[-1] + schedule.length(len(bounds) - 1))
    for round_ in range(4):
        stops = Design(updates=updates).stops(round_)
        assert len(stops) == LANES
        assert set(stops) <= set(bounds[:-1])
        assert 0 in stops
        if updates == PARTS:
            assert sorted(stops) == list(branches.STOPS[round_ % 2])


def test_a_design_follows_its_recipe():
    design = Design.of(Recipe(env="gymnax/lake", actions=5, seeds=3, steps=20 * 512, horizon_updates=16, episodes=4), PPO)
    assert design == Design(actions=5, seeds=3, horizon=6, updates=20, episodes=4)
    assert Design.of(Recipe(env="gymnax/lake"), PPO) == Design()
    long = Recipe(env="gymnax/lake", set={"agent.n_steps": 128}, steps=20 * 2048)
    assert Design.of(long, collector("lake", **long.rollout())) == Design(horizon=6, updates=20)
    assert Design.of(Recipe(env="gymnax/point", horizon_steps=800), SAC) == Design(horizon=8, updates=96)


@pytest.mark.slow
def test_a_round_has_a_checkpoint_a_lane_and_common_seeds():
    found = branches.collect_round(Recipe(env="gymnax/lake", actions=3, steps=6 * 512, horizon_updates=1, episodes=2), 0)
    assert len(found) == LANES
    assert {c.state.step % 512 for c in found} == {0}
    assert {c.task for c in found} == {"gymnax/lake"}
    assert len({c.state.step for c in found}) > 2
    for c in found:
        assert c.steps.shape == (6, len(SPACE))
        assert c.horizon == 512
        # Within one update the policy that plays is the same under every step, so only the seed can tell rollouts apart.
        assert all(len(set(c.mean[c.seeds == seed].tolist())) == 1 for seed in c.seeds)
    assert len({end for c in found for end in c.end}) > 1


@pytest.mark.slow
def test_a_round_explores_what_it_is_told_to():
    names = ["gamma", "learning_rate"]
    recipe = Recipe(env="gymnax/lake", actions=7, steps=3 * 512, horizon_updates=1, episodes=2, set={"tune": names})
    found = branches.collect_round(recipe, 0)
    assert {c.state.space.names for c in found} == {tuple(names)}
    assert all(set(c.steps[:, 0].tolist()) == set(range(7)) for c in found)
    # At the beginning of a run theta stands at the learner's own settings; later at wide random ones.
    assert {c.state.theta["gamma"] for c in found if not c.state.step} == {0.99}
    assert len({c.state.space.defaults["gamma"] for c in found if c.state.step}) > 2


@pytest.mark.slow
def test_a_round_of_ppo_on_continuous_actions_has_the_meta_states_of_live_runs():
    found = branches.collect_round(Recipe(env="gymnax/point-ppo", actions=3, steps=6 * 512, horizon_updates=1, episodes=2), 0)
    assert len(found) == LANES
    assert {(c.algorithm, c.state.task.algorithm, c.state.task.action) for c in found} == {("ppo", "ppo", "continuous")}
    assert {c.state.space.names for c in found} == {TUNED_BY_DEFAULT["ppo"]}
    assert not any('"delayed": 1' in c.variant for c in found)
    for c in found:
        assert np.isfinite(c.end).all()
        assert all(set(interval.signals.values) <= set(measures.NAMES["ppo"]) for interval in c.state.intervals)


def fleet_of(updates: int) -> Fleet:
    """Two lanes of lake, one interval behind them, their learning rates apart."""
    fleet = Fleet(PPO, ["lake", "lake"], [Variant()] * 2, [1, 2], updates, [{}, {"learning_rate": 3e-3}])
    fleet.decide(Static())
    fleet.go_on()
    return fleet


def test_a_fork_goes_on_as_the_run_would_and_leaves_it_alone():
    fleet = fleet_of(6)
    before = fleet.runs[1].meta.state(fleet.step)
    twin = fleet.fork(1, [5] * LANES)
    assert {run.meta.state(twin.step).theta["learning_rate"] for run in twin.runs} == {3e-3}
    assert len({run.meta.name for run in twin.runs}) == LANES
    assert [run.meta.state(twin.step).intervals for run in twin.runs] == [before.intervals] * LANES
    twin.runs[0].meta.apply(before, MetaAction({"learning_rate": -1.0}), "test", 0.0)
    rows = twin.go_on()
    np.testing.assert_array_equal(rows["return_sum"][:, 1], rows["return_sum"][:, 7])
    assert twin.runs[0].meta.state(twin.step).theta["learning_rate"] == pytest.approx(1.5e-3)
    assert (fleet.done, twin.done) == (1, 2)
    assert fleet.runs[1].meta.state(fleet.step) == before
    assert twin.go_on(most=1)["episodes"].shape == (1, LANES)


def test_a_first_value_between_two_integers_is_the_one_that_is_trained_with():
    fleet = Fleet(PPO, ["lake"], [Variant()], [1], 6, [{"n_epochs": 6.37}])
    (run,) = fleet.runs
    assert run.meta.theta()["n_epochs"] == 6
    run.meta.apply(run.meta.state(0), MetaAction({"n_epochs": 0.02}), "test", 0.0)
    assert run.meta.theta()["n_epochs"] == pytest.approx(6 * 2**0.02), "steps too small for a whole epoch add up"


def test_a_controller_that_fails_stops_what_is_collected_of_it():
    class Failing:
        name = "failing"

        def decide(self, states):
            raise KeyError("n_epochs")

    fleet = Fleet(PPO, ["lake"], [Variant()], [1], 6)
    with pytest.raises(InvalidValue, match="failing failed on lake/1: KeyError: 'n_epochs'"):
        fleet.decide(Failing())


def test_branches_go_on_under_the_controller_to_the_end_of_the_run():
    seen: list[tuple[int, float]] = []

    class Halving:
        name = "halving"

        def decide(self, states):
            seen.extend((state.index, state.theta["learning_rate"]) for state in states)
            return [MetaAction({"learning_rate": -1.0}) for _ in states]

    fleet = fleet_of(4)
    moves = [{"learning_rate": 1.0}, {"learning_rate": 0.0}]
    end, mean = branches.explore(fleet, 0, moves, [3, 3], 3, 2, Halving())
    assert np.isfinite([end, mean]).all()
    # One decision is the branch's own; after it the controller's, from where the step led.
    assert {index for index, _ in seen} == {2, 3}
    assert sorted({rate for index, rate in seen if index == 2}) == pytest.approx([3e-4, 6e-4])
    assert sorted({rate for index, rate in seen if index == 3}) == pytest.approx([1.5e-4, 3e-4])


def test_the_rest_of_the_run_as_horizon():
    design = Design.of(Recipe(env="gymnax/lake", steps=20 * 512, horizon_updates=0), PPO)
    assert design.horizon == design.updates == 20


@pytest.mark.slow
def test_a_round_to_the_end_of_the_run(tmp_path):
    file = tmp_path / "schedule.yaml"
    file.write_text(
        "schedule: [{progress: 0, theta: {learning_rate: 0.0006}}, {progress: 0.3, theta: {learning_rate: 0.0001}}]"
    )
    recipe = Recipe(
        env="gymnax/lake", actions=3, steps=6 * 512, horizon_updates=0, episodes=2, behaviour="near",
        controller=f"schedule-steps:{file}",
    )  # fmt: skip
    found = branches.collect_round(recipe, 0)
    assert {c.state.step + c.horizon for c in found} == {6 * 512}
    began = [c.state.intervals[0].theta["learning_rate"] for c in found if c.state.intervals]
    assert sum(rate == pytest.approx(6e-4) for rate in began) > len(began) / 2


@pytest.mark.slow
def test_a_round_of_sac_has_the_meta_states_of_live_runs():
    found = branches.collect_round(Recipe(env="gymnax/point", actions=4, steps=1200, horizon_steps=200, episodes=2), 0)
    assert len(found) == LANES
    assert {(c.algorithm, c.state.task.algorithm, c.state.task.action) for c in found} == {("sac", "sac", "continuous")}
    assert {c.state.space.names for c in found} == {TUNED_BY_DEFAULT["sac"]}
    for c in found:
        # A branch of a run that has not begun to learn goes on for a block more.
        assert c.horizon == (300 if c.state.step == 0 else 200)
        assert c.state.space["target_entropy"].low == -6.0
        assert all(np.isfinite(c.end))
        for interval in c.state.intervals:
            known = set(interval.signals.values)
            assert known <= set(measures.NAMES["sac"])
            assert ("td_error" in known) == (interval.step > 100)
            assert "q_value" in known

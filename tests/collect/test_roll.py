"""Whole runs under a controller."""

import dataclasses

import pytest

from hyperprompt.collect import roll
from hyperprompt.collect.config import Recipe
from hyperprompt.core import MetaAction

SHORT = {
    "env": "CartPole-v1",
    "mode": "roll",
    "steps": 1024,
    "set": {"n_envs": 4, "agent.n_steps": 16, "agent.batch_size": 32},
}


@dataclasses.dataclass
class Up:
    name: str = "up"

    def decide(self, states):
        return [MetaAction({"learning_rate": 1.0}) for _ in states]


def test_a_live_roll_is_a_whole_run_and_repeats():
    recipe = Recipe(**SHORT)
    (first,), (again,), (other,) = (roll.collect_round(recipe, i) for i in (1, 1, 2))
    assert first.state.step == 1024
    assert first.state.to_dict() == again.state.to_dict()
    assert first.run != other.run
    assert (len(first.seeds), first.horizon) == (0, 0)
    # Odd rounds begin at a wide random setting, even ones at the preset's.
    assert first.state.space.defaults != other.state.space.defaults
    assert other.state.space.defaults["learning_rate"] == pytest.approx(3e-4)


def test_the_undisturbed_rounds_do_what_the_controller_says():
    (found,) = roll.collect_round(Recipe(**SHORT, controller="test_roll:Up"), 0)
    assert roll.ODDS[0] == 0.0
    steps = [interval.delta["learning_rate"] for interval in found.state.intervals]
    top = found.state.space["learning_rate"].high
    assert steps[:3] == pytest.approx([1.0] * 3)
    assert found.state.theta["learning_rate"] == pytest.approx(top)
    (kept,) = roll.collect_round(Recipe(**SHORT), 0)
    assert kept.state.theta["learning_rate"] == pytest.approx(3e-4)


@pytest.mark.slow
def test_a_compiled_round_is_eight_whole_runs_of_one_length():
    found = roll.collect_round(Recipe(env="gymnax/catch", mode="roll"), 0)
    assert len(found) == 8
    assert len({c.run for c in found}) == 8
    assert {c.state.progress for c in found} == {1.0}
    assert len({c.state.task.total_steps for c in found}) == 1
    assert sum(c.state.space.defaults["learning_rate"] == pytest.approx(3e-4) for c in found) == 4

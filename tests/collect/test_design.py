"""Joint steps, common seeds, and the behaviour controller."""

import numpy as np
import pytest

from hyperprompt.collect.design import ODDS, Perturbed, branches, joint_actions
from hyperprompt.controllers.fixed import Static
from hyperprompt.core import STEPS, MetaAction
from hyperprompt.testing import lessons


class Up:
    name = "up"
    action = MetaAction({"learning_rate": 1.0})

    def decide(self, states):
        return [self.action] * len(states)


def test_every_level_is_tried_equally_often():
    actions = joint_actions(np.random.default_rng(0), 12, 4)
    assert actions.shape == (12, 4)
    for column in actions.T:
        counts = np.bincount(column, minlength=7)
        assert counts.sum() == 12
        assert set(counts) == {1, 2}


def test_every_joint_step_is_tried_under_every_common_seed():
    steps, seeds = branches(np.random.default_rng(0), 5, 3, 2)
    assert steps.shape == (15, 2)
    assert len(set(seeds.tolist())) == 3
    tried = {(tuple(row), seed) for row, seed in zip(steps.tolist(), seeds.tolist(), strict=True)}
    assert len(tried) == 15
    assert len({row for row, _ in tried}) == 5


def test_a_perturbed_controller_is_a_function_of_seed_lane_and_index(state):
    def decide(seed, index):
        return Perturbed(Static(), [0.5] * 6, seed).decide([state(index)] * 6)

    assert decide(3, 2) == decide(3, 2)
    assert len({tuple(sorted(a.delta.items())) for a in decide(3, 2)}) > 1
    assert decide(3, 2) != decide(4, 2)
    assert decide(3, 2) != decide(3, 3)


@pytest.mark.parametrize("odds", [0.0, *ODDS.values(), 1.0])
def test_as_many_answers_as_asked_are_random_and_the_others_the_controller_s(odds):
    answers = Perturbed(Up(), [odds] * 1000, seed=3).decide([lessons.state(0)] * 1000)
    replaced = [set(a.delta) == set(lessons.state(0).space.names) for a in answers]
    assert np.mean(replaced) == pytest.approx(odds, abs=0.05)
    assert all(step in STEPS for a, other in zip(answers, replaced, strict=True) if other for step in a.delta.values())
    assert all(a == Up.action for a, other in zip(answers, replaced, strict=True) if not other)

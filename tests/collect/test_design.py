"""Joint steps, common seeds, and the behaviour controller."""

import numpy as np

from hyperprompt.collect.design import ODDS, Perturbed, branches, joint_actions


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


def test_the_behaviour_controller_is_a_function_of_seed_lane_and_index(state):
    first, again = (Perturbed(3).decide([state(2)] * 6) for _ in range(2))
    assert first == again
    assert len({tuple(sorted(a.delta.items())) for a in first}) > 1
    assert first != Perturbed(4).decide([state(2)] * 6)
    assert first != Perturbed(3).decide([state(3)] * 6)


def test_how_often_the_behaviour_controller_steps(state):
    for odds in ODDS.values():
        answers = Perturbed(3, odds).decide([state(2)] * 1000)
        assert abs(np.mean([bool(answer.delta) for answer in answers]) - odds) < 0.05

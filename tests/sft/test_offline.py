from dataclasses import replace

import numpy as np
import pytest

from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.core import STEPS
from hyperprompt.hyperparameters import HyperparameterSpace
from hyperprompt.sft import offline
from hyperprompt.testing import lessons


def checkpoint(slope: float, seed: int = 0) -> Checkpoint:
    """A larger learning rate pays `slope` a step; the rest does nothing."""
    rng = np.random.default_rng(seed)
    state = lessons.state(seed)
    steps = rng.integers(7, size=(60, len(state.space)))
    end = slope * np.asarray(STEPS)[steps[:, 0]]
    return Checkpoint(
        "f", "t", "ppo", state.run, "{}", state, 1000, 0.0, 0.0, 1.0, steps, np.zeros(60, np.int64), end, end.copy()
    )


def always(step: int) -> np.ndarray:
    p = np.zeros((5, 7))
    p[:, 3] = 1.0
    p[0] = np.eye(7)[step]
    return p


def test_the_gain_of_a_policy_is_the_effect_of_its_steps():
    found = offline.gains([always(6), always(3)], [checkpoint(0.1), checkpoint(0.1)])
    assert found[0] == pytest.approx(0.2, abs=0.03)
    assert found[1] == pytest.approx(0.0, abs=1e-9)


def test_reading_the_state_is_told_from_acting_alike_everywhere():
    checkpoints = [checkpoint(0.1 if seed % 2 else -0.1, seed) for seed in range(20)]
    policy = [always(6 if seed % 2 else 0) for seed in range(20)]
    found = offline.judge({"model": policy}, checkpoints, "model")
    assert found["model"]["less"] is None
    assert found["blind"]["gain"]["mean"] == pytest.approx(0.0, abs=0.02)
    assert found["blind"]["less"]["low"] > 0.15
    assert found["keep"]["less"]["mean"] == pytest.approx(found["model"]["gain"]["mean"])


def test_acting_blindly_is_by_hyperparameter_and_algorithm():
    """Runs that tune other hyperparameters share the means of those that they have in common; algorithms share none."""
    whole, part, other = checkpoint(0.1), checkpoint(0.1, 1), checkpoint(0.1, 2)
    tuned = HyperparameterSpace(part.state.space.hyperparameters[:2])
    part = replace(part, state=replace(part.state, space=tuned), steps=part.steps[:, :2])
    other = replace(other, state=replace(other.state, task=replace(other.state.task, algorithm="sac")))
    found = offline.blind([always(6), always(2)[:2], always(0)], [whole, part, other])
    assert [p.shape for p in found] == [(5, 7), (2, 7), (5, 7)]
    assert found[0][0] @ np.asarray(STEPS) == pytest.approx(0.5 * (STEPS[6] + STEPS[2]))
    assert np.count_nonzero(found[0][0]) == 2, "a step is taken, not a mixture of those it is the mean of"
    np.testing.assert_array_equal(found[1], found[0][:2])
    np.testing.assert_array_equal(found[2], always(0))
    scores = offline.judge({"model": [always(6), always(2)[:2], always(0)]}, [whole, part, other], "model")
    assert set(scores) == {"model", "blind", "keep"}


def test_a_perfect_forecast_is_calibrated():
    rng = np.random.default_rng(0)
    labels = [rng.dirichlet(np.ones(7), size=5) for _ in range(50)]
    for row in offline.calibration(labels, labels):
        assert row["predicted"] == pytest.approx(row["label"])
    assert sum(row["count"] for row in offline.calibration(labels, labels)) == 50 * 35


def test_what_of_the_labels_a_policy_explains_is_told_by_hyperparameter():
    rng = np.random.default_rng(0)
    names = ["learning_rate", "gamma", "clip_range"] * 200
    labels = np.eye(7)[rng.integers(7, size=600)]
    labels[2::3] = np.eye(7)[3]
    policy = labels.copy()
    policy[1::3] = labels[1::3].mean(0)  # the same answer everywhere
    assert offline.explained(policy, labels, names) == pytest.approx({"learning_rate": 1.0, "gamma": 0.0})
    policy[::3] = 0.5 * labels[::3] + 0.5 * labels[::3].mean(0)
    found = offline.explained(policy, labels, names)
    assert found["learning_rate"] == pytest.approx(0.75)
    policy[1::3] = labels[1::3][:, ::-1]  # the other way round
    assert offline.explained(policy, labels, names)["gamma"] < -2.5

"""Evolution strategies: the tilt's algebra, a probe with a known best answer, one small search, kill and resume."""

import numpy as np
import pytest
import torch

pytest.importorskip("gymnax")

from hyperprompt.core import STEPS
from hyperprompt.errors import InvalidValue
from hyperprompt.metarl import evolution
from hyperprompt.metarl.evolution import LOG, PAIRS, Ascent, Evolution, tilted
from hyperprompt.sft.controls import NumericController, NumericModel, read
from hyperprompt.sft.examples import Example
from hyperprompt.testing import lessons


@pytest.fixture(scope="module")
def states():
    return [lessons.state(seed) for seed in range(4)]


@pytest.fixture
def control(states, tmp_path):
    model = NumericModel.of("mlp", [Example(state, {}) for state in states], seed=0)
    model.temperature = 2.5
    model.save(tmp_path / "start")
    return tmp_path / "start"


def mean_steps(model, state):
    return NumericController(model).decide([state])[0].delta


def test_a_tilt_of_zero_changes_nothing_and_a_constant_one_leans_its_own_hyperparameter(control, states):
    state = states[0]
    names = state.space.names
    plain = mean_steps(read(control), state)
    assert mean_steps(tilted(read(control), "ppo", np.zeros((len(names), 3))), state) == plain
    up = np.zeros((len(names), 1))
    up[1] = 0.7
    leaning = NumericController(tilted(read(control), "ppo", up)).decide([state])[0]
    assert leaning.delta[names[0]] == plain[names[0]]
    # pi(k) ~ p(k) exp(0.7 step_k), whatever the temperature.
    p = np.array(NumericController(read(control)).decide([state])[0].probabilities[names[1]])
    expected = p * np.exp(0.7 * np.asarray(STEPS))
    assert leaning.probabilities[names[1]] == pytest.approx(expected / expected.sum(), abs=1e-6)


def test_a_tilt_is_saved_with_its_control(control, states, tmp_path):
    tilt = np.random.default_rng(0).standard_normal((len(states[0].space.names), 3))
    model = tilted(read(control), "ppo", tilt)
    model.save(tmp_path / "again")
    assert mean_steps(read(tmp_path / "again"), states[1]) == mean_steps(model, states[1])
    with pytest.raises(InvalidValue, match="no digits of sac"):
        model.tilt("sac")


def test_the_own_place_is_one_column_and_progress_the_next(control, states):
    model = read(control)
    state = states[0]
    names = state.space.names
    x = (torch.tensor(evolution_features(state)) - model.centre_0.double()) / model.scale_0.double()
    bare = model.outputs(state)[-1]
    for column, value in ((1, x[-1, 2]), (2, x[-1, len(names)])):
        tilt = np.zeros((len(names), 3))
        tilt[2, column] = 1.0
        lean = (tilted(read(control), "ppo", tilt).outputs(state)[-1] - bare)[2]
        assert lean.numpy() == pytest.approx(2.5 * float(value) * np.asarray(STEPS), abs=1e-4)


def evolution_features(state):
    from hyperprompt.sft.controls import run_features

    return run_features(state)


def test_the_ascent_finds_the_top_of_a_noisy_hill():
    top, rng = np.array([[0.4, -0.3], [0.0, 0.2]]), np.random.default_rng(1)

    def height(w):
        return -np.square(w - top).sum((-2, -1)) + 0.05 * rng.standard_normal(len(w))

    ascent = Ascent.begin(top.shape)
    for _ in range(80):
        noise = rng.standard_normal((16, *top.shape))
        ascent.step(noise, height(ascent.w + 0.2 * noise) - height(ascent.w - 0.2 * noise), sigma=0.2, rate=0.03)
    assert np.abs(ascent.w - top).max() < 0.1
    again = Ascent.from_dict(ascent.to_dict())
    assert np.array_equal(again.w, ascent.w)
    assert again.count == 80


def fake_runs(folder, task, tilts, seed):
    """Stands in for compiled runs, which cost minutes: J is the constant column of the learning rate's tilt."""
    return [float(tilt[0, 0]) for tilt in tilts]


def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(control, tmp_path, monkeypatch):
    monkeypatch.setattr(evolution, "evaluate", fake_runs)
    monkeypatch.setattr(evolution, "ProcessPoolExecutor", InPlace)
    whole = Evolution(start=str(control), tasks=("gymnax/catch", "gymnax/lake"), iterations=4)
    best = evolution.run(whole, tmp_path / "whole")
    assert best[0, 0] > 0.05

    def die(line):
        if line["ascent"]["count"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evolution.run(whole, tmp_path / "killed", listen=die)
    torn = (tmp_path / "killed" / LOG).read_text()
    (tmp_path / "killed" / LOG).write_text(torn + '{"J": ')
    assert np.array_equal(evolution.run(whole, tmp_path / "killed"), best)
    assert (tmp_path / "killed" / LOG).read_text() == (tmp_path / "whole" / LOG).read_text()
    assert torch.equal(read(tmp_path / "killed/model").tilt("ppo"), read(tmp_path / "whole/model").tilt("ppo"))
    with pytest.raises(InvalidValue, match="another search"):
        evolution.run(whole.model_copy(update={"sigma": 0.3}), tmp_path / "whole")


class InPlace:
    """A pool of this process."""

    def __init__(self, *args, **kwargs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *args):
        return None

    map = staticmethod(map)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (("CartPole-v1",), "not compiled"),
        (("gymnax/catch", "gymnax/point"), "about one algorithm"),
        (("gymnax/chess",), "chess"),
    ],
)
def test_tasks_that_cannot_be_searched_on_are_refused(control, tmp_path, tasks, message):
    with pytest.raises(Exception, match=message):
        evolution.run(Evolution(start=str(control), tasks=tasks), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_runs_of_a_pair_share_everything_but_the_tilt(control):
    tilts = np.zeros((2 * PAIRS, 4, 2))
    tilts[3, 0, 0] = 2.0
    scores = evolution.evaluate(str(control), "gymnax/catch", tilts, (0, 0, 0))
    assert len({score for i, score in enumerate(scores) if i != 3}) == 1
    assert scores[3] != scores[0]

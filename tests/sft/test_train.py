import dataclasses
import json

import numpy as np
import pytest

from hyperprompt.controllers.registry import create
from hyperprompt.core import STEPS
from hyperprompt.errors import InvalidValue, ModelUnavailable
from hyperprompt.sft import train
from hyperprompt.sft.config import SFTConfig, read
from hyperprompt.sft.controls import NumericModel
from hyperprompt.sft.examples import Example
from hyperprompt.testing import lessons

SOURCE = [lessons.example(seed) for seed in range(40)]
VALIDATION = [lessons.example(seed) for seed in range(100, 110)]
CONFIG = SFTConfig(data=("x",), arch="mlp", learning_rate=1e-2, epochs=30, batch=4, patience=1000, evaluations=1)


@pytest.mark.parametrize("head", ["digits", "continuous"])
@pytest.mark.parametrize("cell", ["mlp", "gru"])
def test_a_control_learns_to_read_a_signal(tmp_path, cell, head):
    model = NumericModel.of(cell, SOURCE, 0, head)
    before = train.mean_loss(model, VALIDATION)
    progress = train.fit(model, SOURCE, VALIDATION, CONFIG, tmp_path)
    after = train.mean_loss(model, VALIDATION)
    assert before > (1.0 if head == "digits" else 0.5)
    assert after < 0.1 * before
    assert after == pytest.approx(progress.best, rel=1e-6)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(31))
    assert min(line["validation"] for line in lines) == pytest.approx(progress.best)


@pytest.mark.parametrize("head", ["digits", "continuous"])
def test_a_resumed_training_is_the_undisturbed_one(tmp_path, head):
    whole, parts = NumericModel.of("gru", SOURCE, 1, head), NumericModel.of("gru", SOURCE, 1, head)
    config = CONFIG.model_copy(update={"epochs": 4, "evaluations": 2})
    train.fit(whole, SOURCE, VALIDATION, config, tmp_path / "whole")

    class Stop(Exception):
        pass

    def listen(line):
        if line["step"] >= 15:
            raise Stop

    # Killed between a line of the log and its checkpoint: the line must not stay there twice.
    with pytest.raises(Stop):
        train.fit(parts, SOURCE, VALIDATION, config, tmp_path / "parts", listen)
    again = NumericModel.of("gru", SOURCE, 1, head)
    train.fit(again, SOURCE, VALIDATION, config, tmp_path / "parts")
    for name, value in whole.state().items():
        np.testing.assert_array_equal(value, again.state()[name])
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "parts")]
    steps = [[json.loads(line)["step"] for line in log.splitlines()] for log in logs]
    assert steps[0] == steps[1]


def test_training_stops_when_validation_no_longer_improves(tmp_path):
    """Validation labels that contradict the sources': every step makes it worse."""

    def turned(label):
        return {name: p[::-1].copy() for name, p in label.items()}

    opposite = [Example(e.state, {i: turned(label) for i, label in e.labels.items()}) for e in VALIDATION]
    model = NumericModel.of("mlp", SOURCE, 0)
    before = train.mean_loss(model, opposite)
    progress = train.fit(model, SOURCE, opposite, CONFIG.model_copy(update={"patience": 3}), tmp_path)
    assert progress.step < 30 * 10
    assert progress.since == 3
    assert train.mean_loss(model, opposite) <= before


@pytest.mark.parametrize("cell", ["mlp", "gru"])
def test_the_noise_of_the_inputs_is_as_large_as_asked(cell):
    state = SOURCE[0].state
    still, quiet, loud = (NumericModel.of(cell, SOURCE, 0, noise=noise) for noise in (0.0, 0.1, 1.0))
    as_it_is = still.outputs(state)
    moved = [(model.outputs(state, np.random.default_rng(0)) - as_it_is).norm() for model in (still, quiet, loud)]
    assert moved[0] == 0
    assert 0 < moved[1] < moved[2]
    assert (loud.outputs(state) == as_it_is).all(), "only in training"


def test_the_learning_rate_rises_and_falls():
    config = SFTConfig(data=("x",), learning_rate=1.0, warmup=0.1)
    rates = [train.learning_rate(config, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 0.01
    paper = read("paper", {"data": ["x"]})
    assert {train.learning_rate(paper, step, 100) for step in range(100)} == {5e-5}


def test_without_examples_there_is_nothing_to_train_on(tmp_path):
    with pytest.raises(InvalidValue, match="0 validation runs"):
        train.fit(NumericModel.of("mlp", SOURCE, 0), SOURCE, [], CONFIG, tmp_path)


@pytest.mark.parametrize("head", ["digits", "continuous"])
@pytest.mark.parametrize("cell", ["mlp", "gru"])
def test_a_control_steers_as_it_was_saved(tmp_path, cell, head):
    model = NumericModel.of(cell, SOURCE, 0, head)
    train.fit(model, SOURCE, VALIDATION, CONFIG, tmp_path)
    model.save(tmp_path / "model")
    controller = create(f"numeric:{tmp_path / 'model'}")
    for example in VALIDATION[:3]:
        (action,) = controller.decide([example.state])
        last, outputs = example.labels[example.state.index], model.outputs(example.state)[-1].detach()
        expected = model.head.logp(outputs).exp().numpy() @ np.asarray(STEPS)
        np.testing.assert_allclose(list(action.delta.values()), expected, atol=1e-5)
        for name, p in last.items():
            assert action.delta[name] == pytest.approx(float(p @ np.asarray(STEPS)), abs=0.3)
    half = dataclasses.replace(SOURCE[0].state, space=SOURCE[0].state.space.subset(["ent_coef"]))
    with pytest.raises(InvalidValue, match="only on ppo with learning_rate"):
        controller.decide([half])
    (tmp_path / "model" / "control.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match="holds no control"):
        create(f"numeric:{tmp_path / 'model'}")

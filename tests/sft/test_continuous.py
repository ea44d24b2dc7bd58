"""A continuous head on a language model, from training to steering, on a small transformer of random weights."""

import json
import shutil

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from hyperprompt.collect import dataset
from hyperprompt.controllers.registry import create
from hyperprompt.core import STEPS
from hyperprompt.errors import InvalidValue, ModelUnavailable
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT
from hyperprompt.llm import adapters, conversion, names, weights
from hyperprompt.llm.policy import SlotPolicy
from hyperprompt.pipeline import sft
from hyperprompt.prompt import template
from hyperprompt.prompt.config import PromptConfig
from hyperprompt.prompt.layout import settle
from hyperprompt.sft import train
from hyperprompt.sft.config import SFTConfig, read
from hyperprompt.sft.examples import prefix
from hyperprompt.sft.model import SlotModel
from hyperprompt.testing import lessons

PROMPT = PromptConfig(transitions=0)
SOURCE = [lessons.example(seed) for seed in range(40)]
VALIDATION = [lessons.example(seed) for seed in range(100, 106)]
CONFIG = SFTConfig(data=("x",), head="continuous", learning_rate=5e-3, epochs=7, batch=2, patience=100, evaluations=1, rank=8)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a model of two layers and the default model's tokenizer."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = Tokenizer.from_file(str(conversion.converted(names.DEFAULT) / "tokenizer.json"))
    # At the usual 0.02 attention is all but uniform, and adapters have nothing to turn.
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=2048, initializer_range=0.1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


def fresh(base, head="continuous", rank=8):
    return SlotModel(weights.load(base, dtype="float32"), PROMPT, rank, head=head)


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    """A trained model, what its training told, and the folder of the adapter."""
    model, folder = fresh(base), tmp_path_factory.mktemp("training")
    lines = []
    train.fit(model, SOURCE, VALIDATION, CONFIG, folder, lines.append)
    model.save(folder / "model")
    made = adapters.Adapter(
        folder / "model", base, model.language_model.sha, PROMPT, 1.0, ("ppo",), TUNED_BY_DEFAULT["ppo"], "continuous"
    )
    adapters.record(made, {})
    return model, lines, folder / "model"


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained[2], tmp_path / "adapter")


def edit(folder, **changes):
    record = json.loads((folder / "hyperprompt.json").read_text())
    (folder / "hyperprompt.json").write_text(json.dumps({**record, **changes}))


def answers(model, example):
    """mu of every decision and hyperparameter of a run."""
    with torch.no_grad():
        return model.score(example)[0].numpy().reshape(6, 5)


def test_it_begins_by_keeping_and_learns_to_read_a_signal(base, trained):
    assert not answers(fresh(base), VALIDATION[0]).any()
    model, lines, _ = trained
    means = [p @ np.asarray(STEPS) for e in VALIDATION for label in e.labels.values() for p in label.values()]
    assert lines[0]["validation"] == pytest.approx(np.square(means).mean(), rel=1e-4)
    assert lines[-1]["validation"] < 0.05 * lines[0]["validation"]
    assert train.mean_loss(model, VALIDATION) == pytest.approx(min(line["validation"] for line in lines), rel=1e-5)
    assert {line["measure"] for line in lines} == {"squared error in steps^2"}


def test_training_scores_what_the_policy_answers(trained):
    model, example = trained[0], VALIDATION[1]
    config = settle("ppo", example.state.space.names, PROMPT)
    session = SlotPolicy(model.language_model, model.encoder, [model.encoder.encode(template.head(example.state, config)).ids])
    for row, mu in zip(template.rows(example.state, config), answers(model, example), strict=True):
        p = np.exp(session.append([model.encoder.encode(row.atoms, row.slots)])[0])
        np.testing.assert_allclose(p @ np.asarray(STEPS), mu.clip(-2, 2), atol=1e-3)


def test_an_adapter_decides_as_it_was_trained(trained):
    model, _, folder = trained
    controller = create(f"llm:{folder}", options={"dtype": "float32"})
    for example in VALIDATION[:2]:
        for i, mu in enumerate(answers(model, example)):
            (action,) = controller.decide([prefix(example.state, i)])
            # The adapters are stored in bf16.
            np.testing.assert_allclose(list(action.delta.values()), mu.clip(-2, 2), atol=0.05)
            assert all(sum(q > 0 for q in p) <= 2 for p in action.probabilities.values())
    assert "mean" in action.note


def test_choices_among_steps_go_by_the_two_neighbours(trained):
    *_, folder = trained
    state = VALIDATION[2].state
    (mean,) = create(f"llm:{folder}").decide([state])
    for choice in ("likeliest", "sample"):
        (action,) = create(f"llm:{folder}", options={"choice": choice}).decide([state])
        for name, step in action.delta.items():
            assert action.probabilities[name][STEPS.index(step)] > 0
            assert abs(step - mean.delta[name]) <= 1.0


def test_training_goes_on_from_an_adapter_of_the_same_head_only(base, trained, copy):
    again = fresh(base)
    again.start_from(copy)
    np.testing.assert_allclose(answers(again, SOURCE[0]), answers(trained[0], SOURCE[0]), atol=0.05)
    with pytest.raises(ModelUnavailable, match="'continuous', not 'digits'"):
        fresh(base, "digits").start_from(copy)
    edit(copy, head="digits")
    with pytest.raises(ModelUnavailable, match="'digits', not 'continuous'"):
        fresh(base).start_from(copy)
    with pytest.raises(ModelUnavailable, match="no adapter"):
        fresh(base).start_from(copy / "elsewhere")


def test_the_stage_scores_and_records_it(base, tmp_path):
    dataset.write(tmp_path / "source" / "a.parquet", lessons.checkpoints(range(24)), {})
    dataset.write(tmp_path / "validation" / "a.parquet", lessons.checkpoints(range(100, 108)), {})
    data = {"data": [tmp_path / "source"], "validation": [tmp_path / "validation"]}
    settings = ["head=continuous", "tau=0.1", "learning_rate=5e-3", "epochs=8", "rank=8", "augment=0"]
    result = sft.run(read("tiny", {**data, "model": base}, settings), tmp_path / "run")
    assert result["measure"] == "squared error in steps^2"
    assert result["after"] < 0.5 * result["before"]
    assert result["offline"]["ppo"]["llm"]["gain"]["low"] > 0.1
    adapter = adapters.find(str(tmp_path / "run" / "model"))
    assert (adapter.head, adapter.temperature) == ("continuous", 1.0)
    controller = create(f"llm:{adapter.folder}")
    state = lessons.state(300)
    (action,) = controller.decide([state])
    assert np.sign(action.delta["learning_rate"]) == np.sign(STEPS[lessons.answer(state)])


def test_a_resumed_training_is_the_undisturbed_one(base, tmp_path):
    config = CONFIG.model_copy(update={"epochs": 1, "batch": 4, "evaluations": 2})

    class Stop(Exception):
        pass

    def listen(line):
        if line["step"] == 4:
            raise Stop

    whole, again = fresh(base), fresh(base)
    train.fit(whole, SOURCE[:16], VALIDATION[:1], config, tmp_path / "whole")
    with pytest.raises(Stop):
        train.fit(fresh(base), SOURCE[:16], VALIDATION[:1], config, tmp_path / "parts", listen)
    train.fit(again, SOURCE[:16], VALIDATION[:1], config, tmp_path / "parts")
    assert {"head.weight", "head.bias"} < set(whole.state())
    for name, value in whole.state().items():
        np.testing.assert_array_equal(value, again.state()[name])


def test_the_head_counts_among_the_weights(copy):
    before = weights.load(str(copy)).sha
    head = weights.load(str(copy)).readout
    assert head.weight.dtype == torch.float32
    content = bytearray((copy / "head.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "head.safetensors").write_bytes(content)
    assert weights.load(str(copy)).sha != before


def test_a_damaged_head_is_named(copy):
    edit(copy, head="octopus")
    with pytest.raises(ModelUnavailable, match=r"'octopus', not one of digits, continuous"):
        names.check(str(copy))
    edit(copy, head="continuous")
    (copy / "head.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelUnavailable, match=r"head\.safetensors cannot be applied"):
        weights.load(str(copy))
    (copy / "head.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"head\.safetensors is missing"):
        create(f"llm:{copy}")


def test_an_adapter_that_does_not_say_answers_in_digits(copy):
    record = json.loads((copy / "hyperprompt.json").read_text())
    (copy / "hyperprompt.json").write_text(json.dumps({key: value for key, value in record.items() if key != "head"}))
    assert weights.load(str(copy)).head == "digits"
    assert adapters.find(str(adapters.shipped())).head == "digits"


def test_options_of_the_other_head_are_refused():
    values = {"data": ["x"], "head": "continuous"}
    assert read("short", values).sharpness == 1.0
    assert read("short", {**values, "sharpness": 1}).head == "continuous"
    assert read("short", {"data": ["x"]}).sharpness == 2.5
    assert read("paper", {**values, "arch": "gru"}).rank == 0
    for preset, settings, message in (
        ("short", ["sharpness=2.5"], "sharpness must be 1 with head=continuous, not 2.5"),
        ("paper", [], "rank must be 1 or more with head=continuous"),
        ("short", ["head=octopus"], "head"),
        ("short", ["choice=likeliest"], "choice must be mean with head=continuous, not likeliest"),
    ):
        with pytest.raises(InvalidValue, match=message):
            read(preset, values, settings)

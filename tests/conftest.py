"""Shared builders: a meta-state with made-up intervals, for tests that need no training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hyperprompt.core import Interval, MetaState, Signals, Task, Transition
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, for_algorithm
from hyperprompt.llm.weights import LanguageModel


def make_state(intervals: int = 0, algorithm: str = "ppo", total_steps: int = 100_000, **values: float) -> MetaState:
    space = for_algorithm(algorithm).subset(TUNED_BY_DEFAULT[algorithm])
    task = Task("CartPole-v1", algorithm, "discrete", "vector", 4, 2, 16, total_steps)
    length = 2048
    signals = {"return_mean": 20.0, "return_std": 5.0, "episode_length": 20.0, "approx_kl": 0.01, **values}
    transition = Transition((0.1, -0.2, 0.3, 0.0), (1.0,), 1.0)
    done = tuple(
        Interval(
            i, (i + 1) * length, space.defaults, {}, Signals({**signals, "return_mean": 20.0 + i}, 100, (transition,) * 2)
        )
        for i in range(intervals)
    )
    return MetaState("run", task, space, intervals * length, space.defaults, done)


@pytest.fixture
def state() -> Callable[..., MetaState]:
    return make_state


@pytest.fixture
def tiny_gemma3() -> LanguageModel:
    """Gemma 3 with random weights behind the default model's tokenizer: tied embeddings, a begin-of-sequence prefix, and
    windows shorter than a transcript."""
    import torch
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    from hyperprompt.llm import weights

    tokenizer = weights.load().tokenizer
    config = Gemma3TextConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=24,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Gemma3ForCausalLM(config).eval().requires_grad_(False)
        # A fresh model is all but uniform; larger weights make a distribution that could differ.
        for p in model.parameters():
            p.mul_(4.0)
    return LanguageModel(model, tokenizer, "tiny Gemma 3", "", Path(), prefix=(2,))

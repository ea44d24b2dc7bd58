"""Encoders in 16 bits: the same function within bfloat16's rounding, float32 weights, and a run that says which it took."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from hyperprompt.agents.encoders import encoder
from hyperprompt.agents.encoders.precision import Rounded, resolved
from hyperprompt.config import parse
from hyperprompt.errors import InvalidValue
from hyperprompt.pipeline.resolve import agent, resolve

IMAGE = spaces.Box(0, 255, (3, 64, 64), np.uint8)


@pytest.mark.parametrize("name", ["nature", "impala"])
def test_sixteen_bits_compute_the_same_function(name: str) -> None:
    torch.manual_seed(0)
    whole, half = encoder(name)(IMAGE), encoder(name, "bfloat16")(IMAGE)
    half.load_state_dict(whole.state_dict())
    half.to(memory_format=torch.channels_last)
    pictures = torch.rand(16, 3, 64, 64)
    expected, features = whole(pictures), half(pictures)
    assert features.dtype == torch.float32
    assert torch.allclose(features, expected, atol=0.05 * float(expected.detach().abs().max()))
    assert not torch.equal(features, expected), "nothing was computed in 16 bits"


def test_rounded_products_are_those_of_autocast() -> None:
    torch.manual_seed(0)
    network, pictures = encoder("nature")(IMAGE), torch.rand(16, 3, 64, 64)

    def found(how: Any) -> tuple[torch.Tensor, torch.Tensor]:
        network.zero_grad()
        with how:
            features = network(pictures).float()
        features.square().mean().backward()
        return features.detach(), torch.cat([p.grad.flatten() for p in network.parameters()])

    half, whole = found(torch.autocast("cpu", torch.bfloat16)), found(nullcontext())
    for rounded, expected, far in zip(found(Rounded()), half, whole, strict=True):
        assert (rounded - expected).norm() < 0.5 * (far - expected).norm(), "no nearer to bfloat16 than float32 is"


def test_weights_and_gradients_stay_in_32_bits() -> None:
    torch.manual_seed(0)
    network = encoder("nature", "bfloat16")(IMAGE)
    network(torch.rand(8, 3, 64, 64)).square().mean().backward()
    assert all(p.dtype == p.grad.dtype == torch.float32 and p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_run_says_which_precision_it_took() -> None:
    values = {"env": "procgen/coinrun", "controller": "static", "n_envs": 2, "agent": {"n_steps": 8}}
    assert resolve(parse(values)).precision == resolved("auto")
    assert resolve(parse({**values, "precision": "bfloat16"})).precision == "bfloat16"
    assert resolve(parse({"env": "CartPole-v1", "controller": "static"})).precision == "float32", "no encoder, nothing to cast"


def test_a_misspelt_precision_is_refused() -> None:
    with pytest.raises(InvalidValue, match="precision"):
        parse({"env": "procgen/coinrun", "precision": "half"})


def test_ppo_learns_with_an_encoder_in_16_bits() -> None:
    config = resolve(
        parse({
            "env": "procgen/coinrun", "controller": "static", "precision": "bfloat16", "n_envs": 4,
            "agent": {"n_steps": 16, "batch_size": 32, "n_epochs": 1},
        })
    )  # fmt: skip
    model = agent(config)
    assert model.env is not None
    try:
        before = {name: value.clone() for name, value in model.policy.state_dict().items()}
        model.learn(128)
        after = model.policy.state_dict()
        assert all(torch.isfinite(value).all() and value.dtype == before[name].dtype for name, value in after.items())
        assert not torch.equal(after["features_extractor.cnn.0.weight"], before["features_extractor.cnn.0.weight"])
    finally:
        model.env.close()

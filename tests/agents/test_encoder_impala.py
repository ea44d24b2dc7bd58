"""IMPALA-CNN: shapes, size and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from hyperprompt.agents.encoders import encoder
from hyperprompt.agents.encoders.impala import ImpalaCNN


@pytest.mark.parametrize("side", [64, 84])
def test_shape_and_parameters(side: int) -> None:
    network = ImpalaCNN(spaces.Box(0, 255, (3, side, side), np.uint8))
    assert network(torch.rand(5, 3, side, side)).shape == (5, 256)
    # By hand: one convolution of k = 9 a stage and four in its residual units, each with biases, then the dense layer.
    stages = ((3, 16), (16, 32), (32, 32))
    convolutions = sum((a * 9 + 1) * d + 4 * (d * 9 + 1) * d for a, d in stages)
    left = {64: 8, 84: 11}[side]
    assert sum(p.numel() for p in network.parameters()) == convolutions + (32 * left * left + 1) * 256


def test_every_weight_learns() -> None:
    torch.manual_seed(0)
    network = ImpalaCNN(spaces.Box(0, 255, (3, 64, 64), np.uint8))
    network(torch.rand(8, 3, 64, 64)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_picture_moved_gives_other_features() -> None:
    torch.manual_seed(0)
    network = encoder("impala")(spaces.Box(0, 255, (3, 64, 64), np.uint8))
    picture = torch.rand(1, 3, 64, 64)
    assert not torch.allclose(network(picture), network(picture.roll(8, dims=3)), atol=1e-4)

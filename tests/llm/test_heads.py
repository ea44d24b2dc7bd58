"""Both heads against their equations; a continuous answer keeps its mean on its way through a distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hyperprompt.core import KEEP, STEPS
from hyperprompt.llm.heads import CONTINUOUS, DIGITS, HEADS, untrained


@pytest.mark.parametrize(
    ("mu", "expected"),
    [
        (0.0, {0.0: 1.0}),
        (0.1, {0.0: 0.8, 0.5: 0.2}),
        (-0.75, {-1.0: 0.5, -0.5: 0.5}),
        (1.75, {1.0: 0.25, 2.0: 0.75}),
        (2.0, {2.0: 1.0}),
        (-9.0, {-2.0: 1.0}),
        (9.0, {2.0: 1.0}),
    ],
)
def test_a_real_step_becomes_its_two_neighbours(mu, expected):
    p = CONTINUOUS.logp(torch.tensor([mu])).exp()
    assert p.tolist() == pytest.approx([expected.get(step, 0.0) for step in STEPS], abs=1e-6)


def test_the_mean_of_the_distribution_is_the_answer():
    mu = torch.linspace(-3, 3, 600).reshape(200, 3, 1)
    p = CONTINUOUS.logp(mu).exp()
    assert p.shape == (200, 3, len(STEPS))
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(-1), 1.0, atol=1e-6)
    np.testing.assert_allclose(p @ torch.tensor(STEPS), mu[..., 0].clamp(-2, 2), atol=1e-6)
    assert ((p > 0).sum(-1) <= 2).all()


@pytest.mark.parametrize("mu", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_distribution(mu):
    assert CONTINUOUS.logp(torch.tensor([mu])).isnan().any()


def test_losses_are_those_of_the_equations():
    rng = np.random.default_rng(0)
    label, z, mu = rng.dirichlet(np.ones(7), size=5), rng.normal(size=(5, 7)), rng.normal(size=(5, 1))
    label[0] = np.eye(7)[2]
    pi = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    kl = np.where(label > 0, label * np.log(np.maximum(label, 1e-300) / pi), 0.0).sum(-1)
    np.testing.assert_allclose(DIGITS.loss(torch.tensor(z), torch.tensor(label)), kl)
    np.testing.assert_allclose(DIGITS.logp(torch.tensor(z)).exp(), pi)
    squared = (mu[:, 0] - label @ np.array(STEPS)) ** 2
    np.testing.assert_allclose(CONTINUOUS.loss(torch.tensor(mu), torch.tensor(label)), squared)


def test_an_answer_out_of_range_is_still_pulled_back():
    mu = torch.tensor([[5.0]], requires_grad=True)
    CONTINUOUS.loss(mu, torch.eye(7)[[KEEP]]).sum().backward()
    assert mu.grad.item() == 10.0


def test_an_untrained_readout_keeps_and_draws_nothing():
    before = torch.get_rng_state()
    head = untrained(16, torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)
    assert head.weight.dtype == torch.float32
    p = CONTINUOUS.logp(head(torch.randn(3, 16))).exp()
    assert (p[:, KEEP] == 1.0).all()
    assert {name: head.name for name, head in HEADS.items()} == {name: name for name in HEADS}

from __future__ import annotations

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from hyperprompt.llm.attention import grouped


class Module(torch.nn.Module):
    num_key_value_groups = 3
    is_causal = True


def made(B, T, S):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(B, 9, T, 16, generator=generator, requires_grad=True)
    key, value = (torch.randn(B, 3, S, 16, generator=generator, requires_grad=True) for _ in range(2))
    return query, key, value


@pytest.mark.parametrize(
    ("B", "T", "S", "padded"), [(1, 5, 40, 0), (2, 47, 300, 7), (1, 200, 400, 0), (1, 6, 6, 0), (2, 300, 300, 150)]
)
def test_grouped_queries_attend_as_torch_does(B, T, S, padded):
    query, key, value = made(B, T, S)
    mask = torch.ones(B, 1, T, S, dtype=torch.bool).tril(S - T)
    mask[-1, ..., :padded] = False
    with torch.inference_mode():
        ours, _ = grouped(Module(), query, key, value, mask, scaling=0.3)
        theirs, _ = sdpa_attention_forward(Module(), query, key, value, mask, scaling=0.3)
    assert ours.isfinite().all()
    blind = padded if T == S else 0  # padding itself sees nothing, and nobody reads what it answers
    torch.testing.assert_close(ours[-1, blind:], theirs[-1, blind:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours[:-1], theirs[:-1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("T", [1, 100, 300])
def test_the_way_back_is_torch_s_own(T):
    inputs = made(1, T, T)
    weight = torch.randn(1, T, 9, 16, generator=torch.Generator().manual_seed(1))
    found = []
    for attention in (grouped, sdpa_attention_forward):
        output, _ = attention(Module(), *inputs, None)
        found.append([output, *torch.autograd.grad((output * weight).sum(), inputs)])
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)

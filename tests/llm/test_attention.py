from __future__ import annotations

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from hyperprompt.llm.attention import grouped


class Module(torch.nn.Module):
    num_key_value_groups = 3
    is_causal = True


@pytest.mark.parametrize(("B", "T", "S", "padded"), [(1, 5, 40, 0), (2, 47, 300, 7), (1, 200, 400, 0), (1, 6, 6, 0)])
def test_grouped_queries_attend_as_torch_does(B, T, S, padded):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(B, 9, T, 16, generator=generator)
    key, value = (torch.randn(B, 3, S, 16, generator=generator) for _ in range(2))
    mask = torch.ones(B, 1, T, S, dtype=torch.bool).tril(S - T)
    mask[-1, ..., :padded] = False
    with torch.inference_mode():
        ours, _ = grouped(Module(), query, key, value, mask, scaling=0.3)
        theirs, _ = sdpa_attention_forward(Module(), query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("T", [5, 128, 300])
def test_a_whole_transcript_attends_as_torch_does_there_and_back(T):
    generator = torch.Generator().manual_seed(0)
    found = []
    for attend in (grouped, sdpa_attention_forward):
        generator.manual_seed(1)
        inputs = [torch.randn(1, heads, T, 16, generator=generator).requires_grad_() for heads in (9, 3, 3)]
        output, _ = attend(Module(), *inputs, None, scaling=0.3)
        output.square().sum().backward()
        found.append([output, *(x.grad for x in inputs)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)

"""Attention on a CPU, of a few new tokens to a long cache or of a transcript to itself: grouped queries as rows of one product
a key-value head.

    softmax(Q K^T / sqrt(d) + M) V    with Q of shape (B, G, R T, d), K and V of shape (B, G, S, d)

R query heads share one of G key-value heads. Torch's fused kernel wants K and V repeated R times and, for 47 queries against
1,600 keys in bf16, takes more than twice the time of these two products (1.0 against 2.3 ms a layer on two cores). Of a whole
transcript it takes, there and back, 1.6 times theirs by blocks of queries (1,100 tokens: 67 against 42 ms a layer, one core).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

NAME = "hyperprompt_grouped"
_FEW = 128
"""New tokens whose scores are written out at a time."""


def register() -> str:
    """Make the attention known to transformers; returns the name to set as `attn_implementation`."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, grouped)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME


def grouped(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """query_BHTd against key_BGSd and value_BGSd under a boolean mask_B1TS (True: may see); without one, each token of a
    transcript sees itself and those before it: (output_BTHd, None)."""
    (T, d), S = query.shape[2:], key.shape[2]
    whole = attention_mask is None and T == S
    few = T <= _FEW and S > T and attention_mask is not None and attention_mask.dtype == torch.bool
    if key.device.type != "cpu" or not (whole or few) or rest.get("dropout"):
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **rest)
        return output, None
    query = query * (d**-0.5 if scaling is None else scaling)
    if few:
        assert attention_mask is not None
        return _attend(query, key, value, attention_mask).transpose(1, 2).contiguous(), None
    blocks = []
    for start in range(0, T, _FEW):
        end = min(start + _FEW, T)
        seen = torch.ones(end - start, end - start, dtype=torch.bool).tril()
        blocks.append(_attend(query[:, :, start:end], key[:, :, :end], value[:, :, :end], seen))
    return torch.cat(blocks, 2).transpose(1, 2).contiguous(), None


def _attend(query_BHTd: Tensor, key_BGSd: Tensor, value_BGSd: Tensor, seen: Tensor) -> Tensor:
    """Scaled queries against all keys: output_BHTd. `seen` masks the last keys, (..., T, keys); the others are seen."""
    B, H, T, d = query_BHTd.shape
    G, S = key_BGSd.shape[1:3]
    rows_BGRd = query_BHTd.reshape(B, G, H // G * T, d)
    scores = torch.matmul(rows_BGRd, key_BGSd.transpose(-1, -2)).view(B, H, T, S)
    # A token sees at least itself, so no row is masked whole: padding stands in the cache only.
    scores[..., -seen.shape[-1] :].masked_fill_(~seen, float("-inf"))
    weights = scores.softmax(-1)
    return torch.matmul(weights.view(B, G, H // G * T, S), value_BGSd).view(B, H, T, d)

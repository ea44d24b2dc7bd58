"""Encoders in bfloat16: float32 weights, products in half the width where the CPU multiplies it natively.

On a CPU with AMX the NatureCNN of a Procgen run learns in half the time so; without native instructions bfloat16 is ten times
slower than float32, hence `auto`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch

Precision = Literal["auto", "bfloat16", "float32"]


def resolved(precision: Precision) -> Literal["bfloat16", "float32"]:
    """What `auto` comes to on this machine."""
    if precision != "auto":
        return precision
    return "bfloat16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "float32"


def mixed(extractor: type[Any]) -> type[Any]:
    """`extractor` with its forward pass under bfloat16 autocast; features, weights and gradients stay float32."""

    class MixedPrecision(extractor):  # type: ignore[misc]
        def forward(self, observations: Any) -> torch.Tensor:
            with torch.autocast(next(self.parameters()).device.type, torch.bfloat16):
                features = super().forward(observations)
            return torch.as_tensor(features.float())

    MixedPrecision.__name__ = f"{extractor.__name__}In16Bits"
    return MixedPrecision

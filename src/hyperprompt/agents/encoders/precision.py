"""Encoders in bfloat16: float32 weights, products of half the width.

On a CPU with AMX the NatureCNN of a Procgen run learns in half the time so. Without native instructions PyTorch's products are
ten times slower than in float32, hence `auto`; named all the same, to continue runs from another machine, they are float32
products of rounded operands, at float32's speed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Precision = Literal["auto", "bfloat16", "float32"]


def native() -> bool:
    """Whether this CPU multiplies bfloat16 itself."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def resolved(precision: Precision) -> Literal["bfloat16", "float32"]:
    """What `auto` comes to on this machine."""
    if precision != "auto":
        return precision
    return "bfloat16" if native() else "float32"


class _Round(torch.autograd.Function):
    """To the nearest bfloat16 and back, a gradient as well."""

    @staticmethod
    def forward(_: Any, values: torch.Tensor) -> torch.Tensor:
        return values.bfloat16().float()

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient.bfloat16().float()


_rounded: Callable[[torch.Tensor], torch.Tensor] = _Round.apply


class Rounded(TorchFunctionMode):
    """What autocast to bfloat16 computes, in float32: operands and result of a product rounded, its sum is not."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function not in (torch.conv2d, functional.linear):
            return function(*args, **kwargs)
        args = [_rounded(arg) if isinstance(arg, torch.Tensor) else arg for arg in args]
        return _rounded(function(*args, **kwargs))


def mixed(extractor: type[Any]) -> type[Any]:
    """`extractor` with its forward pass in bfloat16; features, weights and gradients stay float32."""

    class MixedPrecision(extractor):  # type: ignore[misc]
        def forward(self, observations: Any) -> torch.Tensor:
            device = next(self.parameters()).device.type
            with Rounded() if device == "cpu" and not native() else torch.autocast(device, torch.bfloat16):
                features = super().forward(observations)
            return torch.as_tensor(features.float())

    MixedPrecision.__name__ = f"{extractor.__name__}In16Bits"
    return MixedPrecision

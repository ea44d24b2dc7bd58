"""What answers a slot: the logits of the seven digits or, as the alternative, one real number. Either becomes a distribution.

    digits       pi(k) = softmax_k(z)                                L = sum_k p(k) log(p(k) / pi(k))
    continuous   pi on the two steps around mu, of mean mu           L = (mu - sum_k p(k) step_k)^2

p is the soft label over STEPS. Of an answer's distribution a continuous head stands for the mean alone. K = 7 steps, O numbers
an answer consists of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperprompt.core import STEPS
from hyperprompt.errors import ModelUnavailable
from hyperprompt.llm.adapters import HEAD, PREFIX, Adapter, HeadName


@dataclass(frozen=True)
class Head:
    """`outputs` is O. `logp`: outputs (..., O) -> log pi (..., K). `loss`: outputs and labels p (..., K) -> L (...)."""

    name: HeadName
    outputs: int
    measure: str
    """Name and unit of the loss, for people."""
    logp: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]


def divergence(logits: Tensor, label: Tensor) -> Tensor:
    """KL(p || pi) (...), in nats: the cross-entropy of logits (..., K) less the entropy of the labels p (..., K)."""
    return (torch.xlogy(label, label) - label * logits.log_softmax(-1)).sum(-1)


def squared_error(mu: Tensor, label: Tensor) -> Tensor:
    """(mu - sum_k p(k) step_k)^2 (...), of mu (..., 1), not clipped, and labels p (..., K)."""
    return (mu[..., 0] - label @ label.new_tensor(STEPS)).square()


def neighbours(mu: Tensor) -> Tensor:
    """log pi (..., K) of the distribution whose mean is mu (..., 1), clipped to STEPS, on the two steps around it.

    The other steps have -inf. Of a mu that is not finite it has NaN.
    """
    steps = mu.new_tensor(STEPS)
    # The share of each of the K - 1 gaps that mu has passed; a step has what has passed the gap below and not the one above.
    passed = ((mu - steps[:-1]) / steps.diff()).clamp(0.0, 1.0)
    zero = mu - mu  # of infinity no number
    return (-torch.cat([zero + 1.0, passed, zero], -1).diff()).log()


DIGITS = Head("digits", len(STEPS), "KL(label || policy) in nats", lambda logits: logits.log_softmax(-1), divergence)
CONTINUOUS = Head("continuous", 1, "squared error in steps^2", neighbours, squared_error)
HEADS: Mapping[HeadName, Head] = {head.name: head for head in (DIGITS, CONTINUOUS)}


def untrained(width: int, device: torch.device) -> torch.nn.Linear:
    """w and b of mu = <h, w> + b for hidden states h (width,), in float32: 0, which keeps every hyperparameter."""
    # Made without memory first: its own initialisation would draw from the global random state.
    head = torch.nn.Linear(width, 1, device="meta", dtype=torch.float32).to_empty(device=device)
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    return head


def readout(adapter: Adapter, width: int, device: torch.device) -> torch.nn.Linear | None:
    """w and b of the continuous head for hidden states of `width`; None of an adapter that answers in digits.

    Raises:
        ModelUnavailable: weights that are damaged or of another model.
    """
    if adapter.head == "digits":
        return None
    from safetensors.torch import load_file

    head = untrained(width, device).requires_grad_(False)
    try:
        state = load_file(adapter.folder / HEAD)
        head.load_state_dict({name.removeprefix(PREFIX): value for name, value in state.items()})
    except Exception as error:
        raise ModelUnavailable(f"{adapter.folder / HEAD} cannot be applied to {adapter.base!r}: {error}") from error
    return head

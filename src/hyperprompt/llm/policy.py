"""The slot policy: one forward pass over a new row gives the distribution over the steps of every hyperparameter in it.

    pi(k | transcript, slot s) = softmax_k( <h_{s-1}, w_{digit k}> ),    k = 0..6

h_{s-1} is the last hidden state of the token in front of the slot and w the rows of the output embedding of the seven
digits: no generation loop, no whole vocabulary. A continuous head reads mu = <h_{s-1}, w> + b in the same place. Dimensions:
B transcripts, T tokens, S slots, K = 7 digits, D width, O numbers an answer consists of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperprompt.errors import InvalidValue
from hyperprompt.llm.heads import HEADS
from hyperprompt.llm.threads import all_cores
from hyperprompt.llm.tokens import Encoder, Tokens
from hyperprompt.llm.weights import LanguageModel


def slot_logits(model: Any, hidden_BSD: Tensor, digits: Sequence[int]) -> Tensor:
    """Logits of the K digits, logits_BSK in float32. Differentiable: training scores the same distribution."""
    output = model.get_output_embeddings()
    index = torch.as_tensor(digits, device=output.weight.device)
    logits_BSK: Tensor = hidden_BSD.float() @ output.weight[index].float().T
    if getattr(output, "bias", None) is not None:
        logits_BSK = logits_BSK + output.bias[index].float()
    cap = getattr(model.config, "final_logit_softcapping", None)
    return logits_BSK if not cap else cap * torch.tanh(logits_BSK / cap)


def slot_outputs(language_model: LanguageModel, hidden_BSD: Tensor, digits: Sequence[int]) -> Tensor:
    """What the model's head answers, outputs_BSO in float32: `slot_logits`, or mu of a continuous head. Differentiable."""
    if language_model.readout is None:
        return slot_logits(language_model.model, hidden_BSD, digits)
    mu_BSO: Tensor = language_model.readout(hidden_BSD.float())
    return mu_BSO


def agrees(language_model: LanguageModel, encoder: Encoder) -> bool:
    """Whether `slot_logits` is what the model itself would answer; some architectures rescale their logits once more."""
    ids_BT = torch.tensor([encoder.encode(("reward", "4", "2", "-", "\n", "7")).ids], device=language_model.device)
    model = language_model.model
    with torch.inference_mode():
        whole_K = model(input_ids=ids_BT, use_cache=False).logits[0, -1, list(encoder.digits)].float()
        hidden_BTD = model.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state
        ours_K = slot_logits(model, hidden_BTD[:, -1:], encoder.digits)[0, 0]
    # The model's own logits come rounded to its dtype.
    rounding = torch.finfo(model.dtype).eps * float(whole_K.abs().max())
    return bool(torch.allclose(whole_K.log_softmax(-1), ours_K.log_softmax(-1), atol=0.1 + rounding))


class SlotPolicy:
    """A session over B transcripts that grow together; the key-value cache lives as long as the session.

    Heads may differ in length (shorter ones are padded on the left, masked and skipped in the positions); what is appended
    must have the same number of tokens for all. To rebase, start a new session with the head and the rows to keep.

    Raises:
        InvalidValue: no heads, or an empty one.
    """

    def __init__(
        self, language_model: LanguageModel, encoder: Encoder, heads: Sequence[Sequence[int]], *, max_tokens: int = 2048
    ) -> None:
        if not heads or not all(heads):
            raise InvalidValue("a session needs at least one head, none of them empty")
        self._language_model = language_model
        self._digits = encoder.digits
        self._device = language_model.device
        self._heads: list[list[int]] = [[*language_model.prefix, *head] for head in heads]
        self._lengths = [len(head) for head in self._heads]
        self._cache: Any = None
        self._mask_BT: Tensor | None = None
        self.max_tokens = min(max_tokens, language_model.context)

    @property
    def tokens(self) -> int:
        """Tokens of the longest transcript so far."""
        return max(self._lengths)

    def append(self, pieces: Sequence[Tokens]) -> NDArray[np.float32]:
        """Read one piece per transcript, and answer its slots: log-probabilities logp_BSK, normalised over K.

        A piece is one row, or several rows read at once of which some slots are asked for. The first call reads the heads
        along with it.

        Raises:
            InvalidValue: pieces of differing shape, a slot with nothing in front of it, or a transcript over the limit.
        """
        if len(pieces) != len(self._heads):
            raise InvalidValue(f"{len(pieces)} pieces for {len(self._heads)} transcripts")
        new, slots = len(pieces[0].ids), pieces[0].slots
        if any(len(p.ids) != new or p.slots != slots for p in pieces):
            raise InvalidValue("the pieces appended together must have the same number of tokens and the same slots")
        if self.tokens + new > self.max_tokens:
            raise InvalidValue(f"a transcript of {self.tokens + new} tokens is over the limit of {self.max_tokens}")
        if slots and (slots[0] < (1 if self._cache is not None else 0) or slots[-1] >= new):
            raise InvalidValue(f"slots {slots} do not lie within {new} tokens, each with one in front")
        offset = 0
        ids = [list(p.ids) for p in pieces]
        if self._cache is None:
            offset = self.tokens
            ids = [[0] * (offset - n) + head + i for n, head, i in zip(self._lengths, self._heads, ids, strict=True)]
        before = torch.tensor([offset + s - 1 for s in slots], dtype=torch.long, device=self._device)
        with all_cores(), torch.inference_mode():
            hidden_BTD = self._forward(torch.tensor(ids, device=self._device), new)
            outputs_BSO = slot_outputs(self._language_model, hidden_BTD[:, before], self._digits)
            logp_BSK: NDArray[np.float32] = HEADS[self._language_model.head].logp(outputs_BSO).cpu().numpy()
        self._lengths = [n + new for n in self._lengths]
        return logp_BSK

    def _forward(self, ids_BT: Tensor, new: int) -> Tensor:
        """Last hidden states of the tokens read, hidden_BTD; extends cache and mask."""
        lengths_B = torch.tensor(self._lengths, device=self._device)
        arguments: dict[str, Any] = {}
        if min(self._lengths) != max(self._lengths):
            if self._mask_BT is None:
                T = ids_BT.shape[1]
                starts_B = T - new - lengths_B
                self._mask_BT = (torch.arange(T, device=self._device)[None] >= starts_B[:, None]).long()
                positions_BT = (self._mask_BT.cumsum(-1) - 1).clamp(min=0)
            else:
                self._mask_BT = torch.cat([self._mask_BT, self._mask_BT.new_ones(len(self._heads), new)], 1)
                positions_BT = lengths_B[:, None] + torch.arange(new, device=self._device)[None]
            arguments = {"attention_mask": self._mask_BT, "position_ids": positions_BT}
        model = self._language_model.model
        output = model.base_model(input_ids=ids_BT, past_key_values=self._cache, use_cache=True, **arguments)
        self._cache = output.past_key_values
        hidden_BTD: Tensor = output.last_hidden_state
        return hidden_BTD

"""The language model under training: low-rank adapters (Hu et al. 2021, arXiv:2106.09685) in front of the slot policy's head.

N scored slots of one transcript of T tokens, K = 7 digits, D the width of the model, O numbers an answer consists of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperprompt.errors import ModelUnavailable
from hyperprompt.llm import adapters
from hyperprompt.llm.adapters import HEAD, PREFIX, HeadName
from hyperprompt.llm.heads import HEADS, untrained
from hyperprompt.llm.policy import slot_outputs
from hyperprompt.llm.tokens import Encoder
from hyperprompt.llm.weights import LanguageModel
from hyperprompt.prompt.config import PromptConfig
from hyperprompt.sft.examples import Augmentation, Example, Piece, pieces
from hyperprompt.sft.trunk import Trunk

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class SlotModel:
    """Scores the slots of transcripts with the very distribution that `llm.policy.SlotPolicy` answers with.

    Args:
        rank: r of the adapters, alpha = 2 r; 0 trains every weight instead.
        layers: the topmost layers that have adapters; all of them by default. What those below make of a transcript is kept.
        augmentation: of transcripts that are scored with a generator.
        head: "digits", or "continuous", which is trained and saved along with the adapters.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        prompt: PromptConfig,
        rank: int,
        layers: int | None = None,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        head: HeadName = "digits",
    ) -> None:
        if head == "continuous":
            language_model = replace(language_model, readout=untrained(language_model.width, language_model.device))
        self.language_model, self.prompt, self.augmentation = language_model, prompt, augmentation
        self.head = HEADS[head]
        self.encoder = Encoder(language_model.tokenizer)
        model = language_model.model
        self.adapted: Any = None
        self._trunk = Trunk(())
        if not rank:
            model.requires_grad_(True)
            return
        from peft import LoraConfig, get_peft_model
        from peft.tuners.lora import LoraLayer

        depth = model.config.num_hidden_layers
        chosen = None if layers is None else list(range(depth - min(layers, depth), depth))
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(TARGETS), layers_to_transform=chosen)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.adapted = get_peft_model(model, config)
        for layer in self.adapted.modules():
            if isinstance(layer, LoraLayer):
                layer.cast_input_dtype_enabled = False  # `score` casts the float32 weights, not what they are multiplied with
        blocks = next((list(m) for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == depth), [])
        self._trunk = Trunk(() if chosen is None else blocks[: chosen[0]])

    def trained(self) -> list[torch.nn.Parameter]:
        head = self.language_model.readout
        own = [p for p in self.language_model.model.parameters() if p.requires_grad]
        return own if head is None else [*own, *head.parameters()]

    def score(self, example: Example, rng: np.random.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The head's outputs (N, O) and the labels (N, K) of every labelled slot of a run, in one pass over each of its
        transcripts, which is one unless the run is long.

        A generator augments the transcript.
        """
        base, changes = self.language_model, self.augmentation if rng is not None else None
        scored = [self._score(p) for p in pieces(example, self.prompt, self.encoder, base.context, base.prefix, rng, changes)]
        outputs, targets = zip(*scored, strict=True)
        return torch.cat(outputs), torch.cat(targets)

    def _score(self, piece: Piece) -> tuple[Tensor, Tensor]:
        model, device = self.language_model.model, self.language_model.device
        ids_BT = torch.as_tensor(piece.ids, device=device)[None]
        half = torch.autocast(device.type, torch.bfloat16, enabled=model.dtype == torch.bfloat16)
        with half, self._trunk.reading(piece.ids):
            hidden_BTD = model.base_model(input_ids=ids_BT, use_cache=False)[0]
        hidden_ND = hidden_BTD[0, torch.as_tensor(piece.before, device=device)]
        outputs_NO = slot_outputs(self.language_model, hidden_ND, self.encoder.digits)
        return outputs_NO, torch.as_tensor(piece.target, device=device)

    def state(self) -> dict[str, Tensor]:
        """The weights under training; those of a continuous head begin with `head.`."""
        if self.adapted is None:
            state = self.language_model.model.state_dict()
        else:
            from peft import get_peft_model_state_dict

            state = get_peft_model_state_dict(self.adapted)
        if self.language_model.readout is not None:
            state = {**state, **self.language_model.readout.state_dict(prefix=PREFIX)}
        return {name: value.detach().clone() for name, value in state.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`."""
        own = dict(state)
        if self.language_model.readout is not None:
            names = self.language_model.readout.state_dict()
            self.language_model.readout.load_state_dict({name: own.pop(PREFIX + name) for name in names})
        if self.adapted is None:
            self.language_model.model.load_state_dict(own)
        else:
            from peft import set_peft_model_state_dict

            set_peft_model_state_dict(self.adapted, own)

    def start_from(self, folder: Path) -> None:
        """The weights that `save` wrote.

        Raises:
            ModelUnavailable: there are none, or they are of another shape or another head.
        """
        from safetensors.torch import load_file

        try:
            adapter, own, head = adapters.find(str(folder)), self.state(), self.language_model.head
            if adapter is None:
                raise ValueError("it holds no adapter")
            if adapter.head != head:
                raise ValueError(f"it has the head {adapter.head!r}, not {head!r}")
            state = {name: value for path in adapter.weights for name, value in load_file(path).items()}
            if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in own.items()}:
                raise ValueError("weights of another rank, other layers or another model")
            self.load({name: value.to(own[name].dtype) for name, value in state.items()})
        except Exception as error:
            raise ModelUnavailable(f"training cannot start from {folder}: {error}") from error

    def save(self, folder: Path) -> None:
        """Adapters as safetensors in bf16, in peft's layout, and a continuous head in float32 beside them; of a model trained
        whole, the model with its tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.adapted is None:
            self.language_model.model.save_pretrained(str(folder))
            self.language_model.tokenizer.save(str(folder / "tokenizer.json"))
            return
        from safetensors.torch import save_file

        # The library would write down a path of this machine, and a card that says nothing.
        self.adapted.peft_config["default"].base_model_name_or_path = self.language_model.name
        state = self.state()
        head = {name: state.pop(name) for name in list(state) if name.startswith(PREFIX)}
        state = {name: value.to(torch.bfloat16) for name, value in state.items()}
        self.adapted.save_pretrained(str(folder), state_dict=state, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)
        if head:
            save_file(head, folder / HEAD)
        for path in folder.glob("*.safetensors"):
            path.chmod(0o644)

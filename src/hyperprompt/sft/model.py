"""The language model under training: low-rank adapters (Hu et al. 2021, arXiv:2106.09685) in front of the slot policy's head.

N scored slots of one transcript of T tokens, K = 7 digits, D the width of the model.
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
from hyperprompt.llm.adapters import WEIGHTS
from hyperprompt.llm.policy import slot_logits
from hyperprompt.llm.tokens import Encoder
from hyperprompt.llm.weights import LanguageModel
from hyperprompt.prompt.config import PromptConfig
from hyperprompt.sft.examples import Augmentation, Example, sequence

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class SlotModel:
    """Scores the slots of transcripts with the very distribution that `llm.policy.SlotPolicy` answers with.

    Args:
        rank: r of the adapters, alpha = 2 r; 0 trains every weight instead.
        layers: the topmost layers that have adapters; all of them by default. Below, nothing is stored for the gradient.
        augmentation: of transcripts that are scored with a generator.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        prompt: PromptConfig,
        rank: int,
        layers: int | None = None,
        seed: int = 0,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.language_model, self.prompt, self.augmentation = language_model, prompt, augmentation
        self.encoder = Encoder(language_model.tokenizer)
        model = language_model.model
        self.adapted: Any = None
        if not rank:
            model.requires_grad_(True)
            return
        from peft import LoraConfig, get_peft_model

        depth = model.config.num_hidden_layers
        chosen = None if layers is None else list(range(depth - min(layers, depth), depth))
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(TARGETS), layers_to_transform=chosen)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.adapted = get_peft_model(model, config)

    def trained(self) -> list[torch.nn.Parameter]:
        return [p for p in self.language_model.model.parameters() if p.requires_grad]

    def score(self, example: Example, rng: np.random.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Log-probabilities and labels of every labelled slot of a run, each (N, 7), in one pass over its transcript.

        A generator augments the transcript.
        """
        changes = self.augmentation if rng is not None else None
        piece = sequence(example, self.prompt, self.encoder, self.language_model.prefix, rng, changes)
        model, device = self.language_model.model, self.language_model.device
        hidden_BTD = model.base_model(input_ids=torch.as_tensor(piece.ids, device=device)[None], use_cache=False)[0]
        hidden_ND = hidden_BTD[0, torch.as_tensor(piece.before, device=device)]
        logp_NK = slot_logits(model, hidden_ND, self.encoder.digits).log_softmax(-1)
        return logp_NK, torch.as_tensor(piece.target, device=device)

    def state(self) -> dict[str, Tensor]:
        """The weights under training."""
        if self.adapted is None:
            state = self.language_model.model.state_dict()
        else:
            from peft import get_peft_model_state_dict

            state = get_peft_model_state_dict(self.adapted)
        return {name: value.detach().clone() for name, value in state.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`."""
        if self.adapted is None:
            self.language_model.model.load_state_dict(dict(state))
        else:
            from peft import set_peft_model_state_dict

            set_peft_model_state_dict(self.adapted, dict(state))

    def start_from(self, folder: Path) -> None:
        """The weights that `save` wrote.

        Raises:
            ModelUnavailable: there are none, or they are of another shape.
        """
        from safetensors.torch import load_file

        try:
            state, own = load_file(folder / WEIGHTS), self.state()
            if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in own.items()}:
                raise ValueError("weights of another rank, other layers or another model")
            self.load({name: value.to(own[name].dtype) for name, value in state.items()})
        except Exception as error:
            raise ModelUnavailable(f"training cannot start from {folder}: {error}") from error

    def save(self, folder: Path) -> None:
        """Adapters as safetensors in bf16, in peft's layout; of a model trained whole, the model with its tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.adapted is None:
            self.language_model.model.save_pretrained(str(folder))
            self.language_model.tokenizer.save(str(folder / "tokenizer.json"))
            return
        # The library would write down a path of this machine, and a card that says nothing.
        self.adapted.peft_config["default"].base_model_name_or_path = self.language_model.name
        state = {name: value.to(torch.bfloat16) for name, value in self.state().items()}
        self.adapted.save_pretrained(str(folder), state_dict=state, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)
        (folder / WEIGHTS).chmod(0o644)


def scrambled(language_model: LanguageModel, seed: int) -> LanguageModel:
    """The same architecture with the weights it is initialised with: the control for pre-training."""
    model = language_model.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(model)(model.config).to(model.dtype).to(language_model.device).eval().requires_grad_(False)
    return replace(language_model, model=fresh, name=f"{language_model.name}, random weights", sha=f"random-{seed}")

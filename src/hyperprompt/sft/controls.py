"""The controls of the language model: small networks on the same runs and labels, as numbers instead of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from hyperprompt.collect.student import features
from hyperprompt.core import STEPS
from hyperprompt.sft.examples import Example, prefix
from hyperprompt.sft.labels import Kind, kind

NOISE = 0.1
"""Of the standardised inputs while training: the counterpart of augmented transcripts."""


class NumericModel(nn.Module):
    """Features of every decision of a run -> log-probabilities of the steps of every hyperparameter.

    `gru` reads the decisions so far in order, `mlp` the last one alone. Each algorithm has a network of its own.
    """

    def __init__(self, cell: Literal["gru", "mlp"], examples: Sequence[Example], seed: int, width: int = 64) -> None:
        super().__init__()
        rows: dict[Kind, list[np.ndarray]] = {}
        for example in examples:
            rows.setdefault(kind(example.state), []).append(run_features(example))
        self.kinds = sorted(rows)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.inner, self.outer = nn.ModuleList(), nn.ModuleList()
            for number, key in enumerate(self.kinds):
                data = np.concatenate(rows[key])
                self.register_buffer(f"centre_{number}", torch.tensor(data.mean(0), dtype=torch.float32))
                self.register_buffer(f"width_{number}", torch.tensor(data.std(0) + 0.1, dtype=torch.float32))
                size = data.shape[1]
                reads = nn.GRU(size, width, batch_first=True) if cell == "gru" else nn.Linear(size, width)
                self.inner.append(reads)
                self.outer.append(nn.Linear(width, len(key[1]) * len(STEPS)))

    def score(self, example: Example, rng: np.random.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Log-probabilities and labels of every labelled slot of a run, each (N, 7). A generator adds noise to the inputs."""
        number = self.kinds.index(kind(example.state))
        x = torch.tensor(run_features(example), dtype=torch.float32)
        x = (x - getattr(self, f"centre_{number}")) / getattr(self, f"width_{number}")
        if rng is not None:
            x = x + NOISE * torch.tensor(rng.standard_normal(x.shape), dtype=torch.float32)
        reads = self.inner[number]
        hidden = reads(x[None])[0][0] if isinstance(reads, nn.GRU) else torch.tanh(reads(x))
        names = example.state.space.names
        logp = self.outer[number](hidden).reshape(len(x), len(names), len(STEPS)).log_softmax(-1)
        pairs = [(i, j, label[n]) for i, label in sorted(example.labels.items()) for j, n in enumerate(names) if n in label]
        at = torch.tensor([(i, j) for i, j, _ in pairs])
        return logp[at[:, 0], at[:, 1]], torch.tensor(np.array([p for *_, p in pairs]), dtype=torch.float32)

    def trained(self) -> list[nn.Parameter]:
        return list(self.parameters())

    def state(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.state_dict().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`."""
        self.load_state_dict(dict(state))

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.state(), folder / "model.safetensors")


def run_features(example: Example) -> np.ndarray:
    """`collect.student.features` of every decision so far, (decisions, features)."""
    return np.array([features(prefix(example.state, i)) for i in range(example.state.index + 1)])

"""The controls of the language model: small networks on the same runs and labels, as numbers instead of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.collect.features import features
from hyperprompt.core import Certain, MetaAction, MetaState, step_sizes
from hyperprompt.durable import atomic_write, from_json, to_json
from hyperprompt.errors import InvalidValue, ModelUnavailable
from hyperprompt.llm.adapters import HeadName
from hyperprompt.llm.heads import HEADS
from hyperprompt.sft.examples import Example, longest, prefix
from hyperprompt.sft.labels import Kind, kind

Cell = Literal["gru", "mlp"]
Floats = NDArray[np.float64]
RECORD, WEIGHTS = "control.json", "model.safetensors"


class NumericModel(nn.Module):
    """Features of every decision of a run -> an answer of its head for every hyperparameter, O numbers.

    `gru` reads the decisions so far in order, `mlp` the last one alone. Each algorithm and set of hyperparameters, each *kind*
    of run, has a network of its own.
    """

    def __init__(
        self,
        cell: Cell,
        sizes: Mapping[Kind, int],
        seed: int = 0,
        width: int = 64,
        head: HeadName = "digits",
        noise: float = 0.1,
    ) -> None:
        super().__init__()
        self.cell, self.sizes, self.width, self.head = cell, dict(sizes), width, HEADS[head]
        self.temperature, self.noise = 1.0, noise
        self.choice: Certain = "mean"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.inner, self.outer = nn.ModuleList(), nn.ModuleList()
            for number, (key, size) in enumerate(self.sizes.items()):
                self.register_buffer(f"centre_{number}", torch.zeros(size))
                self.register_buffer(f"scale_{number}", torch.ones(size))
                self.inner.append(nn.GRU(size, width, batch_first=True) if cell == "gru" else nn.Linear(size, width))
                self.outer.append(nn.Linear(width, len(key[1]) * self.head.outputs))

    @classmethod
    def of(
        cls, cell: Cell, examples: Sequence[Example], seed: int, head: HeadName = "digits", noise: float = 0.1
    ) -> NumericModel:
        """Sized for these runs, whose features are standardised."""
        rows: dict[Kind, list[Floats]] = {}
        for example in examples:
            rows.setdefault(kind(example.state), []).append(run_features(example.state))
        data = {key: np.concatenate(rows[key]) for key in sorted(rows)}
        model = cls(cell, {key: x.shape[1] for key, x in data.items()}, seed, head=head, noise=noise)
        for number, x in enumerate(data.values()):
            getattr(model, f"centre_{number}").copy_(torch.tensor(x.mean(0)))
            getattr(model, f"scale_{number}").copy_(torch.tensor(x.std(0) + 0.1))
        return model

    def outputs(self, state: MetaState, rng: np.random.Generator | None = None) -> Tensor:
        """The head's outputs at every decision of a run so far, (decisions, names, O).

        A generator adds noise to the standardised inputs, as in training.

        Raises:
            InvalidValue: a kind of run that it was not trained on; names those it was.
        """
        key = kind(state)
        if key not in self.sizes:
            known = "; ".join(f"{algorithm} with {', '.join(names)}" for algorithm, names in self.sizes)
            raise InvalidValue(f"not trained on {key[0]} with {', '.join(key[1])}, only on {known}")
        number = list(self.sizes).index(key)
        x = torch.tensor(run_features(state), dtype=torch.float32)
        x = (x - getattr(self, f"centre_{number}")) / getattr(self, f"scale_{number}")
        if rng is not None:
            x = x + self.noise * torch.tensor(rng.standard_normal(x.shape), dtype=torch.float32)
        reads = self.inner[number]
        hidden = reads(x[None])[0][0] if self.cell == "gru" else torch.tanh(reads(x))
        answers: Tensor = self.outer[number](hidden).reshape(len(x), len(key[1]), self.head.outputs)
        return answers

    def policy(self, state: MetaState, sharpness: float = 1.0) -> Floats:
        """pi^sharpness at every decision of a run so far, at the temperature it is read at: (decisions, names, 7)."""
        with torch.no_grad():
            logp = self.head.logp(self.outputs(state)).double() / self.temperature
        p: Floats = (sharpness * logp).softmax(-1).numpy()
        return p

    def score(self, example: Example, rng: np.random.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The head's outputs (N, O) and the labels (N, K) of every labelled slot of a run."""
        outputs, names = self.outputs(example.state, rng), example.state.space.names
        pairs = [(i, j, label[n]) for i, label in sorted(example.labels.items()) for j, n in enumerate(names) if n in label]
        at = torch.tensor([(i, j) for i, j, _ in pairs])
        return outputs[at[:, 0], at[:, 1]], torch.tensor(np.array([p for *_, p in pairs]), dtype=torch.float32)

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
        save_file(self.state(), folder / WEIGHTS)
        sizes = [[algorithm, list(names), size] for (algorithm, names), size in self.sizes.items()]
        record = {"cell": self.cell, "width": self.width, "head": self.head.name, "temperature": self.temperature}
        atomic_write(folder / RECORD, to_json({**record, "choice": self.choice, "sizes": sizes}, indent=1) + "\n")


def read(folder: Path) -> NumericModel:
    """A control that `save` wrote.

    Raises:
        ModelUnavailable: there is none, or it is damaged.
    """
    from safetensors.torch import load_file

    try:
        record = from_json((folder / RECORD).read_text())
        sizes = {(algorithm, tuple(names)): int(size) for algorithm, names, size in record["sizes"]}
        model = NumericModel(record["cell"], sizes, width=record["width"], head=record.get("head", "digits"))
        model.load(load_file(folder / WEIGHTS))
        model.temperature, model.choice = float(record["temperature"]), record.get("choice", "mean")
    except Exception as error:
        raise ModelUnavailable(f"{folder} holds no control of 'hyperprompt sft': {error!r}") from error
    return model.eval().requires_grad_(False)


class NumericController:
    """A trained control as a controller: the mean of the steps or the likeliest, as its record says."""

    name = "numeric"

    def __init__(self, folder: Path) -> None:
        self.model = read(folder)

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [self._decide(state) for state in states]

    def _decide(self, state: MetaState) -> MetaAction:
        p = self.model.policy(state)[-1]
        names, steps = state.space.names, step_sizes(p, self.model.choice)
        return MetaAction(
            dict(zip(names, steps, strict=True)), {n: tuple(map(float, q)) for n, q in zip(names, p, strict=True)}
        )


def taught(checkpoints: Sequence[Checkpoint], teacher: NumericModel, sharpness: float) -> list[Example]:
    """Every run once, each of its decisions labelled with what a control would do: p ~ pi^sharpness.

    Raises:
        InvalidValue: a kind of run that the control was not trained on.
    """
    examples = []
    for state in longest(c.state for c in checkpoints):
        rows = enumerate(teacher.policy(state, sharpness))
        examples.append(Example(state, {i: dict(zip(state.space.names, p, strict=True)) for i, p in rows}))
    return examples


def run_features(state: MetaState) -> Floats:
    """`collect.features.features` of every decision so far, (decisions, features)."""
    return np.array([features(prefix(state, i)) for i in range(state.index + 1)])

"""Small networks on the numeric meta-state, trained on branch data: the cheapest test of whether there is something to learn.

Two ways from branches to a policy. *effects*: main effects fitted per checkpoint become soft labels p ~ exp(effect / tau),
learned by cross-entropy. *pooled*: one network predicts the main effects e_jk(s) of all checkpoints at once, trained on
w(s) (A - sum_j e_{j, a_j}(s))^2 over the branches with A the score less its checkpoint's mean; then p ~ exp(e / tau).
The weight w ~ 1 / (noise^2 + tau^2) keeps checkpoints whose seeds disagree beyond what steps are worth from drowning the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.collect.effects import main_effects, seed_noise
from hyperprompt.collect.features import features
from hyperprompt.core import KEEP, STEPS, Certain, MetaAction, MetaState, step_sizes
from hyperprompt.errors import UnknownName

Floats = NDArray[np.float64]
Labels = Literal["effects", "pooled"]
Sees = Literal["all", "schedule", "nothing"]
"""What a student may look at; "schedule" is theta and progress without any signal."""
RUINED = -0.5
"""Task units below random actions from which on it makes no difference how far: some tasks can be lost by many units, and what
leads there would drown what separates good runs."""


@dataclass(frozen=True)
class Branches:
    """Branch data as arrays. Branches lead; `group` says of which checkpoint each is."""

    features: Floats
    """(checkpoints, features)"""
    actions: NDArray[np.int64]
    """(branches, hyperparameters), indices into STEPS"""
    scores: Floats
    """(branches,), in units of the task"""
    group: NDArray[np.int64]
    names: tuple[str, ...]
    noise: Floats
    """(checkpoints,), in units of the task: see `seed_noise`"""
    task: NDArray[np.int64]
    """(checkpoints,), which task each is of"""


def arrays(checkpoints: Sequence[Checkpoint], mean_share: float = 0.5) -> Branches:
    """Branch data with each checkpoint's `scores`, at least RUINED."""
    sizes = [len(c.seeds) for c in checkpoints]
    scores = [np.maximum(c.scores(mean_share), RUINED) for c in checkpoints]
    return Branches(
        features=np.array([features(c.state) for c in checkpoints]),
        actions=np.concatenate([c.steps for c in checkpoints]),
        scores=np.concatenate(scores),
        group=np.repeat(np.arange(len(checkpoints)), sizes),
        names=checkpoints[0].state.space.names,
        noise=np.array([seed_noise(s, c.seeds) for s, c in zip(scores, checkpoints, strict=True)]),
        task=np.unique([c.task for c in checkpoints], return_inverse=True)[1],
    )


def advantages(data: Branches) -> Floats:
    """A = score - mean score of the checkpoint, (branches,)."""
    count = np.bincount(data.group)
    mean = np.bincount(data.group, data.scores) / count
    return data.scores - mean[data.group]


def effects(data: Branches) -> tuple[Floats, Floats]:
    """Main effects per checkpoint and their standard errors, each (checkpoints, hyperparameters, 7)."""
    steps = np.asarray(STEPS)[data.actions]
    fits = [main_effects(steps[data.group == g], data.scores[data.group == g]) for g in range(len(data.features))]
    return np.array([e for e, _ in fits]), np.array([s for _, s in fits])


def _mask(sees: str, size: int, names: int) -> Floats:
    """1 for the features a student may look at; the first are theta and progress."""
    seen = {"all": size, "schedule": names + 1, "nothing": 0}
    if sees not in seen:
        raise UnknownName("view", sees, seen)
    return (np.arange(size) < seen[sees]).astype(np.float64)


def softmax(x: Floats) -> Floats:
    e = np.exp(x - x.max(-1, keepdims=True))
    result: Floats = e / e.sum(-1, keepdims=True)
    return result


@dataclass
class Student:
    """An ensemble of small networks as a controller.

    `choice`: the mean of the policy's steps, or the likeliest. `only`: the hyperparameters it may move, all if empty.
    `damping` multiplies every step: labels hold for a whole horizon, decisions come several times within one.
    """

    layers: tuple[tuple[tuple[Floats, Floats], ...], ...]
    names: tuple[str, ...]
    tau: float
    centre: Floats
    width: Floats
    choice: Certain = "mean"
    sees: Sees = "all"
    only: tuple[str, ...] = ()
    damping: float = 1.0
    pessimism: float = 0.0
    name: str = "student"

    @property
    def requires(self) -> tuple[str, ...]:
        """What it moves, and is its own over another controller."""
        return self.only or self.names

    def effects(self, x: Floats) -> Floats:
        """Effects over keep, (batch, features) -> (batch, names, 7): the ensemble's mean less `pessimism` times its deviation,
        so that what networks that know different tasks do not agree on is left alone."""
        x = (x - self.centre) / self.width * _mask(self.sees, x.shape[1], len(self.names))
        out = []
        for layers in self.layers:
            h = x
            for i, (weight, bias) in enumerate(layers):
                h = h @ weight.T + bias
                h = np.tanh(h) if i < len(layers) - 1 else h
            out.append(h.reshape(len(x), len(self.names), len(STEPS)))
        members = np.array(out)
        over_keep = members - members[..., KEEP, None]
        result: Floats = over_keep.mean(0) - self.pessimism * over_keep.std(0)
        return result

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        p = softmax(self.effects(np.array([features(state) for state in states])) / self.tau)
        steps = [step_sizes(p_SK, self.choice) for p_SK in p]
        return [
            MetaAction(
                {n: self.damping * steps[i][j] for j, n in enumerate(self.names) if not self.only or n in self.only},
                {name: tuple(map(float, p[i, j])) for j, name in enumerate(self.names)},
            )
            for i in range(len(states))
        ]


def _shown(task: NDArray[np.int64], share: float, seed: int) -> NDArray[np.float32]:
    """1 for the checkpoints of a random share of the tasks, at least one: (checkpoints,)."""
    tasks = int(task.max()) + 1
    chosen = np.random.default_rng(seed).permutation(tasks)[: max(1, round(share * tasks))]
    return np.isin(task, chosen).astype(np.float32)


def train(
    data: Branches,
    labels: Labels = "pooled",
    tau: float = 0.05,
    seeds: Sequence[int] = range(5),
    epochs: int = 400,
    hidden: int = 32,
    decay: float = 3e-3,
    share: float = 1.0,
    **options: Any,
) -> Student:
    """Fit one network a seed, each on the checkpoints of a random `share` of the tasks. `options` are fields of `Student`.

    Raises:
        UnknownName: `labels`, `choice` or `sees`; lists the valid ones.
    """
    if labels not in get_args(Labels):
        raise UnknownName("kind of labels", labels, get_args(Labels))
    if options.get("choice", "mean") not in get_args(Certain):
        raise UnknownName("choice", options["choice"], get_args(Certain))
    import torch

    centre, width = data.features.mean(0), data.features.std(0) + 0.1
    x = torch.tensor((data.features - centre) / width, dtype=torch.float32)
    mask = torch.tensor(_mask(options.get("sees", "all"), x.shape[1], len(data.names)), dtype=torch.float32)
    shape = (-1, len(data.names), len(STEPS))
    group, actions = torch.tensor(data.group), torch.tensor(data.actions)
    advantage = torch.tensor(advantages(data), dtype=torch.float32)
    target = torch.tensor(softmax(effects(data)[0] / tau), dtype=torch.float32)
    trust = torch.tensor(1.0 / (data.noise**2 + tau**2), dtype=torch.float32)[group]
    members = []
    for seed in seeds:
        torch.manual_seed(seed)
        shown = torch.tensor(_shown(data.task, share, seed))
        weight = trust * shown[group]
        weight = weight / weight.mean()
        inner, outer = torch.nn.Linear(x.shape[1], hidden), torch.nn.Linear(hidden, len(data.names) * len(STEPS))
        torch.nn.init.zeros_(outer.weight)
        torch.nn.init.zeros_(outer.bias)
        parameters = [*inner.parameters(), *outer.parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=decay)
        for _ in range(epochs):
            noisy = (x + 0.1 * torch.randn_like(x)) * mask
            out = outer(torch.tanh(inner(noisy))).reshape(shape)
            if labels == "effects":
                loss = -(shown[:, None] * (target * torch.log_softmax(out / tau, -1)).sum(-1)).mean()
            else:
                out = out - out.mean(-1, keepdim=True)
                predicted = out[group].gather(2, actions[:, :, None])[:, :, 0].sum(1)
                smooth = torch.square(out[..., 1:] - out[..., :-1]).mean()
                loss = (weight * torch.square(advantage - predicted)).mean() + 0.3 * smooth
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        pairs = [(inner.weight, inner.bias), (outer.weight, outer.bias)]
        members.append(tuple((w.detach().double().numpy(), b.detach().double().numpy()) for w, b in pairs))
    return Student(tuple(members), data.names, tau, centre, width, **options)

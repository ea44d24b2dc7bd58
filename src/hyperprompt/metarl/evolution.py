"""Evolution strategies (Salimans et al. 2017, arXiv:1703.03864) on the tilt of a numeric control, from whole compiled runs.

    J(w) = E over tasks, variants, seeds of (AUC + final return) / 2, in units of the task's fixed scale
    g    = 1 / (2 n sigma) * sum_i (J(w + sigma e_i) - J(w - sigma e_i)) e_i,    w += Adam(g)

A branch shows what one step is worth while nothing answers it. What a whole run of answers is worth, R_meta summed to its end,
only whole runs tell. The two runs of a pair share task, variant, seed and all random numbers.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from hyperprompt.collect import split
from hyperprompt.collect.scales import GYMNAX, scale_of
from hyperprompt.core import Controller, MetaAction, MetaState
from hyperprompt.durable import append_line, atomic_write, cut, from_json, read_lines, to_json
from hyperprompt.errors import InvalidValue
from hyperprompt.records import versions
from hyperprompt.sft.controls import NumericController, NumericModel, read

Floats = NDArray[np.float64]
Listener = Callable[[dict[str, Any]], None]
PAIRS = 4
"""Of perturbations a fleet holds: a run a lane."""
LENGTHS = (0.75, 1.0, 1.5, 2.0)
"""Of runs, in units of their default."""
CLIP = 0.5
"""Most that one pair may differ by, in task units: a run that diverges is no better evidence than one that stays at zero."""
LOG = "evolution.jsonl"


class Evolution(BaseModel):
    """Everything that decides a search."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: str
    """Folder of the control that is tilted."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """Compiled source tasks of one algorithm, gymnax/NAME."""
    iterations: int = Field(default=20, ge=1)
    sigma: float = Field(default=0.1, gt=0)
    rate: float = Field(default=0.03, gt=0)
    """Adam's, per iteration and number."""
    columns: int = Field(default=3, ge=1)
    """How many columns of the view are searched: 1 the constant, 2 and the own place, 3 and progress, more: signals."""
    seed: int = Field(default=0, ge=0)


@dataclass
class Ascent:
    """Where the search is: w and Adam's moments (Kingma & Ba 2015, arXiv:1412.6980) after `count` gradients."""

    w: Floats
    first: Floats
    second: Floats
    count: int = 0

    @classmethod
    def begin(cls, shape: tuple[int, ...]) -> Ascent:
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape))

    def step(self, noise: Floats, gaps: Floats, sigma: float, rate: float) -> None:
        """`noise` e: (pairs, *shape); `gaps` J(w + sigma e) - J(w - sigma e): (pairs,)."""
        g = np.tensordot(np.clip(gaps, -CLIP, CLIP), noise, 1) / (2 * sigma * len(gaps))
        self.count += 1
        self.first, self.second = 0.9 * self.first + 0.1 * g, 0.99 * self.second + 0.01 * g**2
        unbiased = self.first / (1 - 0.9**self.count), np.sqrt(self.second / (1 - 0.99**self.count))
        self.w = self.w + rate * unbiased[0] / (unbiased[1] + 1e-8)

    def to_dict(self) -> dict[str, Any]:
        return {"w": self.w.tolist(), "first": self.first.tolist(), "second": self.second.tolist(), "count": self.count}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Ascent:
        return cls(np.array(data["w"]), np.array(data["first"]), np.array(data["second"]), data["count"])


class Lanes:
    """One control a lane."""

    name = "lanes"

    def __init__(self, controllers: Sequence[Controller]) -> None:
        self.controllers = controllers

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [c.decide([state])[0] for c, state in zip(self.controllers, states, strict=True)]


def evaluate(folder: str, task: str, tilts: Floats, seed: Sequence[int]) -> list[float]:
    """J of a run under each tilt (lanes, names, columns); all lanes have the same task, variant, length and seed."""
    from hyperprompt.collect import tasks
    from hyperprompt.collect.steer import collector, steer

    rng = np.random.default_rng(seed)
    fast, scale = collector(task.removeprefix(f"{GYMNAX}/")), scale_of(task)
    updates = round(float(rng.choice(LENGTHS)) * fast.updates)
    number, plain, own = int(rng.integers(2**31)), bool(rng.random() < 0.5), int(rng.integers(2**31))
    variant = tasks.Variant() if plain else tasks.draw(number, fast.task.continuous)
    controllers = [NumericController(tilted(read(Path(folder)), fast.algorithm, tilt)) for tilt in tilts]
    runs = steer(fast, task, variant, [own] * len(tilts), updates, Lanes(controllers))
    scores = [(scale.score(run.auc) + scale.score(run.final)) / 2 for run in runs]
    return [float(np.nan_to_num(score)) for score in scores]


def tilted(model: NumericModel, algorithm: str, tilt: Floats) -> NumericModel:
    """The control with the first columns of an algorithm's tilt put in place, (names, columns)."""
    model.tilt(algorithm)[:, : tilt.shape[1]] = torch.tensor(tilt, dtype=torch.float32)
    return model


def run(config: Evolution, folder: Path, jobs: int = 1, listen: Listener = lambda line: None) -> Floats:
    """Search, and write `folder`: evolution.jsonl, one line an iteration, and model/, the control with the tilt found: the
    mean over the last half of the iterations. A folder that holds a part of the same search goes on.

    Raises:
        InvalidValue: a folder of another search; tasks that are no compiled source tasks, or of several algorithms.
        ModelUnavailable: no control at `start`.
    """
    from hyperprompt.collect.steer import collector

    for task in config.tasks:
        if not task.startswith(f"{GYMNAX}/"):
            raise InvalidValue(f"tasks: {task} is not compiled; those of family {GYMNAX} are")
        split.check(task, {})
        scale_of(task)
    algorithms = {collector(task.removeprefix(f"{GYMNAX}/")).algorithm for task in config.tasks}
    if len(algorithms) != 1:
        raise InvalidValue(f"tasks: one search is about one algorithm, not {' and '.join(sorted(algorithms))}")
    algorithm, model = algorithms.pop(), read(Path(config.start))
    _claim(config, folder)
    lines, whole = read_lines(folder / LOG, from_json) if (folder / LOG).exists() else ([], 0)
    if lines:
        cut(folder / LOG, whole)
    shape = len(model.tilt(algorithm)), config.columns
    ascent = Ascent.from_dict(lines[-1]["ascent"]) if lines else Ascent.begin(shape)
    found = [np.array(line["ascent"]["w"]) for line in lines]
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        while ascent.count < config.iterations:
            noise = np.random.default_rng([config.seed, ascent.count]).standard_normal((len(config.tasks), PAIRS, *shape))
            arms = [
                (config.start, task, ascent.w + config.sigma * np.concatenate([e, -e]), (config.seed, ascent.count, k))
                for k, (task, e) in enumerate(zip(config.tasks, noise, strict=True))
            ]
            scores = np.array(list(pool.map(evaluate, *zip(*arms, strict=True))))
            gaps = (scores[:, :PAIRS] - scores[:, PAIRS:]).ravel()
            ascent.step(noise.reshape(-1, *shape), gaps, config.sigma, config.rate)
            found.append(ascent.w)
            means = dict(zip(config.tasks, scores.mean(1).tolist(), strict=True))
            line = {"J": means, "gap": float(gaps.std()), "ascent": ascent.to_dict()}
            append_line(folder / LOG, to_json(line))
            listen(line)
    best: Floats = np.mean(found[len(found) // 2 :], 0)
    tilted(model, algorithm, best).save(folder / "model")
    return best


def _claim(config: Evolution, folder: Path) -> None:
    path, text = folder / "config.json", to_json({**config.model_dump(mode="json"), "versions": versions()}, indent=1)
    if path.exists() and json.loads(path.read_text()) != json.loads(text):
        raise InvalidValue(f"{folder} holds another search: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(path, text + "\n")

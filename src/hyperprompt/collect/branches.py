"""Branch data: what different meta-actions at the same moment of the same run lead to.

Along runs with perturbed settings, at a checkpoint, K random joint meta-actions are tried, each under S seeds that all
actions share, and training goes on for a horizon of h updates. A branch is scored by evaluation episodes at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperprompt.collect import tasks
from hyperprompt.collect.equations import State
from hyperprompt.collect.ppo import Collector
from hyperprompt.collect.steer import LANES, SPACE, UPDATES, Fleet, collector, keys
from hyperprompt.core import STEPS, MetaAction, MetaState
from hyperprompt.durable import atomic_write, to_json
from hyperprompt.errors import InvalidValue, MissingDependency
from hyperprompt.hyperparameters import HyperparameterSpace, Theta

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """How a checkpoint is explored. `stops`: updates behind the run at the checkpoint of each lane, rotated by round."""

    actions: int = 12
    seeds: int = 2
    horizon: int = 16
    updates: int = UPDATES
    episodes: int = 16
    plain: int = 2
    """Lanes that train the plain task; the others train random variants."""
    stops: tuple[tuple[int, ...], ...] = ((0, 1, 2, 4, 9, 18, 30, 45), (0, 1, 4, 6, 12, 24, 36, 51))


@dataclass
class Perturbed:
    """The behaviour controller: at odds 1/2 a random joint step, else keep; drawn from (seed, run, decision index)."""

    seed: int
    name: str = "perturbed"

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [self._decide(lane, state) for lane, state in enumerate(states)]

    def _decide(self, lane: int, state: MetaState) -> MetaAction:
        rng = np.random.default_rng([self.seed, lane, state.index])
        if rng.random() < 0.5:
            return MetaAction()
        return MetaAction({name: STEPS[rng.integers(len(STEPS))] for name in state.space.names})


def first_theta(rng: np.random.Generator, space: HyperparameterSpace = SPACE) -> dict[str, float]:
    """A wide random setting to begin a behaviour run with, uniform on every scale; learning rates from 2e-4 to 2e-2."""
    low, high = space["learning_rate"].position(2e-4), space["learning_rate"].position(2e-2)
    places = {h.name: float(rng.uniform()) for h in space}
    # Few epochs and low rates look alike: nothing happens. Half of the range is enough of that.
    places |= {"learning_rate": float(rng.uniform(low, high)), "n_epochs": float(rng.uniform(0.5, 1.0))}
    return {h.name: h.at(places[h.name]) for h in space}


def joint_actions(rng: np.random.Generator, n: int, names: Sequence[str]) -> list[dict[str, int]]:
    """`n` joint actions, indices into STEPS. Every level of every hyperparameter occurs n // 7 times or once more."""
    columns = {}
    for name in names:
        levels = np.concatenate([rng.permutation(len(STEPS)) for _ in range(-(-n // len(STEPS)))])[:n]
        columns[name] = rng.permutation(levels)
    return [{name: int(columns[name][i]) for name in names} for i in range(n)]


def pick(state: State, lane: int, copies: int = LANES) -> State:
    """`copies` lanes that all go on from lane `lane`, generators included."""
    picked: State = jax.tree.map(lambda x: jnp.repeat(x[lane][None], copies, axis=0), state)
    return picked


def explore(
    collector: Collector,
    start: State,
    thetas: Sequence[Mapping[str, float]],
    seeds: Sequence[int],
    horizon: int,
    episodes: int,
) -> tuple[Floats, Floats]:
    """Train from `start` (all lanes alike) under each theta and seed, one pair a branch.

    Returns (evaluation return at the end, mean return of the episodes of the horizon), each of shape (branches,). Branches
    with equal seeds share all random numbers; those with equal n_epochs run side by side, which saves time.
    """
    end, mean = np.empty(len(thetas)), np.empty(len(thetas))
    order = sorted(range(len(thetas)), key=lambda i: thetas[i]["n_epochs"])
    for block in (order[i : i + LANES] for i in range(0, len(order), LANES)):
        lanes = [block[min(i, len(block) - 1)] for i in range(LANES)]
        state = start._replace(key=keys([seeds[i] for i in lanes]))
        theta = {name: np.asarray([thetas[i][name] for i in lanes]) for name in thetas[0]}
        state, rows = collector.advance(state, theta, horizon)
        scores = collector.evaluate(state, keys([0] * LANES), episodes).mean(1)
        with np.errstate(invalid="ignore"):
            means = rows["return_sum"].sum(0) / rows["episodes"].sum(0)
        for lane, i in enumerate(block):
            end[i], mean[i] = scores[lane], means[lane]
    return end, mean


def checkpoint(
    collector: Collector, fleet: Fleet, lane: int, design: Design, seed: int, before: float
) -> list[dict[str, Any]]:
    """The rows of one checkpoint: every branch from lane `lane` of `fleet` as it stands."""
    rng = np.random.default_rng([seed, lane])
    meta = fleet.runs[lane].meta
    state = meta.state(fleet.step)
    space = state.space
    actions = [a for a in joint_actions(rng, design.actions, space.names) for _ in range(design.seeds)]
    seeds = [int(s) for s in rng.integers(2**31, size=design.seeds)] * design.actions
    thetas = [space.values(space.shift(state.theta, {n: STEPS[i] for n, i in a.items()})) for a in actions]
    horizon = min(design.horizon, fleet.updates - fleet.done)
    end, mean = explore(collector, pick(fleet.state, lane), thetas, seeds, horizon, design.episodes)
    shared = {
        "task": collector.task.name,
        "run": meta.name,
        "variant": to_json(dict(zip(tasks.Variant._fields, [float(v[lane]) for v in fleet.state.variant], strict=True))),
        "update": fleet.done,
        "horizon": horizon,
        "before": before,
        "meta_state": to_json(state.to_dict()),
    }
    return [
        {
            **shared,
            "seed": seeds[i],
            **{f"step/{n}": a for n, a in actions[i].items()},
            **{f"theta/{n}": v for n, v in thetas[i].items()},
            "end": float(end[i]),
            "mean": float(mean[i]),
        }
        for i in range(len(actions))
    ]


def collect_round(task: str, round_: int, design: Design = Design()) -> list[dict[str, Any]]:
    """One round of a task: LANES runs with perturbed settings, one checkpoint each. Deterministic in (task, round)."""
    seed = [sum(task.encode()), round_]
    rng = np.random.default_rng(seed)
    stops = np.roll(design.stops[round_ % len(design.stops)], -3 * round_)
    run_seeds = [int(s) for s in rng.integers(2**31, size=LANES)]
    numbers = [-1 if (lane + round_) % LANES < design.plain else int(rng.integers(2**31)) for lane in range(LANES)]
    variants = [tasks.Variant() if n < 0 else tasks.draw(n) for n in numbers]
    first: list[Theta] = [{} if stop == 0 else first_theta(rng) for stop in stops]
    names = [task if n < 0 else f"{task}:{n}" for n in numbers]
    ppo = collector(task)
    fleet = Fleet(ppo, names, variants, run_seeds, design.updates, first)
    behaviour = Perturbed(int(rng.integers(2**31)))
    rows: list[dict[str, Any]] = []
    last = max(stops)
    while True:
        due = [lane for lane in range(LANES) if stops[lane] == fleet.done]
        if due:
            before = ppo.evaluate(fleet.state, keys([0] * LANES), design.episodes).mean(1)
            for lane in due:
                rows += checkpoint(ppo, fleet, lane, design, seed[0] * 1000 + round_, float(before[lane]))
        if fleet.done >= last:
            return rows
        fleet.decide(behaviour)
        fleet.go_on()


def collect(names: Sequence[str], rounds: Sequence[int], out: Path, design: Design = Design()) -> None:
    """Write `out`/<task>-<round>.parquet, one row a branch; files that are there already are kept.

    Raises:
        InvalidValue: a checkpoint that falls between two intervals or after the run.
    """
    pa: Any = _pyarrow("pyarrow")
    pq: Any = _pyarrow("pyarrow.parquet")

    out.mkdir(parents=True, exist_ok=True)
    for round_ in rounds:
        for name in names:
            path = out / f"{name}-{round_:03d}.parquet"
            if path.exists():
                continue
            rows = collect_round(name, round_, design)
            if len(rows) != LANES * design.actions * design.seeds:
                raise InvalidValue(f"stops {design.stops} do not all fall between two intervals of {design.updates} updates")
            content = BytesIO()
            pq.write_table(pa.Table.from_pylist(rows), content)
            atomic_write(path, content.getvalue())


def load(folder: Path) -> list[dict[str, Any]]:
    """Every stored branch, in the order of the file names."""
    pq: Any = _pyarrow("pyarrow.parquet")

    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def _pyarrow(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependency("branch data", "collect") from error


def main_effects(steps: Floats, scores: Floats, ridge: float = 0.05) -> tuple[Floats, Floats]:
    """Main effects of every hyperparameter's steps on the score, and their standard errors; each (hyperparameters, 7).

    Fits score = a + sum_j (b_j d_j + c_j d_j^2) by ridge regression; the effect of a step is its part of the sum less that
    of keep. `steps`: (branches, hyperparameters) in units of the scale; `scores`: (branches,), in any unit.

    Raises:
        InvalidValue: arrays that do not fit together, or fewer than three branches.
    """
    if steps.ndim != 2 or scores.shape != steps.shape[:1] or len(scores) < 3:
        raise InvalidValue(f"steps {steps.shape} and scores {scores.shape}: need (branches, names), (branches,), 3 or more")
    n, names = steps.shape
    design = np.concatenate([np.ones((n, 1)), steps, steps**2], axis=1)
    penalty = n * ridge * np.diag([0.0] + [1.0] * (2 * names))
    inverse = np.linalg.inv(design.T @ design + penalty)
    beta = inverse @ design.T @ scores
    residual = scores - design @ beta
    freedom = max(1.0, n - float(np.trace(design @ inverse @ design.T)))
    covariance = (residual @ residual / freedom) * inverse @ design.T @ design @ inverse
    levels = np.asarray(STEPS)
    basis = np.stack([levels, levels**2], axis=1)
    effects, errors = np.empty((names, len(levels))), np.empty((names, len(levels)))
    for j in range(names):
        at = [1 + j, 1 + names + j]
        effects[j] = basis @ beta[at]
        errors[j] = np.sqrt(np.einsum("ka,ab,kb->k", basis, covariance[np.ix_(at, at)], basis))
    return effects, errors

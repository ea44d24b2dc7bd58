"""Branch data: what different meta-actions at the same moment of the same run lead to.

Along runs with perturbed settings, at a checkpoint, K random joint meta-actions are tried, each under S seeds that all
actions share, and training goes on for a horizon of h updates, or to the end of the run, under a controller; static keeps what
was tried. A branch is scored by evaluation episodes at its end and by the returns on the way there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperprompt.collect import design as designs
from hyperprompt.collect import sources, tasks
from hyperprompt.collect.compiled import Collector, space_of
from hyperprompt.collect.config import Recipe
from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.collect.design import Perturbed
from hyperprompt.collect.steer import LANES, Fleet, collector, keys
from hyperprompt.controllers import registry
from hyperprompt.core import STEPS, Controller, MetaAction
from hyperprompt.hyperparameters import HyperparameterSpace, Theta
from hyperprompt.meta.interval import IntervalSchedule

Floats = NDArray[np.float64]
STOPS = ((0, 1, 2, 4, 9, 18, 30, 45), (0, 1, 4, 6, 12, 24, 36, 51))
"""Where each lane has its checkpoint, in parts of a run; rotated by round."""
PARTS = 64


@dataclass(frozen=True)
class Design:
    """How a checkpoint is explored."""

    actions: int = 12
    seeds: int = 2
    horizon: int = 16
    updates: int = PARTS
    episodes: int = 16
    plain: int = 2
    """Lanes that train the plain task; the others train random variants."""

    @classmethod
    def of(cls, recipe: Recipe, collector: Collector) -> Design:
        """Of a recipe; a budget, and a horizon in steps, mean whole updates."""
        updates = collector.updates if recipe.steps is None else max(3, round(recipe.steps / collector.update_steps))
        off_policy = collector.algorithm == "sac"
        wanted = max(1, round(recipe.horizon_steps / collector.update_steps)) if off_policy else recipe.horizon_updates
        horizon = min(wanted, updates // 3) or updates
        return cls(recipe.actions, recipe.seeds, horizon, updates, recipe.episodes)

    def stops(self, round_: int) -> list[int]:
        """Of each lane, at boundaries between intervals as near as can be to the shares of the default budget."""
        starts = IntervalSchedule(self.updates, 1).starts()
        wanted = np.roll(STOPS[round_ % len(STOPS)], -3 * round_) * self.updates / PARTS
        return [min(starts, key=lambda start: abs(start - stop)) for stop in wanted]


def first_theta(rng: np.random.Generator, space: HyperparameterSpace, narrow: Mapping[str, tuple[float, float]]) -> Theta:
    """A wide random setting to begin a behaviour run with, uniform on every scale; of some within `Collector.narrow`."""
    places = {h.name: float(rng.uniform()) for h in space}
    places |= {name: float(rng.uniform(*within)) for name, within in narrow.items() if name in places}
    return {h.name: h.at(places[h.name]) for h in space}


def explore(
    fleet: Fleet,
    lane: int,
    moves: Sequence[Theta],
    seeds: Sequence[int],
    horizon: int,
    episodes: int,
    controller: Controller,
) -> tuple[Floats, Floats]:
    """Lane `lane` of `fleet` goes on for `horizon` updates after each joint step under each seed, one pair a branch; what is
    decided after it is the controller's: with the rest of the run as horizon, Q(s_meta, delta) of that policy.

    Returns (evaluation return at the end, mean return of the episodes of the horizon), each of shape (branches,). Branches
    with equal seeds share all random numbers; those that cost alike run side by side, which saves time.
    """
    end, mean = np.empty(len(moves)), np.empty(len(moves))
    collector, state = fleet.collector, fleet.runs[lane].meta.state(fleet.step)
    cost = [state.space.shift(state.theta, move).get(collector.dear, 0.0) for move in moves]
    order = sorted(range(len(moves)), key=lambda i: cost[i])
    for block in (order[i : i + LANES] for i in range(0, len(order), LANES)):
        lanes = [block[min(i, len(block) - 1)] for i in range(LANES)]
        reports = []
        with collector.task.visit():
            twin = fleet.fork(lane, [seeds[i] for i in lanes])
            for run, i in zip(twin.runs, lanes, strict=True):
                run.meta.apply(state, MetaAction(moves[i]), "branch", 0.0)
            until = fleet.done + horizon
            while True:
                reports.append(twin.go_on(until - twin.done))
                if twin.done >= until:
                    break
                twin.decide(controller)
        scores = collector.evaluate(twin.state, keys([0] * LANES), episodes).mean(1)
        total, count = (np.concatenate([rows[name] for rows in reports]).sum(0) for name in ("return_sum", "episodes"))
        with np.errstate(invalid="ignore"):
            means = total / count
        for place, i in enumerate(block):
            end[i], mean[i] = scores[place], means[place]
    return end, mean


def checkpoint(
    fleet: Fleet, lane: int, recipe: Recipe, design: Design, seed: int, before: float, controller: Controller
) -> Checkpoint:
    """Every branch from lane `lane` of `fleet` as it stands, under `controller` after the step that is tried."""
    collector, meta = fleet.collector, fleet.runs[lane].meta
    state = meta.state(fleet.step)
    space = state.space
    rng = np.random.default_rng([seed, lane])
    steps, seeds = designs.branches(rng, design.actions, design.seeds, len(space))
    moves = [dict(zip(space.names, np.asarray(STEPS)[row], strict=True)) for row in steps]
    # What learns only later can be told apart by no branch until then.
    idle = max(0, collector.idle - fleet.done)
    horizon = min(design.horizon + idle, fleet.updates - fleet.done)
    end, mean = explore(fleet, lane, moves, seeds.tolist(), horizon, design.episodes, controller)
    variant = dict(zip(tasks.Variant._fields, [float(v[lane]) for v in fleet.state.variant], strict=True))
    branched = designs.Branched(horizon * collector.update_steps, before, steps, seeds, end, mean)
    return designs.checkpoint(state, recipe.family, recipe.env, meta.name, variant, recipe.task_scale(), branched)


def collect_round(recipe: Recipe, round_: int) -> list[Checkpoint]:
    """LANES runs with perturbed settings, one checkpoint each. Deterministic in (task, round)."""
    task = sources.short(recipe.env)
    fast = collector(task, **recipe.rollout())
    design, near = Design.of(recipe, fast), recipe.behaviour == "near"
    seed = designs.round_seed(task, round_)
    rng = np.random.default_rng(seed)
    stops = design.stops(round_)
    run_seeds = [int(s) for s in rng.integers(2**31, size=LANES)]
    numbers = [-1 if (lane + round_) % LANES < design.plain else int(rng.integers(2**31)) for lane in range(LANES)]
    variants = [tasks.Variant() if n < 0 else tasks.draw(n, fast.task.continuous) for n in numbers]
    space = space_of(fast, recipe.tune)
    first: list[Theta] = [{} if stop == 0 or near else first_theta(rng, space, fast.narrow) for stop in stops]
    names = [task if n < 0 else f"{task}:{n}" for n in numbers]
    fleet = Fleet(fast, names, variants, run_seeds, design.updates, first, space)
    odds = [designs.ODDS[recipe.behaviour]] * LANES
    controller = registry.create(recipe.controller)
    behaviour = Perturbed(controller, odds, int(rng.integers(2**31)))
    found: list[Checkpoint] = []
    while True:
        due = [lane for lane in range(LANES) if stops[lane] == fleet.done]
        if due:
            before = fast.evaluate(fleet.state, keys([0] * LANES), design.episodes).mean(1)
            for lane in due:
                found.append(checkpoint(fleet, lane, recipe, design, seed[0] * 1000 + round_, float(before[lane]), controller))
        if fleet.done >= max(stops):
            return found
        fleet.decide(behaviour)
        fleet.go_on()

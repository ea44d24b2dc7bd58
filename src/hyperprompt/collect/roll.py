"""Whole runs without branches: meta-states as a controller meets them, for labels that can be asked for anywhere.

A policy that is only shown the runs of others meets states of its own making that it has never seen (Ross et al. 2011,
arXiv:1011.0686). So runs are steered by a first controller, more or less disturbed, from wide random settings as well as from
the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hyperprompt.collect.config import Recipe
from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.collect.design import Perturbed, checkpoint, round_seed, unbranched
from hyperprompt.collect.sources import short
from hyperprompt.controllers import registry
from hyperprompt.core import Controller, MetaState
from hyperprompt.hyperparameters import Theta

Variant = Mapping[str, Any]
ODDS = (0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.5, 0.5)
"""How often a random joint step stands in for the controller's, one a run."""
LENGTHS = (0.75, 1.0, 1.5, 2.0)
"""Of compiled runs, in units of their default, drawn by round: a transcript does not tell how long an update is."""


def collect_round(recipe: Recipe, round_: int) -> list[Checkpoint]:
    """One whole run, or eight of a compiled task, each as its last meta-state.

    Raises:
        HyperPromptError: whatever `LiveRun` or the controller refuse.
    """
    rng = np.random.default_rng([*round_seed(recipe.env, round_), 7])
    controller = registry.create(recipe.controller)
    states = _compiled(recipe, rng, controller) if recipe.compiled else [_live(recipe, rng, controller, round_)]
    scale = recipe.task_scale()
    return [
        checkpoint(
            state, recipe.family, recipe.env, f"roll-{round_}:{state.run}", variant, scale, unbranched(len(state.space))
        )
        for state, variant in states
    ]


def _compiled(recipe: Recipe, rng: np.random.Generator, controller: Controller) -> list[tuple[MetaState, Variant]]:
    from hyperprompt.collect import tasks
    from hyperprompt.collect.branches import first_theta
    from hyperprompt.collect.compiled import space_of
    from hyperprompt.collect.steer import LANES, Fleet, collector

    task = short(recipe.env)
    fast = collector(task, **recipe.rollout())
    updates = int(rng.choice([round(share * fast.updates) for share in LENGTHS]))
    seeds = [int(s) for s in rng.integers(2**31, size=LANES)]
    plain = rng.permutation(LANES) < LANES // 4
    variants = [tasks.Variant() if p else tasks.draw(s, fast.task.continuous) for p, s in zip(plain, seeds, strict=True)]
    space = space_of(fast, recipe.tune)
    first: list[Theta] = [{} if lane % 2 else first_theta(rng, space, fast.narrow) for lane in range(LANES)]
    names = [task if p else f"{task}:{s}" for p, s in zip(plain, seeds, strict=True)]
    fleet = Fleet(fast, names, variants, seeds, updates, first, space)
    behaviour = Perturbed(controller, rng.permutation(ODDS).tolist(), int(rng.integers(2**31)))
    while fleet.done < updates:
        fleet.decide(behaviour)
        fleet.go_on()
    described = [dict(zip(tasks.Variant._fields, map(float, v), strict=True)) for v in variants]
    return [(run.meta.state(fleet.step), variant) for run, variant in zip(fleet.runs, described, strict=True)]


def _live(recipe: Recipe, rng: np.random.Generator, controller: Controller, round_: int) -> tuple[MetaState, Variant]:
    from hyperprompt.collect.live import begin, first_theta
    from hyperprompt.meta.live import LiveRun

    run = LiveRun(recipe.run_config(seed=int(rng.integers(2**31))))
    behaviour = Perturbed(controller, [ODDS[round_ % len(ODDS)]], int(rng.integers(2**31)))
    try:
        if round_ % 2:
            begin(run, first_theta(rng, run.state()))
        while not run.finished:
            run.apply(behaviour.decide([run.state()])[0], behaviour.name)
            run.advance()
        return run.state(), recipe.options
    finally:
        run.close()

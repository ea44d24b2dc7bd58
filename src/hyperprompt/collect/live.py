"""Branches of live runs: any task and algorithm, at the speed of its training.

A behaviour run goes under perturbed settings; at some of its decisions K joint steps x S common seeds are tried: the run is
taken back to the decision, trains under the step for a horizon, and is scored by evaluation episodes, again and again. Then it
goes on as if it had only been restored once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from hyperprompt.agents.loop import update_steps
from hyperprompt.collect import design
from hyperprompt.collect.config import Recipe
from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.collect.design import ODDS, Perturbed, branches, round_seed
from hyperprompt.controllers.fixed import Static
from hyperprompt.core import STEPS, MetaAction, MetaState
from hyperprompt.errors import InvalidValue
from hyperprompt.hyperparameters import HyperparameterSpace, Theta
from hyperprompt.meta.live import LiveRun

REACH: Mapping[str, float] = {"learning_rate": 3.0, "n_epochs": 1.0, "gradient_steps": 1.0, "ent_coef": math.inf}
"""How far, in units of its scale, a behaviour run may begin from the preset's own value; 2 for all others. What multiplies the
time of a run is kept near; the entropy bonus is often 0, and begins anywhere."""


def collect_round(recipe: Recipe, round_: int) -> list[Checkpoint]:
    """One behaviour run and the branches from it. Deterministic in (task, round) where the task's environments are.

    Raises:
        HyperPromptError: whatever `LiveRun` refuses; InvalidValue: no episode ended in a branch that has no evaluation.
    """
    rng = np.random.default_rng(round_seed(recipe.env, round_))
    run = LiveRun(recipe.run_config(seed=int(rng.integers(2**31))))
    behaviour = Perturbed(Static(), [ODDS[recipe.behaviour]], int(rng.integers(2**31)))
    horizon = horizon_of(run, recipe)
    due = stops(rng, recipe.checkpoints, run.total_steps - horizon)
    found: list[Checkpoint] = []
    try:
        while not run.finished:
            if run.step >= due[0]:
                found.append(checkpoint(run, recipe, rng, horizon))
                due = due[1:]
            if not due:
                break
            if run.meta.intervals or recipe.behaviour == "near":
                run.apply(behaviour.decide([run.state()])[0], behaviour.name)
            else:
                begin(run, first_theta(rng, run.state()))
            run.advance()
        return found
    finally:
        run.close()


def horizon_of(run: LiveRun, recipe: Recipe) -> int:
    """h in environment steps, whole updates: the recipe's, at most a third of the budget."""
    update = update_steps(run.model)
    off_policy = isinstance(run.model, OffPolicyAlgorithm)
    wanted = recipe.horizon_steps if off_policy else recipe.horizon_updates * update
    return max(1, min(wanted, run.total_steps // 3) // update) * update


def stops(rng: np.random.Generator, n: int, last: int) -> list[int]:
    """Environment steps at or after which a decision is explored: 0, then one at random in each of n - 1 parts of the run
    up to `last`, whose lengths grow linearly."""
    places = (np.arange(n - 1) + rng.uniform(size=n - 1)) / max(1, n - 1)
    return [0, *(int(last * place**2) for place in places)]


def first_theta(rng: np.random.Generator, state: MetaState) -> Theta:
    """A wide random setting around the preset's own, uniform on every scale."""
    space: HyperparameterSpace = state.space
    values = {}
    for h in space:
        reach = REACH.get(h.name, 2.0)
        u = float(rng.uniform())
        values[h.name] = h.at(u) if math.isinf(reach) else h.shift(state.theta[h.name], reach * (2 * u - 1))
    return values


def begin(run: LiveRun, theta: Theta) -> None:
    """The run, still untrained, begins at `theta` instead of at the preset's settings."""
    run.agent.set(run.meta.space.values(theta))
    run.meta.space = run.meta.space.starting_at(run.agent.get())


def checkpoint(run: LiveRun, recipe: Recipe, rng: np.random.Generator, horizon: int) -> Checkpoint:
    """Every branch from `run` as it stands, which then goes on as after `restore`."""
    state = run.state()
    names, scale = state.space.names, recipe.task_scale()
    steps, seeds = branches(rng, recipe.actions, recipe.seeds, len(names))
    onward = int(rng.integers(2**31))
    length = min(horizon + _idle(run), run.total_steps - run.step)
    snapshot = run.snapshot()
    before = _evaluated(run, recipe, run.meta.intervals[-1].signals.values if run.meta.intervals else {})
    end, mean = np.empty(len(seeds)), np.empty(len(seeds))
    for i, (row, seed) in enumerate(zip(steps, seeds, strict=True)):
        run.restore(snapshot, branch=int(seed))
        run.apply(MetaAction({name: STEPS[k] for name, k in zip(names, row, strict=True)}), "branch")
        signals = run.advance(length).signals.values
        mean[i] = signals.get("return_mean", math.nan)
        end[i] = _evaluated(run, recipe, signals)
        if math.isnan(end[i]):
            raise InvalidValue(f"no episode ended within {length} steps of {run.meta.name}: give it evaluation episodes")
    trained = run.step - state.step
    run.restore(snapshot, branch=onward)
    branched = design.Branched(trained, before, steps, seeds, end, mean)
    return design.checkpoint(state, recipe.family, recipe.env, run.meta.name, recipe.options, scale, branched)


def _idle(run: LiveRun) -> int:
    """Steps an off-policy run still has to go before it learns anything, which no branch can be told apart by."""
    return max(0, getattr(run.model, "learning_starts", 0) - run.step)


def _evaluated(run: LiveRun, recipe: Recipe, signals: Mapping[str, float]) -> float:
    if recipe.episodes:
        return float(run.evaluate(recipe.episodes).mean())
    return float(signals.get("return_mean", math.nan))

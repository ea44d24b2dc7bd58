"""The paper's recipe: runs of an offline tuner, each decision labelled with the values that the search found best."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count

import numpy as np

from hyperprompt.collect.config import Recipe
from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.collect.design import checkpoint, round_seed, unbranched
from hyperprompt.config import RunConfig
from hyperprompt.core import MetaState
from hyperprompt.durable import to_json
from hyperprompt.evaluation.metrics import auc
from hyperprompt.meta.live import LiveRun
from hyperprompt.meta.reward import returns
from hyperprompt.pipeline import tuning


def collect_round(recipe: Recipe, round_: int) -> list[Checkpoint]:
    """One search by AUC: every decision of its runs, without branches, `target` being the best run's settings.

    A learner steps toward them: `Hyperparameter.delta(theta, target)`.

    Raises:
        HyperPromptError: whatever `LiveRun` or the tuner refuse; `tuning.NoScore` where no run has an AUC.
    """
    base = recipe.run_config(int(np.random.default_rng(round_seed(recipe.env, round_)).integers(2**31)))
    search = tuning.search(recipe.tuner, base, recipe.trials, round_)
    found: list[Checkpoint] = []
    try:
        config = next(search)
        for trial in count():
            states, score = train(config)
            found += [_checkpoint(recipe, f"{state.run}/{round_}-{trial}", state) for state in states]
            config = search.send(score)
    except StopIteration as end:
        best: tuning.Best = end.value
    return [replace(checkpoint, target=to_json(best.theta)) for checkpoint in found]


def train(config: RunConfig) -> tuple[list[MetaState], float]:
    """The meta-states of a run without actions, one a decision, and its AUC (NaN where no episode ended)."""
    run = LiveRun(config)
    states = []
    try:
        while not run.finished:
            states.append(run.state())
            run.advance()
    finally:
        run.close()
    steps, means = returns(run.meta.intervals)
    return states, auc(steps, means, run.total_steps)


def _checkpoint(recipe: Recipe, run: str, state: MetaState) -> Checkpoint:
    before = returns(state.intervals)[1][-1] if state.intervals else math.nan
    nothing = unbranched(len(state.space), before)
    return checkpoint(state, recipe.family, recipe.env, run, recipe.options, recipe.task_scale(), nothing)

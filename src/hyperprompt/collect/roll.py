"""Whole runs without branches: meta-states as a trained policy meets them, for labels that can be asked for anywhere.

A policy that is only shown the runs of others meets states of its own making that it has never seen (Ross et al. 2011,
arXiv:1011.0686). So runs are steered by a teacher, more or less disturbed, from wide random settings as well as the defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperprompt.collect import tasks
from hyperprompt.collect.branches import first_theta
from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.collect.scales import GYMNAX
from hyperprompt.collect.steer import LANES, Fleet, collector
from hyperprompt.core import STEPS, Controller, MetaAction, MetaState
from hyperprompt.durable import to_json
from hyperprompt.envs.scale import TaskScale
from hyperprompt.hyperparameters import Theta

ODDS = (0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.5, 0.5)
"""Of each lane: how often a random joint step stands in for the teacher's."""
UPDATES = (48, 64, 96, 128)
"""Lengths of runs, drawn by round: a transcript does not tell how long an update is."""


@dataclass
class Disturbed:
    """A controller whose answers are replaced by random joint steps at given odds; drawn from (seed, lane, decision)."""

    inner: Controller
    odds: Sequence[float]
    seed: int
    name: str = "disturbed"

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        answers = list(self.inner.decide(states))
        for lane, state in enumerate(states):
            rng = np.random.default_rng([self.seed, lane, state.index])
            if rng.random() < self.odds[lane]:
                answers[lane] = MetaAction({name: STEPS[rng.integers(len(STEPS))] for name in state.space.names})
        return answers


def roll(task: str, round_: int, teacher: Controller, scale: TaskScale) -> list[Checkpoint]:
    """LANES whole runs of a compiled task, each as its last meta-state. Deterministic in (task, round)."""
    rng = np.random.default_rng([sum(task.encode()), round_, 7])
    updates = int(rng.choice(UPDATES))
    seeds = [int(s) for s in rng.integers(2**31, size=LANES)]
    plain = rng.permutation(LANES) < LANES // 4
    variants = [tasks.Variant() if p else tasks.draw(s) for p, s in zip(plain, seeds, strict=True)]
    first: list[Theta] = [{} if lane % 2 else first_theta(rng) for lane in range(LANES)]
    names = [task if p else f"{task}:{s}" for p, s in zip(plain, seeds, strict=True)]
    fleet = Fleet(collector(task), names, variants, seeds, updates, first)
    controller = Disturbed(teacher, rng.permutation(ODDS), int(rng.integers(2**31)))
    while fleet.done < updates:
        fleet.decide(controller)
        fleet.go_on()
    none = np.zeros(0)
    return [
        Checkpoint(
            family=GYMNAX,
            task=f"{GYMNAX}/{task}",
            algorithm="ppo",
            run=f"roll-{round_}:{run.meta.name}",
            variant=to_json(dict(zip(tasks.Variant._fields, map(float, variant), strict=True))),
            state=run.meta.state(fleet.step),
            horizon=0,
            before=float("nan"),
            random=scale.random,
            unit=scale.static - scale.random,
            steps=np.zeros((0, len(run.meta.space)), np.int64),
            seeds=np.zeros(0, np.int64),
            end=none,
            mean=none,
        )
        for run, variant in zip(fleet.runs, variants, strict=True)
    ]

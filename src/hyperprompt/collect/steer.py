"""Runs of the compiled collector under a controller, in lockstep, through the same meta-states and guard as live runs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from hyperprompt.collect import ppo, sac, sources, split, tasks
from hyperprompt.collect.compiled import Collector, Ended, Rows, RunState, space_of
from hyperprompt.collect.tasks import Variant
from hyperprompt.controllers.guard import ask
from hyperprompt.core import Agent, Controller, Signals, Task
from hyperprompt.errors import InvalidValue
from hyperprompt.evaluation.metrics import auc, final_return
from hyperprompt.hyperparameters import HyperparameterSpace, Theta
from hyperprompt.meta.interval import IntervalSchedule
from hyperprompt.meta.run import MetaRun

State = TypeVar("State", bound=RunState)
LANES = 8
"""Runs compiled side by side; other numbers are filled up. One number, so that one compilation serves everything."""
N_STEPS = 32
"""Steps of a rollout of PPO unless told, a quarter of live runs': 64 updates are 33k environment steps and cost seconds."""
SUMMED = (*Ended._fields, "learnt")
LAST = ("q_value",)
"""Signals that are what an interval leaves behind, not means over it."""


@dataclass
class SteeredRun:
    """One finished run: its learning curve, one point an update, and its meta-MDP."""

    meta: MetaRun
    update_steps: int
    returns: list[float] = field(default_factory=list)
    """Mean return of the episodes that ended in each update; NaN where none did."""

    @property
    def steps(self) -> list[int]:
        return [(i + 1) * self.update_steps for i in range(len(self.returns))]

    @property
    def auc(self) -> float:
        """Mean return over the run, in the task's units."""
        return auc(self.steps, self.returns, self.steps[-1])

    @property
    def final(self) -> float:
        """Mean return over the last tenth."""
        return final_return(self.steps, self.returns, self.steps[-1])

    def thetas(self) -> list[dict[str, float]]:
        """The values in force in each interval."""
        return [self.meta.space.values(interval.theta) for interval in self.meta.intervals]


def collector(task: str, n_steps: int = N_STEPS) -> Collector:
    """The collector of a base task, of the algorithm that trains there; `n_steps`: of a rollout of PPO.

    Raises:
        InvalidValue: a sealed test task, which only `hyperprompt benchmark` looks at, and counts.
    """
    if split.part_of(sources.full(task)) == "test":
        raise InvalidValue(f"{task} is a sealed test task: no compiled run is made of it (docs/split.md)")
    made = tasks.make(task)
    return sac.Collector(made) if sources.find(task).algorithm == "sac" else ppo.Collector(made, n_steps=n_steps)


def keys(seeds: Sequence[int]) -> jax.Array:
    return jax.vmap(jax.random.key)(np.asarray(seeds, np.uint32))


def pick(state: State, lane: int, copies: int = LANES) -> State:
    """`copies` lanes that all go on from lane `lane`, generators included."""
    picked: State = jax.tree.map(lambda x: jnp.repeat(x[lane][None], copies, axis=0), state)
    return picked


def seat(collector: Collector, name: str, updates: int, space: HyperparameterSpace, theta: Theta) -> MetaRun:
    """The meta-MDP of one lane: `MetaRun` over an agent that only holds the values in force."""
    values = space.values({**space.defaults, **theta})  # what a learner can be given: whole epochs

    def put(new: Theta) -> None:
        values.update(new)

    agent = SimpleNamespace(algorithm=collector.algorithm, space=space, refused={}, get=lambda: dict(values), set=put)
    task = Task(
        env=name,
        algorithm=collector.algorithm,
        action="continuous" if collector.task.continuous else "discrete",
        observation="image" if collector.task.image else "vector",
        observation_size=collector.task.observation_size,
        action_size=collector.task.action_size,
        n_envs=collector.n_envs,
        total_steps=updates * collector.update_steps,
    )
    return MetaRun(cast(Agent, agent), task, space, name)


def in_force(runs: Sequence[MetaRun]) -> dict[str, np.ndarray[Any, Any]]:
    """theta of every lane as the collector takes it, shape (lanes,)."""
    values = [run.space.values(run.theta()) for run in runs]
    return {name: np.asarray([v[name] for v in values]) for name in values[0]}


def interval_signals(rows: Rows, lane: int) -> Signals:
    """One interval's signals from `Collector.advance`: means over its updates and over its episodes, as live runs report.
    Updates in which nothing was learned report nothing."""
    learnt = rows["learnt"][:, lane] > 0 if "learnt" in rows else np.ones(len(rows["episodes"]), bool)
    reported = {n: v[:, lane][learnt] for n, v in rows.items() if n not in (*SUMMED, *LAST)}
    reported |= {n: rows[n][-1:, lane] for n in LAST if n in rows}
    values = {n: float(np.mean(v)) for n, v in reported.items() if len(v) and np.isfinite(v).all()}
    episodes = float(rows["episodes"][:, lane].sum())
    if episodes:
        mean, square, length = (float(rows[name][:, lane].sum()) / episodes for name in Ended._fields[1:])
        spread = max(0.0, square - mean**2) ** 0.5
        values |= {"return_mean": mean, "return_std": spread, "episode_length": length}
    return Signals(values, int(episodes))


def curve(rows: Rows, lane: int) -> list[float]:
    """Mean return of each update's episodes, NaN without any."""
    episodes, total = rows["episodes"][:, lane], rows["return_sum"][:, lane]
    return [float(t / n) if n else float("nan") for t, n in zip(total, episodes, strict=True)]


class Fleet:
    """LANES runs that go on interval by interval; the caller may look at, and branch from, `state` between two.

    Args:
        names, variants, seeds: one a lane; at most LANES, the rest is filled up with copies of the last.
        first: theta at step 0, one a lane; names left out have their defaults.
        space: the hyperparameters under control, by default the algorithm's tuned set.
    """

    def __init__(
        self,
        collector: Collector,
        names: Sequence[str],
        variants: Sequence[Variant],
        seeds: Sequence[int],
        updates: int,
        first: Sequence[Theta] | None = None,
        space: HyperparameterSpace | None = None,
    ) -> None:
        self.collector, self.updates, self.lanes = collector, updates, len(seeds)
        fill = [min(i, len(seeds) - 1) for i in range(LANES)]
        self.state: Any = collector.init(keys([seeds[i] for i in fill]), [variants[i] for i in fill])
        thetas, space = first or [{}] * len(seeds), space or space_of(collector)
        self.runs = [
            SteeredRun(seat(collector, names[i], updates, space, thetas[i]), collector.update_steps) for i in range(len(seeds))
        ]
        for run, name, seed in zip(self.runs, names, seeds, strict=True):
            run.meta.name = f"{name}/{seed}"
        self._schedule = IntervalSchedule(updates * collector.update_steps, collector.update_steps)
        self.done = 0
        """Updates behind every run."""

    @property
    def step(self) -> int:
        return self.done * self.collector.update_steps

    def decide(self, controller: Controller) -> None:
        """One decision for every run.

        Raises:
            InvalidValue: the controller failed, or its answer is unsound. A live run keeps theta and goes on; what is
                collected here would be of no controller at all.
        """
        states = [run.meta.state(self.step) for run in self.runs]
        for run, state, answer in zip(self.runs, states, ask(controller, states), strict=True):
            decision = run.meta.apply(state, answer, controller.name, 0.0)
            if decision.status == "rejected":
                raise InvalidValue(f"controller {controller.name} failed on {run.meta.name}: {decision.reason}")

    def fork(self, lane: int, seeds: Sequence[int]) -> Fleet:
        """LANES copies of lane `lane` as it stands, which go on under random numbers of their own, one of `seeds` each; with
        environments that cannot be copied, in new episodes.
        """
        twin = copy.copy(self)
        twin.state = self.collector.branch(pick(self.state, lane), keys(seeds))
        old, twin.lanes = self.runs[lane].meta, LANES
        twin.runs = []
        for i in range(LANES):
            meta = seat(self.collector, old.task.env, self.updates, old.space, old.theta())
            meta.load(old.to_dict(self.step))
            meta.name = f"{old.name}#{i}"
            twin.runs.append(SteeredRun(meta, self.collector.update_steps))
        return twin

    def go_on(self, most: int | None = None) -> Rows:
        """One interval of training under theta as it is, or `most` updates if it is longer; returns the collector's report."""
        index = len(self.runs[0].meta.intervals)
        length = self._schedule.length(index) // self.collector.update_steps
        length = min(length, most or length, self.updates - self.done)
        theta = in_force([run.meta for run in self.runs])
        theta = {name: np.append(v, [v[-1]] * (LANES - self.lanes)) for name, v in theta.items()}
        self.state, rows = self.collector.advance(self.state, theta, length)
        self.done += length
        for lane, run in enumerate(self.runs):
            run.returns += curve(rows, lane)
            run.meta.observe(self.step, interval_signals(rows, lane))
        return rows


def steer(
    collector: Collector,
    name: str,
    variant: Variant,
    seeds: Sequence[int],
    updates: int,
    controller: Controller,
    first: Sequence[Theta] | None = None,
    space: HyperparameterSpace | None = None,
) -> list[SteeredRun]:
    """Whole runs under a controller, one a seed, with a decision at step 0 and after every interval; see `Fleet`."""
    finished: list[SteeredRun] = []
    for start in range(0, len(seeds), LANES):
        part = seeds[start : start + LANES]
        theta = first[start : start + LANES] if first else None
        fleet = Fleet(collector, [name] * len(part), [variant] * len(part), part, updates, theta, space)
        while fleet.done < updates:
            fleet.decide(controller)
            fleet.go_on()
        finished += fleet.runs
    return finished

"""A run that is driven from outside, interval by interval, and that branches: the subject of the meta-MDP.

    run = LiveRun(config)
    while not run.finished:
        run.apply(controller.decide([run.state()])[0])
        run.advance()

Under the callback training calls the controller; here the caller holds the loop, so that many runs can go in lockstep, go
back, and be continued in several ways from one state.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from hyperprompt.agents import replay, wrap
from hyperprompt.agents.loop import fix_budget, seed_at, update_steps
from hyperprompt.agents.signals import SignalCollector
from hyperprompt.agents.streams import Streams
from hyperprompt.config import RunConfig
from hyperprompt.core import Decision, Interval, MetaAction, MetaState
from hyperprompt.errors import InvalidValue
from hyperprompt.meta.arguments import tuned_space
from hyperprompt.meta.interval import IntervalSchedule
from hyperprompt.meta.run import MetaRun
from hyperprompt.pipeline import resolve
from hyperprompt.pipeline.evaluate import SEED


class Run(Protocol):
    """What the meta-MDP and the population ask of a run. `LiveRun` trains; `hyperprompt.testing.probe` only pretends to."""

    meta: MetaRun
    seconds: float
    updates: int

    @property
    def step(self) -> int: ...
    @property
    def finished(self) -> bool: ...
    def advance(self, steps: int | None = None) -> Interval: ...
    def state(self) -> MetaState: ...
    def apply(self, action: MetaAction | Exception, controller: str = "", seconds: float = 0.0) -> Decision: ...
    def snapshot(self) -> dict[str, Any]: ...
    def restore(self, snapshot: Mapping[str, Any], branch: int) -> None: ...
    def close(self) -> None: ...


class LiveRun:
    """One RL run from a `RunConfig`, whose `controller` is of no matter here: the caller decides.

    Trained without actions, in whatever intervals, it equals one call of `learn` bit for bit. Everything random in it is
    drawn from `config.seed`, on streams of its own, whatever else the process does between its intervals.

    Args:
        config: resolved or not; see `pipeline.resolve`.

    Attributes:
        seconds: wall-clock spent in training and `updates` the gradient updates done, by this object: neither goes back
            with `restore`.

    Raises:
        HyperPromptError: whatever `resolve` or `tuned_space` refuse.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = resolve.resolve(config.model_copy(update={"controller": "static", "llm": {}}))
        assert self.config.steps is not None
        self.total_steps = self.config.steps
        self._streams = Streams()
        with self._streams.active():
            self.model: BaseAlgorithm = resolve.agent(self.config)
        self.model.set_logger(Logger(None, []))  # else every call of learn makes one, and a folder for it
        fix_budget(self.model, self.total_steps)
        self.agent = wrap(self.model)
        space = tuned_space(self.agent, self.config.tune, self.config.bounds)
        task = self.agent.describe(self.config.env, self.total_steps)
        self.meta = MetaRun(self.agent, task, space, f"{task.env}/{self.config.seed}", enforce=self.config.bounds)
        self.schedule = IntervalSchedule(self.total_steps, update_steps(self.model), self.config.every)
        self._collector = SignalCollector(self.agent)
        self.seconds = 0.0
        self.updates = 0

    @property
    def step(self) -> int:
        """Environment steps trained."""
        return int(self.model.num_timesteps)

    @property
    def finished(self) -> bool:
        """Whether the budget is spent."""
        return self.step >= self.total_steps

    def advance(self, steps: int | None = None) -> Interval:
        """Trains for `steps` environment steps, rounded up to whole updates, within the budget; by default for the next
        interval of the run's schedule.

        Raises:
            InvalidValue: the budget is spent, or `steps` is not positive.
        """
        if self.finished:
            raise InvalidValue(f"{self.meta.name}: the budget of {self.total_steps} steps is spent")
        steps = self.schedule.length(len(self.meta.intervals)) if steps is None else steps
        if steps <= 0:
            raise InvalidValue(f"steps must be positive, not {steps}")
        begun, updates = time.perf_counter(), self.agent.updates()
        with self._streams.active():
            self.model.learn(
                min(steps, self.total_steps - self.step),
                callback=_Watch(self._collector, self.total_steps),
                reset_num_timesteps=False,
            )
        signals = self._collector.collect()
        self.updates += self.agent.updates() - updates
        self.seconds += time.perf_counter() - begun
        return self.meta.observe(self.step, signals)

    def state(self) -> MetaState:
        """s_meta_t, for a controller to answer."""
        return self.meta.state(self.step)

    def apply(self, action: MetaAction | Exception, controller: str = "", seconds: float = 0.0) -> Decision:
        """theta_{t+1} = clip(theta_t (+) delta_t) through the guard, in force from the next update on.

        `controller` and `seconds` (spent deciding) only go into the decision's record.
        """
        return self.meta.apply(self.state(), action, controller, seconds)

    def snapshot(self) -> dict[str, Any]:
        """All that training has made: weights, optimisers, counters, normalisers, episode statistics, the filled part of
        the replay buffer, hyperparameters and meta-state. It shares no memory with the run.

        Environments cannot be saved, nor are the random streams: `restore` begins new ones.
        """
        buffer = getattr(self.model, "replay_buffer", None)
        return {
            "agent": self.agent.snapshot(),
            "replay": None if buffer is None else replay.filled(buffer),
            "meta": self.meta.to_dict(self.step),
        }

    def restore(self, snapshot: Mapping[str, Any], branch: int) -> None:
        """Goes on from a snapshot, of this run or of another of the same task, agent and hyperparameters.

        Environments begin new episodes; they and all generators are seeded by (the run's seed, step, `branch`). The
        snapshot stays usable.

        Raises:
            InvalidValue: a snapshot of something else.
        """
        self._go_on(snapshot, seed_at(self.config.seed, snapshot["agent"]["counters"]["num_timesteps"], branch))

    def fork(self, branch: int) -> LiveRun:
        """A run of its own that goes on from here as this one would after `restore(self.snapshot(), branch)`."""
        seed = seed_at(self.config.seed, self.step, branch)
        child = LiveRun(self.config.model_copy(update={"seed": seed}))
        child._go_on(self.snapshot(), seed)
        return child

    def _go_on(self, snapshot: Mapping[str, Any], seed: int) -> None:
        self.agent.restore(snapshot["agent"])
        if snapshot["replay"] is not None:
            replay.fill(self.model.replay_buffer, snapshot["replay"])  # type: ignore[attr-defined]
        self.meta.load(snapshot["meta"])
        with self._streams.active():
            self.agent.seed(seed)
        self.model._last_obs = None  # `learn` then resets them; not now, since a VecNormalize learns from first observations
        self._collector = SignalCollector(self.agent)

    def evaluate(self, episodes: int = 32, seed: int = SEED) -> NDArray[np.float64]:
        """Undiscounted returns of the stochastic policy, (episodes,), on environments seeded by `seed`; training goes on
        as if it had not been called."""
        from hyperprompt.envs import make as envs
        from hyperprompt.evaluation.rollout import episode_returns

        with Streams().active():
            env = envs.make(self.config.env, episodes, seed, **self.config.env_options)
            try:
                return episode_returns(self.model, env, seed)
            finally:
                env.close()

    def close(self) -> None:
        """Gives the environments' resources back."""
        assert self.model.env is not None
        self.model.env.close()


class _Watch(BaseCallback):
    """Feeds the collector."""

    def __init__(self, collector: SignalCollector, total_steps: int) -> None:
        super().__init__()
        self._collector, self._total_steps = collector, total_steps

    def _on_training_start(self) -> None:
        self.model._total_timesteps = self._total_steps  # `learn` has put the end of this call there

    def _on_rollout_start(self) -> None:
        self._collector.update()

    def _on_step(self) -> bool:
        self._collector.step(self.locals["rewards"], self.locals["dones"], self.locals["infos"])
        return True

    def _on_training_end(self) -> None:
        self._collector.update()

"""The two-line integration: `model.learn(n, callback=HyperPromptCallback())`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFrequencyUnit

from hyperprompt.agents import wrap
from hyperprompt.agents.signals import SignalCollector
from hyperprompt.controllers import registry
from hyperprompt.controllers.guard import ask
from hyperprompt.core import Controller, Decision, Interval
from hyperprompt.errors import InvalidValue
from hyperprompt.meta.interval import IntervalSchedule
from hyperprompt.meta.run import Bounds, MetaRun, tuned_space
from hyperprompt.pipeline.record import Recorder
from hyperprompt.runs import Checkpoint, RunFolder


@dataclass(frozen=True)
class Report:
    """What a listener hears after every decision, and at the end of training (with the last decision taken)."""

    step: int
    total_steps: int
    interval: Interval | None
    decision: Decision
    wall_seconds: float


class HyperPromptCallback(BaseCallback):
    """Lets a controller change the hyperparameters of a Stable-Baselines3 or SBX model while it trains.

    Args:
        controller: a name (`hyperprompt controllers` lists them), an import path, or an object with `decide`.
        every: U, environment steps between decisions; by default the budget / 24. The first intervals are shorter.
        tune: names of the hyperparameters under control; by default the algorithm's default set.
        bounds: (low, high) per hyperparameter in place of the defaults.
        run_dir: a folder for the journal, the progress, the result and the checkpoints; nothing is written without it.
        seed: of the controller's random choices.
        options: keyword arguments of the `llm` controller (model, sample, temperature, ...).
        checkpoints: whether the folder gets a checkpoint every interval, from which the run can be resumed.
        config: the content of the folder's config.yaml, where the caller knows more than the callback does.
        listener: called after every decision.
        env: the task's name in the prompt and the results; by default the id Gymnasium gave the environment.

    Raises (here, or when training starts and the model is known):
        UnknownName, InvalidValue: a controller, hyperparameter, bound or combination that cannot work, with the reason.
    """

    def __init__(
        self,
        controller: str | Controller = "llm",
        *,
        every: int | None = None,
        tune: Sequence[str] | None = None,
        bounds: Bounds | None = None,
        run_dir: str | Path | RunFolder | None = None,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        checkpoints: bool = True,
        config: Mapping[str, Any] | None = None,
        listener: Callable[[Report], None] | None = None,
        env: str | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(verbose)
        self.spec = controller if isinstance(controller, str) else getattr(controller, "name", "")
        built = registry.create(controller, seed=seed, options=options) if isinstance(controller, str) else controller
        if not isinstance(built, Controller):
            raise InvalidValue(f"controller {controller!r} needs a 'name' and 'decide(states)'")
        if every is not None and every <= 0:
            raise InvalidValue(f"every must be a positive number of environment steps, not {every}")
        self.controller, self.every, self.tune, self.bounds = built, every, tune, dict(bounds or {})
        self.run_dir, self.seed, self.checkpoints, self.config = run_dir, seed, checkpoints, config
        self.options, self.listener, self.env_name = dict(options or {}), listener, env
        self.meta: MetaRun | None = None
        self.recorder: Recorder | None = None
        self.decision: Decision | None = None
        self.adapt_seconds = 0.0
        self._earlier_seconds = 0.0
        self._resumed: Checkpoint | None = None

    @property
    def wall_seconds(self) -> float:
        """Seconds spent in `learn` so far, those before a resume included."""
        return self._earlier_seconds + time.perf_counter() - self._started

    def resume_from(self, checkpoint: Checkpoint) -> None:
        """Goes on from `checkpoint` at the next `learn`; the model must hold its weights already."""
        self._resumed = checkpoint

    # -- Stable-Baselines3's hooks ------------------------------------------------------------------------------------

    def _on_training_start(self) -> None:
        self._started = time.perf_counter()
        total = int(self.model._total_timesteps)
        if self.meta is None or self.num_timesteps == 0:
            self._begin(total)
        else:  # learn() was called once more to go on
            self.meta.extend(total)
            if self.recorder:
                self.recorder.reopen()
        self._schedule = IntervalSchedule(total, _update_steps(self.model), self.every)
        self._next = self.num_timesteps
        if self._resumed is not None:
            self._restore(self._resumed.state)
            self._resumed = None

    def _on_rollout_start(self) -> None:
        self.collector.update()
        if self.num_timesteps >= self._next:
            self._boundary()

    def _on_step(self) -> bool:
        self.collector.step(self.locals["rewards"], self.locals["dones"], self.locals["infos"])
        return True

    def _on_training_end(self) -> None:
        self.collector.update()
        interval = self._close_interval()
        self._earlier_seconds = self.wall_seconds
        self._started = time.perf_counter()
        if self.recorder:
            self._checkpoint()
            self.recorder.result(self.meta_run, self.num_timesteps, self.wall_seconds, self.adapt_seconds)
        self._report(interval)

    # -- one boundary between two intervals ---------------------------------------------------------------------------

    @property
    def meta_run(self) -> MetaRun:
        assert self.meta is not None, "training has not started"
        return self.meta

    def _begin(self, total: int) -> None:
        agent = wrap(self.model)
        registry.check_algorithm(self.spec, agent.algorithm)
        space = tuned_space(agent, self.tune, self.bounds, getattr(self.controller, "requires", ()))
        task = agent.describe(self.env_name or _env_name(self.model), total)
        self.meta = MetaRun(agent, task, space, f"{task.env}/{self.seed}", self.num_timesteps, self.bounds)
        self.collector = SignalCollector(agent)
        start = time.perf_counter()
        if prepare := getattr(self.controller, "prepare", None):
            prepare()  # a model that cannot be loaded stops the run before a folder is made
        self.adapt_seconds = time.perf_counter() - start
        if self.run_dir is not None:
            config = self.config or self._settings(self.meta)
            resumed = self._resumed.state if self._resumed else None
            self.recorder = Recorder(self.run_dir, self.model, config, resumed)

    def _settings(self, meta: MetaRun) -> dict[str, Any]:
        """config.yaml of a run that was started by a script."""
        task = meta.task
        return {
            "env": task.env,
            "algo": task.algorithm if meta.agent.library == "sb3" else f"{meta.agent.library}-{task.algorithm}",
            "controller": self.spec,
            "steps": task.total_steps,
            "every": self.every,
            "seed": self.seed,
            "n_envs": task.n_envs,
            "tune": list(meta.space.names),
            "bounds": self.bounds,
            "agent": meta.agent.get(),
            "llm": self.options,
        }

    def _boundary(self) -> None:
        interval = self._close_interval()
        start = time.perf_counter()
        state = self.meta_run.state(self.num_timesteps)
        (answer,) = ask(self.controller, [state])
        self.decision = self.meta_run.apply(state, answer, self.controller.name, time.perf_counter() - start)
        self.adapt_seconds += self.decision.seconds
        self._next = self.num_timesteps + self._schedule.length(len(self.meta_run.intervals))
        self._log(self.decision)
        if self.recorder:
            self.recorder.decision(self.decision)
            self._checkpoint()
        self._report(interval)

    def _close_interval(self) -> Interval | None:
        """The interval since the last decision, if anything was trained in it."""
        last = self.meta_run.intervals[-1].step if self.meta_run.intervals else self.meta_run.first_step
        if self.num_timesteps == last:
            return None
        interval = self.meta_run.observe(self.num_timesteps, self.collector.collect())
        if self.recorder:
            self.recorder.interval(interval, self.meta_run.space, self.wall_seconds)
        return interval

    def _log(self, decision: Decision) -> None:
        """Decisions and theta in SB3's logger, so that TensorBoard shows them."""
        for name, value in decision.theta_after.items():
            self.logger.record(f"hyperprompt/theta/{name}", value)
            self.logger.record(f"hyperprompt/step/{name}", self.meta_run.space[name].delta(decision.theta_before[name], value))
        self.logger.record("hyperprompt/adapt_seconds", self.adapt_seconds)

    def _report(self, interval: Interval | None) -> None:
        if self.listener and self.decision:
            total = self.meta_run.task.total_steps
            self.listener(Report(self.num_timesteps, total, interval, self.decision, self.wall_seconds))

    # -- kill and resume ----------------------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        if self.recorder and self.checkpoints:
            clock = {"next": self._next, "wall_seconds": self.wall_seconds, "adapt_seconds": self.adapt_seconds}
            self.recorder.checkpoint(self.num_timesteps, self.meta_run, clock)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.meta_run.load(state["run"])
        self._next, self._earlier_seconds = state["next"], state["wall_seconds"]
        self.adapt_seconds = state["adapt_seconds"]


def _update_steps(model: BaseAlgorithm) -> int:
    """Environment steps of the smallest interval: one rollout of all environments."""
    if not isinstance(model, OffPolicyAlgorithm):
        return int(model.n_steps * model.n_envs)  # type: ignore[attr-defined]
    train_freq = model.train_freq
    by_step = getattr(train_freq, "unit", None) is TrainFrequencyUnit.STEP
    return int(train_freq.frequency * model.n_envs) if by_step else model.n_envs  # type: ignore[union-attr]


def _env_name(model: BaseAlgorithm) -> str:
    """The id under which Gymnasium made the environment, or its class's name."""
    assert model.env is not None
    try:
        return str(model.env.get_attr("spec")[0].id)
    except (AttributeError, IndexError, NotImplementedError):
        return type(model.env.unwrapped).__name__

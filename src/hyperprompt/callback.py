"""The two-line integration: `model.learn(n, callback=HyperPromptCallback())`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from hyperprompt.agents import wrap
from hyperprompt.agents.loop import env_name, rebuild_environments, seed_at, update_steps
from hyperprompt.agents.signals import SignalCollector
from hyperprompt.controllers import registry
from hyperprompt.controllers.guard import ask
from hyperprompt.core import Controller, Decision, Interval
from hyperprompt.errors import InvalidValue
from hyperprompt.meta import arguments
from hyperprompt.meta.arguments import Bounds, tuned_space
from hyperprompt.meta.interval import IntervalSchedule
from hyperprompt.meta.run import MetaRun
from hyperprompt.pipeline.record import Recorder, interrupted
from hyperprompt.runs import RunFolder


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
        resume: goes on with the run in `run_dir` if there is one: the same script, started again after a kill, then loses at
            most one interval. Model and arguments must be as they were; the budget may be another.
        total_steps: the budget T, where `learn` is called in pieces (with reset_num_timesteps=False); by default what the call
            says. Steps that a model has behind it count in it, as in Stable-Baselines3's schedules.
        seed: of the controller's random choices; by default the model's.
        options: keyword arguments of the `llm` controller (model, choice, temperature, ...).
        checkpoints: whether the folder gets a checkpoint every interval, from which the run can be resumed.
        config: the content of the folder's config.yaml, where the caller knows more than the callback does.
        listener: called after every decision.
        env: the task's name in the prompt and the results; by default the id Gymnasium gave the environment.

    Raises (here, or when training starts and the model is known):
        UnknownName, InvalidValue: a controller, hyperparameter, bound or combination that cannot work, with the reason.
    """

    def __init__(
        self,
        controller: str | Controller = "hyperprompt",
        *,
        every: int | None = None,
        tune: Sequence[str] | None = None,
        bounds: Bounds | None = None,
        run_dir: str | Path | None = None,
        resume: bool = False,
        total_steps: int | None = None,
        seed: int | None = None,
        options: Mapping[str, Any] | None = None,
        checkpoints: bool = True,
        config: Mapping[str, Any] | None = None,
        listener: Callable[[Report], None] | None = None,
        env: str | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(verbose)
        arguments.check_steps(every=every, total_steps=total_steps)
        arguments.check_seed(seed)
        arguments.check_folder(run_dir, resume)
        if listener is not None and not callable(listener):
            raise InvalidValue(f"listener must be callable with a Report, not {listener!r}")
        self.options = arguments.mapping("options", options)
        if isinstance(controller, str):
            self.spec, self._controller = controller, None
            registry.create(controller, options=self.options)  # only to refuse mistakes now; nothing heavy is loaded
        elif not registry.is_controller(controller):
            raise InvalidValue(f"controller {controller!r} needs a 'name' and 'decide(states)'")
        elif self.options:
            raise InvalidValue(
                f"options ({', '.join(self.options)}) are for controllers given by name: this one is made already"
            )
        else:
            self.spec, self._controller = controller.name, controller
        self.every, self.bounds = every, arguments.checked_bounds(bounds)
        self.tune = None if tune is None else arguments.names("tune", tune)
        self.run_dir, self.resume, self.checkpoints, self.total_steps = run_dir, resume, checkpoints, total_steps
        self.config, self.listener, self.env_name = config, listener, env
        self._seed = seed
        self.meta: MetaRun | None = None
        self.recorder: Recorder | None = None
        self.collector: SignalCollector
        self.decision: Decision | None = None
        self.adapt_seconds = 0.0
        self._earlier_seconds = 0.0
        self._rejected = 0
        self._next = 0

    @property
    def wall_seconds(self) -> float:
        """Seconds spent in `learn` so far, those before a resume included."""
        return self._earlier_seconds + time.perf_counter() - self._started

    def _count_seconds(self) -> None:
        """At every boundary, since no hook hears of a training that an exception ends."""
        self._earlier_seconds = self.wall_seconds
        self._started = time.perf_counter()

    # -- Stable-Baselines3's hooks ------------------------------------------------------------------------------------

    def _on_training_start(self) -> None:
        self._started = time.perf_counter()
        # Schedules of the user's are read at the current progress, which an earlier learn() may have left at its end.
        self.model._update_current_progress_remaining(self.num_timesteps, self.model._total_timesteps)
        total = max(int(self.model._total_timesteps), self.total_steps or 0)
        if self.meta is None or self.num_timesteps == 0 or self.meta.agent.model is not self.model:
            self._begin(total)
        else:  # learn() was called once more to go on
            self.meta.extend(total)
            self.collector = self.collector.renewed()
            if self.recorder:
                self.recorder.reopen(total)
        self._schedule = IntervalSchedule(total - self.meta_run.first_step, update_steps(self.model), self.every)

    def _on_rollout_start(self) -> None:
        self.collector.update()
        if self.num_timesteps >= self._next:
            self._boundary()

    def _on_step(self) -> bool:
        self.collector.step(self.locals["rewards"], self.locals["dones"], self.locals["infos"])
        return True

    def _on_training_end(self) -> None:
        self.collector.update()
        finished = self.num_timesteps >= self.meta_run.task.total_steps
        stopped = self.num_timesteps < self.model._total_timesteps  # by another callback
        # A piece of a longer training leaves its last interval open for the next piece.
        over = finished or stopped or self.num_timesteps >= self._next
        interval = self._close_interval() if over else None
        self._count_seconds()
        if interval is not None:
            self._next = self.num_timesteps  # the last interval is closed: whoever goes on begins with a decision
        if self.recorder:
            if over:
                self._checkpoint()
            if finished:
                updates = self.meta_run.agent.updates() - self._first_updates
                self.recorder.result(self.meta_run, self.num_timesteps, updates, self.wall_seconds, self.adapt_seconds)
            self.recorder.close()
        self._report(interval)

    # -- one boundary between two intervals ---------------------------------------------------------------------------

    @property
    def meta_run(self) -> MetaRun:
        assert self.meta is not None, "training has not started"
        return self.meta

    def _begin(self, total: int) -> None:
        if self.recorder and self.meta and self.meta.intervals:
            raise InvalidValue(
                f"{self.run_dir} holds the run that this callback has seen: go on with learn(reset_num_timesteps=False), or "
                "give the next run a callback and a folder of its own"
            )
        start = time.perf_counter()
        self.seed = int(self.model.seed or 0) if self._seed is None else self._seed
        agent = wrap(self.model)
        if self._controller is not None:
            self.controller = self._controller
        else:
            registry.check_algorithm(self.spec, agent.algorithm)
            self.controller = registry.create(self.spec, seed=self.seed, options=self.options)
        space = tuned_space(agent, self.tune, self.bounds, getattr(self.controller, "requires", ()))
        task = agent.describe(self.env_name or env_name(self.model), total)
        self.meta = MetaRun(agent, task, space, f"{task.env}/{self.seed}", self.num_timesteps, self.bounds)
        if prepare := getattr(self.controller, "prepare", None):
            prepare([self.meta.state(self.num_timesteps)])  # what cannot work stops the run before a folder is made
        self._first_updates = agent.updates()
        self.decision, self._next, self._rejected = None, self.num_timesteps, 0
        self._earlier_seconds, self.adapt_seconds = 0.0, 0.0
        if self.run_dir is not None:
            self._record(Path(self.run_dir), self.meta)
        self.collector = SignalCollector(agent)  # of a resumed run, from where its replay buffer stands
        self.adapt_seconds += time.perf_counter() - start

    def _record(self, path: Path, meta: MetaRun) -> None:
        settings = self.config or self._settings(meta)
        if not (self.resume and (path / "config.yaml").exists()):
            self.recorder = Recorder(path, self.model, settings, self.checkpoints)
            return
        folder = interrupted(path, settings)
        try:
            self._go_on(folder, meta)
        except BaseException:
            folder.close()
            raise

    def _go_on(self, folder: RunFolder, meta: MetaRun) -> None:
        checkpoint = folder.latest_checkpoint()
        state = checkpoint.state if checkpoint else None
        if checkpoint:
            if meta.task.total_steps < checkpoint.step:
                steps = f"{checkpoint.step} steps of training, more than the {meta.task.total_steps} asked for"
                raise InvalidValue(f"{folder.path} holds {steps}: name another folder")
            snapshot, total = checkpoint.load_agent(), self.model._total_timesteps
            try:
                meta.agent.restore(snapshot)
            except (RuntimeError, ValueError, KeyError) as error:
                raise InvalidValue(f"{checkpoint.path} is of a model that was constructed otherwise: {error}") from error
        folder.truncate(state["decisions"] if state else 0, state["intervals"] if state else 0)
        if folder.config["steps"] != meta.task.total_steps:
            folder.extend(meta.task.total_steps)
        self.recorder = Recorder(folder, self.model, {}, self.checkpoints, state)
        if checkpoint and state:
            meta.load(state["run"])
            meta.agent.seed(seed_at(self.seed, checkpoint.step))
            rebuild_environments(self.model)
            self.num_timesteps = self.model.num_timesteps
            self.model._total_timesteps = max(total, self.num_timesteps)  # what this call was told, and not the killed one
            self.model._update_current_progress_remaining(self.num_timesteps, self.model._total_timesteps)
            self._next, self._earlier_seconds = state["next"], state["wall_seconds"]
            self.adapt_seconds = state["adapt_seconds"]
            self.decision = folder.decisions()[-1]

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
            "started_by": "a script",
            "tune": list(meta.space.names),
            "bounds": self.bounds,
            "agent": meta.agent.get(),
            "llm": {name: value.to_dict() if hasattr(value, "to_dict") else value for name, value in self.options.items()},
        }

    def _boundary(self) -> None:
        interval = self._close_interval()
        self._count_seconds()
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
        self._rejected += decision.status == "rejected"
        self.logger.record("hyperprompt/rejected", self._rejected)
        if decision.status == "rejected" and self._rejected == 1:
            warnings.warn(f"decision {decision.index} rejected, theta kept: {decision.reason}", stacklevel=2)

    def _report(self, interval: Interval | None) -> None:
        if self.listener and self.decision:
            total = self.meta_run.task.total_steps
            self.listener(Report(self.num_timesteps, total, interval, self.decision, self.wall_seconds))

    # -- kill and resume ----------------------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        if self.recorder:
            clock = {"next": self._next, "wall_seconds": self.wall_seconds, "adapt_seconds": self.adapt_seconds}
            self.recorder.checkpoint(self.num_timesteps, self.meta_run, clock)

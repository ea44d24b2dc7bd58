"""M_meta as a Gymnasium environment: one episode is one RL run, one step one decision and the interval that follows it.

    import gymnasium, hyperprompt.meta.env
    env = gymnasium.make("hyperprompt/MetaMDP-v0", config={"env": "CartPole-v1", "steps": 50_000})

`gymnasium.make("hyperprompt.meta.env:hyperprompt/MetaMDP-v0", ...)` needs no import beforehand.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from hyperprompt.config import RunConfig, parse
from hyperprompt.core import STEPS, MetaAction
from hyperprompt.envs.scale import TaskScale, task_scale
from hyperprompt.errors import InvalidValue
from hyperprompt.meta.live import LiveRun, Run
from hyperprompt.meta.observation import Observation, encode, observation_space
from hyperprompt.meta.reward import Reward, check, potential
from hyperprompt.pipeline import process

ID = "hyperprompt/MetaMDP-v0"


class MetaEnv(gymnasium.Env[Observation, NDArray[Any]]):
    """One RL run under decisions from outside.

    - observation: the meta-state as `meta.observation.encode` gives it; the `core.MetaState` itself is `info["meta_state"]`
    - action: an index into the seven STEPS per hyperparameter, MultiDiscrete([7] * K), or with `continuous` a real step in
      units of each scale, Box(-2, 2, (K,)). It passes the guard: `info["decision"]` says what became of it
    - reward: R_meta, see `meta.reward`; in units of the task's fixed scale
    - an episode is truncated when the budget is spent, and never terminates

    `reset(seed=s)` begins the run that `hyperprompt train --seed s` trains; without a seed the next run gets one drawn from
    the environment's generator. Equal seeds and actions give equal episodes where the task's environments do.

    Args:
        config: the run, a `RunConfig` or its keys; its `controller` is of no matter.
        window: L, the rows of the observation.
        reward: "improvement" or "level".
        scale: the task's fixed scale, where none has been measured (`envs.scale.task_scale`).
        make_run: makes the run of a seed, in place of `config`.

    Raises:
        HyperPromptError: whatever `LiveRun` refuses; UnknownName, a task without a scale.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  as Gymnasium declares it

    def __init__(
        self,
        config: RunConfig | Mapping[str, Any] | None = None,
        *,
        window: int = 16,
        reward: Reward = "improvement",
        continuous: bool = False,
        scale: TaskScale | None = None,
        make_run: Callable[[int], Run] | None = None,
    ) -> None:
        if (config is None) == (make_run is None):
            raise InvalidValue("the meta-MDP needs either config or make_run")
        if window < 1:
            raise InvalidValue(f"window must be at least 1, not {window}")
        check(reward)
        self.make_run = make_run or partial(_live, config if isinstance(config, RunConfig) else parse(config or {}))
        self.window, self.reward, self.continuous = window, reward, continuous
        self.run = self.make_run(0)  # which hyperparameters can be tuned is known to a built agent alone
        task = self.run.meta.task
        self.scale = scale or task_scale(task.env)
        self.names = self.run.meta.space.names
        k = len(self.names)
        self.observation_space = observation_space(task.algorithm, k, window)
        self.action_space = (
            spaces.Box(STEPS[0], STEPS[-1], (k,)) if continuous else spaces.MultiDiscrete(np.full(k, len(STEPS)))
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Begins a new run, untrained, before its first decision."""
        super().reset(seed=seed)
        self.run.close()
        self.run = self.make_run(int(self.np_random.integers(2**31)) if seed is None else seed)
        self._potential = 0.0
        return self._observe(), self._info()

    def step(self, action: NDArray[Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes the steps (K,), trains for one interval, and returns what came of it.

        Raises:
            InvalidValue: an action of the wrong shape or, with indices, outside 0..6; the budget is spent.
        """
        decision = self.run.apply(MetaAction(self._delta(action)), "outside")
        self.run.advance()
        before, self._potential = self._potential, self._phi()
        info = self._info() | {"decision": decision}
        return self._observe(), self._potential - before, False, self.run.finished, info

    def close(self) -> None:
        self.run.close()

    def _delta(self, action: NDArray[Any]) -> dict[str, float]:
        steps = np.asarray(action)
        if steps.shape != (len(self.names),):
            raise InvalidValue(f"one step for each of {', '.join(self.names)} is needed, not shape {steps.shape}")
        if self.continuous:
            return {name: float(step) for name, step in zip(self.names, steps, strict=True)}
        if not ((steps >= 0) & (steps < len(STEPS))).all():
            raise InvalidValue(f"an action's indices lie between 0 and {len(STEPS) - 1}, not {steps.tolist()}")
        return {name: STEPS[int(k)] for name, k in zip(self.names, steps, strict=True)}

    def _phi(self) -> float:
        return potential(self.reward, self.run.meta.intervals, self.run.meta.task.total_steps, self.scale)

    def _observe(self) -> Observation:
        return encode(self.run.state(), self.window, self.scale)

    def _info(self) -> dict[str, Any]:
        return {"meta_state": self.run.state()}


def _live(config: RunConfig, seed: int) -> LiveRun:
    return LiveRun(config.model_copy(update={"seed": seed % 2**31}))


def make_vec(
    configs: Sequence[RunConfig | Mapping[str, Any]], *, workers: bool = False, **arguments: Any
) -> VectorEnv[Any, Any, Any]:
    """N runs in lockstep: a step is one decision and one interval of each. `reset(seed=s)` gives them s, s + 1, ...

    The configurations may differ in anything but the algorithm and the hyperparameters tuned. A run that has ended begins
    anew with the step after, whatever its action (`AutoresetMode.NEXT_STEP`).

    Args:
        configs: one a run.
        workers: train every run in a process of its own, on one thread; otherwise one after the other in this process.
        arguments: of `MetaEnv`.

    Raises:
        InvalidValue: no configuration, or runs whose spaces differ.
    """
    if not configs:
        raise InvalidValue("a vector of runs needs at least one configuration")
    constructors = [partial(_member, config, arguments) for config in configs]
    try:
        if workers:
            return AsyncVectorEnv(constructors, context="spawn", autoreset_mode=AutoresetMode.NEXT_STEP)
        return SyncVectorEnv(constructors, autoreset_mode=AutoresetMode.NEXT_STEP)
    except (AssertionError, RuntimeError) as error:
        raise InvalidValue(f"runs in lockstep need the same algorithm and the same tuned hyperparameters: {error}") from error


def _member(config: RunConfig | Mapping[str, Any], arguments: Mapping[str, Any]) -> MetaEnv:
    if multiprocessing.parent_process() is not None:
        process.prepare()
    return MetaEnv(config, **arguments)


gymnasium.register(id=ID, entry_point="hyperprompt.meta.env:MetaEnv")

"""Collecting what one interval of training reported, without changing the training or slowing it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecMonitor, is_vecenv_wrapped

from hyperprompt.agents import measures, transitions
from hyperprompt.agents.base import ModelAgent
from hyperprompt.core import Signals, Transition

# Off-policy learners may update at every step; the norm costs more than reading the logger does.
_GRADIENT_EVERY = 16


class SignalCollector:
    """Signals of one interval after the other, of one model on the environments it has now.

    Args:
        agent: whose training to watch.
        transitions: how many (o, a, r) to sample per interval.
    """

    def __init__(self, agent: ModelAgent, transitions: int = 2) -> None:
        self._agent = agent
        self._model: Any = agent.model
        n_envs = self._model.n_envs
        self._env = self._model.get_env()
        self._monitored = _monitored(self._env)
        self._running_return = np.zeros(n_envs)
        self._running_length = np.zeros(n_envs, dtype=np.int64)
        starts = self._model._last_episode_starts
        self._fragment = np.zeros(n_envs, bool) if starts is None else ~np.asarray(starts, bool)
        self._transitions = transitions
        self._on_policy = hasattr(self._model, "rollout_buffer")
        self._rows: dict[int, int] = {}
        if self._on_policy:
            n_steps = self._model.n_steps
            # SB3 adds a timeout's bootstrapped value to the rewards it stores, so the raw ones are kept here.
            self._raw_rewards = np.zeros((n_steps, n_envs), dtype=np.float32)
            rows = [min((i + 1) * n_steps // (transitions + 1), n_steps - 2) for i in range(transitions)]
            self._rows = {row: i for i, row in enumerate(rows) if row >= 0}
        self._sampled: dict[int, Transition] = {}
        self._updates_seen = agent.updates()
        self._start()

    def renewed(self) -> SignalCollector:
        """Itself, or another one if the model was given other environments (`set_env`)."""
        return self if self._env is self._model.get_env() else SignalCollector(self._agent, self._transitions)

    def _start(self) -> None:
        self._returns: list[float] = []
        self._lengths: list[float] = []
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)
        self._first_row = self._model.num_timesteps // self._model.n_envs

    def step(self, rewards: np.ndarray[Any, Any], dones: np.ndarray[Any, Any], infos: Sequence[dict[str, Any]]) -> None:
        """After one step of all environments, from a callback's `_on_step`.

        Args:
            rewards, dones: shape (n_envs,), the locals of that name. With `VecNormalize` its original rewards are used.
            infos: one a environment; `infos[i]["episode"]` of a `Monitor` is preferred to own sums.
        """
        normaliser = self._model.get_vec_normalize_env()
        raw = rewards if normaliser is None else normaliser.old_reward
        self._running_return += raw
        self._running_length += 1
        if self._on_policy:
            row = self._model.rollout_buffer.pos  # the row this step is about to be written to
            self._raw_rewards[row] = raw
            if row - 1 in self._rows:
                self._sample_rollout(row - 1)
        if dones.any():
            for i in np.flatnonzero(dones).tolist():
                self._finish(i, infos[i].get("episode"))

    def _finish(self, i: int, episode: dict[str, Any] | None) -> None:
        if episode is not None:
            self._returns.append(float(np.asarray(episode["r"]).item()))
            self._lengths.append(float(np.asarray(episode["l"]).item()))
        elif not self._monitored and not self._fragment[i]:  # under a Monitor, `done` alone may only be a lost life
            self._returns.append(float(self._running_return[i]))
            self._lengths.append(float(self._running_length[i]))
        self._running_return[i] = 0.0
        self._running_length[i] = 0
        self._fragment[i] = False

    def _sample_rollout(self, row: int) -> None:
        # Read while the rollout grows: it is flattened by the update, and emptied before the next rollout is announced.
        model, i = self._model, self._rows[row]
        rollout = model.num_timesteps // (model.n_envs * model.n_steps)
        env = (rollout + i) % model.n_envs
        reward = float(self._raw_rewards[row, env])
        self._sampled[i] = transitions.at(model.rollout_buffer, row, env, reward, model.observation_space)

    def _sample_replay(self) -> None:
        model = self._model
        buffer, now = model.replay_buffer, model.num_timesteps // model.n_envs
        new = min(now - self._first_row, buffer.size())
        for i in range(min(self._transitions, new)):
            row = (buffer.pos - new + (i + 1) * new // self._transitions - 1) % buffer.buffer_size
            env = (now + i) % model.n_envs
            self._sampled[i] = transitions.at(buffer, row, env, None, model.observation_space, model.get_vec_normalize_env())

    def update(self) -> None:
        """After each `train()`: at the start of the next rollout, and at the end of training. Twice does no harm."""
        updates = self._agent.updates()
        if updates == self._updates_seen:
            return
        self._updates_seen = updates
        agent = self._agent
        for name, value in measures.logged(self._model, agent.algorithm, agent.library, self._model.logger.name_to_value):
            self._add(name, value)
        # Counted in steps of the run, not of this object: a resumed run must report what the undisturbed one reports.
        steps = self._model.num_timesteps // self._model.n_envs
        due = self._on_policy or steps % _GRADIENT_EVERY == 0 or not self._counts["gradient_norm"]
        if agent.library == "sb3" and due:
            norm = measures.gradient_norm(self._model, agent.algorithm)
            if norm is not None and np.isfinite(norm):
                self._add("gradient_norm", norm)

    def _add(self, name: str, value: float) -> None:
        self._sums[name] += value
        self._counts[name] += 1

    def collect(self) -> Signals:
        """The interval's signals: means over its updates and over the episodes that ended in it. Begins the next interval."""
        values = {name: total / self._counts[name] for name, total in self._sums.items()}
        if self._returns:
            values["return_mean"] = float(np.mean(self._returns))
            values["return_std"] = float(np.std(self._returns))
            values["episode_length"] = float(np.mean(self._lengths))
        if not self._on_policy:
            self._sample_replay()
            q = measures.q_value(self._model, self._agent.algorithm, self._agent.library)
            if q is not None and np.isfinite(q):
                values["q_value"] = q
        if self._agent.algorithm == "dqn":
            values["exploration_rate"] = float(self._model.exploration_rate)
        sampled = tuple(self._sampled[i] for i in sorted(self._sampled))
        signals = Signals(values, episodes=len(self._returns), transitions=sampled)
        self._sampled = {}
        self._start()
        return signals


def _monitored(env: Any) -> bool:
    """Whether episode ends are reported in `infos`."""
    if is_vecenv_wrapped(env, VecMonitor):
        return True
    try:
        return all(env.env_is_wrapped(Monitor))
    except (AttributeError, NotImplementedError):  # a vector environment without single environments inside
        return False

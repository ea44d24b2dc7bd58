"""Signals: right numbers, and no trace in the training."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from arms import AFTER, build, equal, start, train
from gymnasium import spaces
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.atari_wrappers import EpisodicLifeEnv
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from hyperprompt.agents import measures, transitions, wrap
from hyperprompt.agents.base import ModelAgent
from hyperprompt.agents.signals import SignalCollector
from hyperprompt.core import Signals
from hyperprompt.hyperparameters import AVAILABLE


class Watch(BaseCallback):
    """What the integration does: signals at every rollout's start and at the end."""

    def __init__(self, agent: ModelAgent, every: int = 32) -> None:
        super().__init__()
        self.agent, self.every, self.signals = agent, every, list[Signals]()

    def _on_training_start(self) -> None:
        self.collector = SignalCollector(self.agent)
        self.last = self.num_timesteps

    def _on_rollout_start(self) -> None:
        self.collector.update()
        if self.num_timesteps - self.last >= self.every:
            self.take()

    def _on_step(self) -> bool:
        self.collector.step(self.locals["rewards"], self.locals["dones"], self.locals["infos"])
        return True

    def _on_training_end(self) -> None:
        self.collector.update()
        self.take()

    def take(self) -> None:
        self.agent.get()
        self.signals.append(self.collector.collect())
        self.last = self.num_timesteps


class Countdown(gym.Env[Any, Any]):
    """Episodes of `length` steps whose rewards are 1, 2, 3, ..."""

    observation_space: spaces.Space[Any] = spaces.Box(-10, 10, (6,), np.float32)

    def __init__(self, length: int = 5, continuous: bool = False) -> None:
        self.action_space = spaces.Box(-2, 2, (2,), np.float32) if continuous else spaces.Discrete(3)
        self.length = length

    def reset(self, **_: Any) -> Any:
        self.t = 0
        return np.zeros(6, np.float32), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        return np.full(6, self.t, np.float32), float(self.t), self.t == self.length, False, {}


def watch(model: Any, steps: int, every: int = 32) -> list[Signals]:
    callback = Watch(wrap(model), every)
    model.learn(steps, callback=callback)
    return callback.signals


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("algorithm", AVAILABLE)
def test_watching_changes_nothing(algorithm: str, normalise: bool) -> None:
    watched, plain = (wrap(build(algorithm, normalise=normalise)) for _ in range(2))
    callback = Watch(watched)
    assert equal(train(watched, AFTER, callback), train(plain, AFTER))
    assert len(callback.signals) >= 3
    seen = {name for signals in callback.signals for name in signals.values}
    assert seen <= set(measures.NAMES[algorithm])
    missing = set(measures.NAMES[algorithm]) - seen
    assert missing <= {"return_mean", "return_std", "episode_length"}  # Pendulum's episodes are longer
    assert all(math.isfinite(v) for signals in callback.signals for v in signals.values.values())
    assert all(len(signals.transitions) == 2 for signals in callback.signals[1:-1])


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_watching_changes_nothing_in_sbx(algorithm: str) -> None:
    pytest.importorskip("sbx")
    watched, plain = (wrap(build(algorithm, "sbx")) for _ in range(2))
    callback = Watch(watched)
    assert equal(train(watched, AFTER, callback), train(plain, AFTER))
    seen = {name for signals in callback.signals for name in signals.values}
    assert set(measures.NAMES[algorithm]) - seen <= {"gradient_norm", "return_mean", "return_std", "episode_length"}


@pytest.mark.parametrize("monitor", [False, True])
@pytest.mark.parametrize("normalise", [False, True])
def test_returns_are_of_raw_rewards_of_episodes_that_ended(monitor: bool, normalise: bool) -> None:
    def make(length: int) -> gym.Env[Any, Any]:
        return Monitor(Countdown(length)) if monitor else Countdown(length)

    env: Any = DummyVecEnv([lambda: make(5), lambda: make(8)])
    model = PPO("MlpPolicy", VecNormalize(env) if normalise else env, n_steps=8, batch_size=8, n_epochs=1, device="cpu")
    first, second, _ = watch(model, 48, every=16)
    assert first.episodes == 2  # 1+2+3+4+5 and 1+...+8, in eight steps each
    assert first.values["return_mean"] == pytest.approx((15 + 36) / 2)
    assert first.values["return_std"] == pytest.approx((36 - 15) / 2)
    assert first.values["episode_length"] == pytest.approx(6.5)
    assert second.episodes == 3


def test_an_episode_that_began_before_is_no_episode_of_the_run() -> None:
    model = PPO("MlpPolicy", DummyVecEnv([lambda: Countdown(12)]), n_steps=8, batch_size=8, n_epochs=1, device="cpu")
    model.learn(8)
    callback = Watch(wrap(model))
    model.learn(24, callback=callback, reset_num_timesteps=False)
    lengths = {s.values["episode_length"] for s in callback.signals if s.episodes}
    assert lengths == {12.0}, "not the last four steps of the first"


def test_no_episode_no_return() -> None:
    (signals, *_) = watch(PPO("MlpPolicy", Countdown(100), n_steps=16, batch_size=8, device="cpu"), 32, every=16)
    assert signals.episodes == 0
    assert "return_mean" not in signals.values


def test_a_lost_life_is_no_episode_under_a_monitor() -> None:
    class Lives(Countdown):
        class ale:
            lives = staticmethod(lambda: 3)

        def reset(self, **kwargs: Any) -> Any:
            self.ale.lives = staticmethod(lambda: 3 - self.t // 2)
            return super().reset(**kwargs)

    env = DummyVecEnv([lambda: EpisodicLifeEnv(Monitor(Lives(6)))])
    first, *_ = watch(PPO("MlpPolicy", env, n_steps=12, batch_size=12, device="cpu"), 24, every=12)
    assert first.episodes == 3  # of three lives each; the wrapper spends two of the six steps in its resets
    assert first.values["return_mean"] == 21.0


def test_transitions_are_raw_and_at_fixed_places() -> None:
    env = VecNormalize(DummyVecEnv([lambda: Countdown(50)] * 2))
    model = PPO("MlpPolicy", env, n_steps=9, batch_size=9, device="cpu")
    signals = watch(model, 36, every=18)[0]
    assert [t.reward for t in signals.transitions] == [4.0, 7.0]  # rows 3 and 6 of 9; rewards count the steps
    assert all(len(t.observation) == 4 and len(t.action) == 1 for t in signals.transitions)
    replayed = SAC("MlpPolicy", DummyVecEnv([lambda: Countdown(50, True)] * 2), learning_starts=4, batch_size=4, device="cpu")
    signals = watch(replayed, 20, every=20)[0]
    assert [t.reward for t in signals.transitions] == [5.0, 10.0]
    assert signals.transitions[0].observation == (4.0, 0.0, 4.0, 4.0)
    assert all(len(t.action) == 2 for t in signals.transitions)


def test_numbers_of_an_observation() -> None:
    image = spaces.Box(0, 255, (8, 8, 3), np.uint8)
    assert transitions.observation(np.full((8, 8, 3), 51, np.uint8), image) == pytest.approx((0.2, 0.0, 0.2, 0.2))
    vector = spaces.Box(-1, 1, (2,), np.float32)
    assert transitions.observation(np.array([0.5, -0.5]), vector) == (0.5, -0.5)
    both = spaces.Dict({"a": vector, "b": spaces.Box(-1, 1, (1,), np.float32)})
    assert transitions.observation({"a": np.array([0.5, -0.5]), "b": np.array([1.0])}, both) == (0.5, -0.5, 1.0)
    assert transitions.numbers(np.arange(5.0)) == (2.0, pytest.approx(math.sqrt(2)), 0.0, 4.0)


def test_entropy_fraction() -> None:
    fraction = measures.entropy_fraction
    assert fraction(math.log(4), spaces.Discrete(4)) == pytest.approx(1.0)
    assert fraction(0.5 * math.log(4), spaces.Discrete(4)) == pytest.approx(0.5)
    assert fraction(math.log(6), spaces.MultiDiscrete([2, 3])) == pytest.approx(1.0)
    assert fraction(math.log(2) * 3, spaces.MultiBinary(6)) == pytest.approx(0.5)
    assert fraction(0.0, spaces.Discrete(1)) is None
    box = spaces.Box(np.array([-1.0, -2.0]), np.array([1.0, 2.0]), dtype=np.float64)
    assert fraction(math.log(2) + math.log(4), box) == pytest.approx(1.0)
    assert fraction(math.log(2 * 0.1) + math.log(4 * 0.1), box) == pytest.approx(0.1)
    assert fraction(100.0, box) == 1.0
    assert fraction(-1000.0, box) == pytest.approx(0.0)


def test_gradient_norm_is_of_what_the_optimiser_was_given() -> None:
    agent, _ = start("ppo", max_grad_norm=1e-3)
    assert measures.gradient_norm(agent.model, "ppo") == pytest.approx(1e-3, rel=1e-2)  # clipped
    assert measures.gradient_norm(build("ppo"), "ppo") is None


def test_q_value_is_the_mean_over_the_stored_transitions() -> None:
    agent, _ = start("dqn")
    model: DQN = agent.model
    buffer = model.replay_buffer
    assert buffer is not None
    rows = 32
    buffer.pos = rows  # 2 x 32 transitions, each of which goes four times into the batch of 256
    with torch.no_grad():
        q = model.q_net(torch.as_tensor(buffer.observations[:rows].reshape(-1, 4)))
        taken = q.gather(1, torch.as_tensor(buffer.actions[:rows].reshape(-1, 1)))
    assert measures.q_value(model, "dqn", "sb3") == pytest.approx(float(taken.mean()), rel=1e-5)


def test_td_error_is_in_units_of_the_value() -> None:
    sac, td3, ppo = build("sac"), build("td3"), build("ppo", vf_coef=0.25)
    values = {"train/critic_loss": 0.5 * (2 * 9.0), "train/value_loss": 1.0}
    assert dict(measures.logged(sac, "sac", "sb3", values))["td_error"] == pytest.approx(3.0)
    assert dict(measures.logged(td3, "td3", "sb3", {"train/critic_loss": 2 * 9.0}))["td_error"] == pytest.approx(3.0)
    assert dict(measures.logged(None, "dqn", "sb3", {"train/loss": 0.5 * 0.81}))["td_error"] == pytest.approx(0.9)
    assert dict(measures.logged(None, "dqn", "sb3", {"train/loss": 2.5}))["td_error"] == pytest.approx(3.0)
    assert dict(measures.logged(ppo, "ppo", "sbx", values))["value_loss"] == pytest.approx(4.0)
    assert dict(measures.logged(ppo, "ppo", "sb3", {"train/value_loss": math.nan})) == {}


def test_update_counts_each_training_once(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, _ = start("ppo")
    collector = SignalCollector(agent)
    done = agent.updates()
    monkeypatch.setattr(agent, "updates", lambda: done + 1)
    for _ in range(3):
        collector.update()
    assert collector._counts["value_loss"] == 1


def test_an_optimiser_that_counts_nothing_has_signals_and_updates_too() -> None:
    kwargs = {"optimizer_class": torch.optim.SGD}
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=20, n_epochs=3, policy_kwargs=kwargs, device="cpu")
    watch = Watch(wrap(model))
    model.learn(96, callback=watch)
    assert all("approx_kl" in signals.values for signals in watch.signals)
    assert watch.agent.updates() == 3 * 3 * 2

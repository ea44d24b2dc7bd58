"""What is particular to the EnvPool adapter."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from stable_baselines3 import PPO

from hyperprompt.envs.envpool import EnvPoolVecEnv
from hyperprompt.envs.make import make
from hyperprompt.errors import HyperPromptError, InvalidValue

pytest.importorskip("envpool")
from hyperprompt.envs import envpool as adapter


def test_float64_tasks_become_float32() -> None:
    env = make("Hopper-v5", 3, 0, "envpool")
    assert env.observation_space.dtype == env.action_space.dtype == np.float32
    assert env.reset().dtype == np.float32
    observations, rewards, _, _ = env.step(np.zeros((3, 3), np.float32))
    assert observations.dtype == rewards.dtype == np.float32
    assert env.action_space.low.tolist() == [-1.0] * 3


def test_impossible_bounds_are_repaired() -> None:
    space = make("LunarLander-v3", 1, 0, "envpool").observation_space
    assert np.all(space.low == -np.inf)
    assert np.all(space.high == np.inf)


def test_dict_observations() -> None:
    env = EnvPoolVecEnv("MiniGrid-Empty-5x5-v0", 4, 0)
    first = env.reset()
    assert {key: part.shape[0] for key, part in first.items()} == dict.fromkeys(("direction", "image", "mission"), 4)
    for _ in range(200):
        observations, _, dones, infos = env.step(np.ones(4, np.int64))  # turns on the spot
        for i in np.flatnonzero(dones):
            assert infos[i]["TimeLimit.truncated"] is True
            assert infos[i]["episode"] == {"r": 0.0, "l": 100, "t": infos[i]["episode"]["t"]}
            assert infos[i]["terminal_observation"]["image"].shape == (7, 7, 3)
            np.testing.assert_array_equal(observations["image"][i], first["image"][i])
    assert dones.all()


def test_what_has_no_python_object_is_refused() -> None:
    env = make("CartPole-v1", 2, 0, "envpool")
    assert env.get_attr("render_mode") == [None, None]
    assert env.get_attr("render_mode", indices=0) == [None]
    assert not env.has_attr("gravity")
    for refused in (
        lambda: env.get_attr("gravity"),
        lambda: env.set_attr("gravity", 1.0),
        lambda: env.env_method("close"),
        lambda: env.set_options({"low": 0}),
    ):
        with pytest.raises(HyperPromptError, match="backend='gymnasium'"):
            refused()
    env.set_options({})


def test_a_wrong_number_of_actions_is_refused() -> None:
    env = make("CartPole-v1", 4, 0, "envpool")
    env.reset()
    env.step(np.zeros(4, np.int64))
    with pytest.raises(InvalidValue, match="4 environments need 4 actions, got 3"):
        env.step(np.zeros(3, np.int64))


def test_options_reach_the_pool_and_a_limit_hides_a_terminal_state() -> None:
    """The stated shortcoming: an episode that ends on the last step allowed is called truncated, whatever ended it."""
    free, limited = (adapter.EnvPoolVecEnv("CartPole-v1", 1, 0, **options) for options in ({}, {"max_episode_steps": 9}))
    for env, truncated in ((free, False), (limited, True)):
        env.reset()
        for _ in range(9):  # always to the left: this one falls on step 9
            _, _, dones, infos = env.step(np.zeros(1, np.int64))
        assert dones[0]
        assert infos[0]["TimeLimit.truncated"] is truncated


@pytest.mark.parametrize("name", ["BinPack-v2", "KuhnPoker-v1"])
def test_tasks_that_sb3_cannot_train_on(name: str) -> None:
    with pytest.raises(InvalidValue, match=name):
        make(name, 1, 0)


def test_a_pool_that_cannot_be_built_falls_back(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise InvalidValue("EnvPool cannot build 'CartPole-v1': no library")

    monkeypatch.setattr(adapter, "build", broken)
    with caplog.at_level(logging.WARNING):
        assert make("CartPole-v1", 2, 0).reset().shape == (2, 4)
    assert "no library" in caplog.text
    with pytest.raises(InvalidValue, match="no library"):
        make("CartPole-v1", 2, 0, "envpool")


def test_a_models_seed_rebuilds_the_pool_only_if_it_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    original = adapter.build
    monkeypatch.setattr(adapter, "build", lambda name, seeds, options: built.append(seeds) or original(name, seeds, options))
    env = make("CartPole-v1", 2, 4, "envpool")
    PPO("MlpPolicy", env, n_steps=8, batch_size=16, n_epochs=1, seed=4, device="cpu").learn(16)
    assert len(built) == 1
    PPO("MlpPolicy", env, n_steps=8, batch_size=16, n_epochs=1, seed=5, device="cpu").learn(16)
    assert len(built) == 2

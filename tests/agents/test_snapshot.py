"""A restored agent goes on as the original does, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from arms import BEFORE, build, equal, start, train
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor

from hyperprompt.agents import snapshots, wrap
from hyperprompt.agents.base import ModelAgent
from hyperprompt.agents.replay import ReplayLog
from hyperprompt.errors import InvalidValue
from hyperprompt.hyperparameters import AVAILABLE


def through_disk(agent: ModelAgent, folder: Path, fresh: ModelAgent) -> ModelAgent:
    """`fresh`, restored from what `agent` leaves on disk."""
    torch.save(agent.snapshot(), folder / "agent.pt")
    if (buffer := getattr(agent.model, "replay_buffer", None)) is not None:
        end = ReplayLog(folder / "replay").append(buffer)
        ReplayLog(folder / "replay").restore(fresh.model.replay_buffer, end)
    fresh.restore(torch.load(folder / "agent.pt", weights_only=True))
    return fresh


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("algorithm", AVAILABLE)
def test_a_fresh_agent_goes_on_as_the_original(algorithm: str, normalise: bool, tmp_path: Path) -> None:
    agent, _ = start(algorithm, normalise=normalise)
    agent.set({"learning_rate": 5e-3, "gamma": 0.9})
    train(agent, BEFORE)
    again = through_disk(agent, tmp_path, wrap(build(algorithm, normalise=normalise)))
    assert again.get() == agent.get()
    assert equal(again.snapshot(), agent.snapshot())
    assert equal(train(again), train(agent))
    for part in ("counters", "normaliser"):
        assert equal(again.snapshot()[part], agent.snapshot()[part])


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_sbx_goes_on_as_the_original(algorithm: str, tmp_path: Path) -> None:
    pytest.importorskip("sbx")
    agent, _ = start(algorithm, "sbx")
    agent.set({"learning_rate": 5e-3, "gamma": 0.9})
    train(agent, BEFORE)
    again = through_disk(agent, tmp_path, wrap(build(algorithm, "sbx")))
    assert equal(again.snapshot(), agent.snapshot())
    assert equal(train(again), train(agent))


def test_several_branches_start_from_one_snapshot() -> None:
    agent, saved = start("ppo")
    kept = snapshots.to_plain(saved)
    first = branch(agent, saved)
    assert not equal(branch(agent, saved, learning_rate=1e-4), first)
    assert equal(branch(agent, saved), first)  # the rate set in between is taken back, and the snapshot is untouched
    assert equal(saved, kept)


def branch(agent: ModelAgent, saved: dict[str, Any], **values: float) -> dict[str, Any]:
    agent.restore(saved)
    agent.set(values)
    return train(agent)


def test_a_schedule_that_was_replaced_comes_back_with_an_older_snapshot() -> None:
    agent, saved = start("dqn")
    schedule = agent.model.exploration_schedule
    agent.set({"exploration_rate": 0.5})
    agent.restore(saved)
    assert agent.model.exploration_schedule is schedule


def test_a_snapshot_is_a_plain_tree() -> None:
    def leaves(tree: Any) -> set[type]:
        if isinstance(tree, dict):
            return set().union(*map(leaves, tree.values())) if tree else set()
        if isinstance(tree, (list, tuple)):
            return set().union(*map(leaves, tree)) if tree else set()
        return {type(tree)}

    _, saved = start("sac", normalise=True)
    assert leaves(saved) <= {torch.Tensor, int, float, str, bool, type(None)}
    assert saved["counters"]["num_timesteps"] == BEFORE


def test_words_of_a_monitor_are_left_out_of_a_snapshot() -> None:
    class Told(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            *rest, info = self.env.step(action)
            return *rest, {**info, "outcome": "fell", "goal": None, "height": np.float32(2.0)}

    env = Monitor(Told(gym.make("CartPole-v1")), info_keywords=("outcome", "goal", "height"))
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=1, device="cpu")
    model.learn(128)
    infos = wrap(model).snapshot()["episodes"]["info"]
    assert {name for info in infos for name in info} == {"r", "l", "t", "height"}


def test_a_snapshot_of_something_else_is_refused() -> None:
    _, saved = start("a2c")
    with pytest.raises(InvalidValue, match="a2c"):
        wrap(build("ppo")).restore(saved)
    with pytest.raises(InvalidValue, match="VecNormalize"):
        wrap(build("a2c", normalise=True)).restore(saved)

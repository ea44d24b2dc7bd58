"""The bandit in real runs, cut off and resumed: what it decided follows from the intervals alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hyperprompt.callback import Report
from hyperprompt.config import RunConfig
from hyperprompt.controllers.bandit import Bandit
from hyperprompt.controllers.guard import constrain
from hyperprompt.core import MetaState
from hyperprompt.pipeline import deploy
from hyperprompt.runs import RunFolder

PPO = RunConfig(
    env="CartPole-v1",
    controller="bandit",
    steps=1024,
    every=64,
    n_envs=4,
    seed=3,
    agent={"n_steps": 16, "n_epochs": 2, "batch_size": 64},
)
SAC = RunConfig(
    env="Pendulum-v1",
    algo="sac",
    controller="bandit",
    steps=560,
    every=32,
    n_envs=2,
    agent={"learning_starts": 50, "batch_size": 16, "buffer_size": 1000, "policy_kwargs": {"net_arch": [8]}},
)


class Killed(Exception):
    pass


@pytest.mark.parametrize("config", [PPO, SAC], ids=["ppo", "sac"])
def test_the_whole_journal_follows_from_the_intervals(config: RunConfig, tmp_path: Path) -> None:
    def kill(report: Report) -> None:
        if report.step >= 0.7 * (config.steps or 0):
            raise Killed

    with pytest.raises(Killed):
        deploy.train(config, tmp_path / "run", kill)
    deploy.resume(tmp_path / "run")

    folder = RunFolder.open(tmp_path / "run", readonly=True)
    checkpoint = folder.latest_checkpoint()
    assert checkpoint is not None
    last = MetaState.from_dict(checkpoint.state["run"]["meta_state"])
    decisions = folder.decisions()
    for decision in decisions:
        intervals = last.intervals[: decision.index]
        theta = {h.name: decision.theta_before[h.name] for h in last.space}
        then = replace(last, step=decision.step, theta=theta, intervals=intervals)
        (action,) = Bandit(config.seed).decide([then])
        after = last.space.values(constrain(last.space, theta, action).theta)
        assert after == pytest.approx(decision.theta_after, rel=1e-6)
    assert len({tuple(d.theta_after.values()) for d in decisions}) > 3, "it tried several arms"
    assert not decisions[0].delta, "before the first return there is nothing to compare"

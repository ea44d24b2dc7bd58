"""Choosing the agent, the space it offers, and what `set` accepts."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import stable_baselines3 as sb3
from arms import build
from gymnasium import spaces

from hyperprompt.agents import wrap
from hyperprompt.agents.describe import observation_kind
from hyperprompt.core import Agent
from hyperprompt.errors import InvalidValue, UnknownName


def test_subclasses_and_relatives_work() -> None:
    class Mine(sb3.PPO):
        pass

    agent: Agent = wrap(Mine("MlpPolicy", "CartPole-v1"))
    assert (agent.algorithm, agent.library) == ("ppo", "sb3")
    ddpg = wrap(sb3.DDPG("MlpPolicy", "Pendulum-v1", buffer_size=10))
    assert ddpg.algorithm == "td3"
    assert ddpg.space["target_noise_clip"].low == 0.0  # DDPG adds no noise to the target


def test_another_algorithm_is_refused_with_the_valid_ones() -> None:
    class Other:
        pass

    with pytest.raises(UnknownName, match=r"sb3\.PPO.*sbx\.SAC"):
        wrap(Other())  # type: ignore[arg-type]


def test_jax_is_imported_for_jax_models_only() -> None:
    code = "import sys, stable_baselines3 as s; from hyperprompt.agents import wrap; wrap(s.A2C('MlpPolicy', 'CartPole-v1'));"
    code += "assert not {'jax', 'sbx', 'flax', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_readings_that_lie_on_no_scale() -> None:
    ppo = wrap(build("ppo", gae_lambda=1.0, gamma=1.0, max_grad_norm=math.inf))
    theta = ppo.get()
    assert theta["ent_coef"] == 0.0
    assert ppo.space["ent_coef"].low == 1e-4
    assert theta["gamma"] == theta["gae_lambda"] == 1.0
    assert ppo.space["gamma"].high == 0.9999
    assert theta["target_kl"] == ppo.space["target_kl"].high
    assert theta["max_grad_norm"] == ppo.space["max_grad_norm"].high
    ppo.set(theta)  # keeping everything keeps it
    assert ppo.model.target_kl is None
    assert ppo.model.max_grad_norm == math.inf
    ppo.set({"target_kl": 0.01})
    assert ppo.model.target_kl == 0.01
    assert all(0.0 <= h.position(theta[h.name]) <= 1.0 for h in ppo.space)


def test_bounds_widen_to_the_model_s_own_values() -> None:
    agent = wrap(build("ppo", learning_rate=0.1, vf_coef=0.0, clip_range=0.5, batch_size=8))
    assert agent.space["learning_rate"].high == 0.1
    assert agent.space["vf_coef"].low == 0.0
    assert agent.space["clip_range"].high == 0.5
    assert agent.space["batch_size"].low == 8
    assert agent.space.defaults == agent.get()


def test_a_schedule_is_read_at_the_current_progress_until_it_is_replaced() -> None:
    agent = wrap(build("ppo", learning_rate=lambda left: 1e-3 * left, clip_range=lambda left: 0.4 * left))
    assert agent.get()["learning_rate"] == 1e-3
    agent.model._current_progress_remaining = 0.5
    assert agent.get()["learning_rate"] == 5e-4
    assert agent.get()["clip_range"] == 0.2
    agent.set({"n_epochs": 3.0})
    assert agent.get()["learning_rate"] == 5e-4
    agent.set({"learning_rate": 2e-4})
    agent.model._current_progress_remaining = 0.1
    assert agent.get()["learning_rate"] == 2e-4


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"gamma": 0.9, "learning_rat": 1e-3}, UnknownName),
        ({"gamma": 0.9, "learning_rate": math.nan}, InvalidValue),
        ({"gamma": 0.9, "learning_rate": math.inf}, InvalidValue),
    ],
)
def test_a_bad_value_changes_nothing(values: dict[str, float], error: type[Exception]) -> None:
    agent = wrap(build("a2c"))
    before = agent.get()
    with pytest.raises(error, match="learning_rate"):
        agent.set(values)
    assert agent.get() == before


def test_integers_reach_the_model_as_integers() -> None:
    agent = wrap(build("dqn"))
    agent.set({"gradient_steps": np.float64(2.4), "batch_size": 0.2, "target_update_interval": 99.6})  # type: ignore[dict-item]
    model = agent.model
    assert (model.gradient_steps, model.batch_size, model.target_update_interval) == (2, 1, 100)
    assert all(type(v) is int for v in (model.gradient_steps, model.batch_size, model.target_update_interval))


def test_one_update_per_transition_reads_as_a_number() -> None:
    assert wrap(build("sac", gradient_steps=-1, train_freq=4)).get()["gradient_steps"] == 8  # two environments
    episodic = sb3.SAC("MlpPolicy", "Pendulum-v1", gradient_steps=-1, train_freq=(1, "episode"), buffer_size=10)
    assert "gradient_steps" in wrap(episodic).refused


def test_target_entropy_counts_the_dimensions_and_needs_a_learnt_coefficient() -> None:
    agent = wrap(build("sac"))
    assert (agent.space["target_entropy"].default, agent.space["target_entropy"].low) == (-1.0, -3.0)
    fixed = wrap(build("sac", ent_coef=0.1))
    assert "target_entropy" not in fixed.space.names
    with pytest.raises(InvalidValue, match="ent_coef='auto'"):
        fixed.set({"target_entropy": -1.0})


def test_the_task_line() -> None:
    task = wrap(build("ppo")).describe("CartPole-v1", 1000)
    assert (task.action, task.observation, task.observation_size, task.action_size, task.n_envs) == (
        "discrete",
        "vector",
        4,
        2,
        2,
    )
    task = wrap(build("sac")).describe("Pendulum-v1", 1000)
    assert (task.action, task.action_size, task.total_steps) == ("continuous", 1, 1000)


def test_kinds_of_observation() -> None:
    assert observation_kind(spaces.Box(0, 255, (84, 84, 4), np.uint8)) == "image"
    assert observation_kind(spaces.Box(0, 1, (10, 10, 4), np.float32)) == "image"
    assert observation_kind(spaces.Box(-1, 1, (17,))) == "vector"
    assert observation_kind(spaces.Discrete(16)) == "vector"
    assert observation_kind(spaces.Dict({"a": spaces.Box(-1, 1, (3,))})) == "mixed"

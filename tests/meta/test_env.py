from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import hyperprompt.meta.env  # noqa: F401  registers
from hyperprompt.agents.measures import NAMES
from hyperprompt.core import KEEP, STEPS, Decision, MetaState
from hyperprompt.envs.scale import TaskScale, task_scale
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.meta.env import ID, MetaEnv, make_vec

SMALL: dict[str, Any] = {
    "env": "CartPole-v1",
    "algo": "ppo",
    "steps": 320,
    "every": 64,
    "n_envs": 2,
    "agent": {"n_steps": 32, "batch_size": 32, "n_epochs": 2, "policy_kwargs": {"net_arch": [8]}},
}


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def episode(env: gymnasium.Env[Any, Any], seed: int, actions: Any = None) -> tuple[list[Any], list[float], Any]:
    observation, info = env.reset(seed=seed)
    observations, rewards, truncated = [observation], [], False
    while not truncated:
        action = np.full(env.action_space.shape or (), KEEP) if actions is None else actions[len(rewards)]
        observation, reward, terminated, truncated, info = env.step(action)
        assert not terminated
        observations.append(observation)
        rewards.append(float(reward))
    return observations, rewards, info


@pytest.mark.parametrize("continuous", [False, True])
def test_gymnasiums_checker_passes(continuous: bool) -> None:
    env = gymnasium.make(ID, config=SMALL, continuous=continuous)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(symmetric and normalized|alternative render modes|infinity).*")
        warnings.filterwarnings("error", message=".*(deprecat|dtype).*")
        check_env(env.unwrapped)
    env.close()


@pytest.mark.slow
def test_the_id_needs_no_import_beforehand() -> None:
    code = f"import gymnasium; gymnasium.make('hyperprompt.meta.env:{ID}', config={SMALL!r}).reset(seed=0)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_episode_is_a_run_and_reproduces() -> None:
    env = gymnasium.make(ID, config=SMALL)
    observations, rewards, info = episode(env, 3)
    again, rewards_again, _ = episode(env, 3)
    other, _, _ = episode(env, 4)
    assert all(same(a, b) for a, b in zip(observations, again, strict=True))
    assert rewards == rewards_again
    assert not same(observations[-1], other[-1])
    state: MetaState = info["meta_state"]
    assert state.step == state.task.total_steps == 320
    assert len(rewards) == len(state.intervals) == state.index
    last = task_scale("CartPole-v1").score(state.intervals[-1].signals.values["return_mean"])
    assert sum(rewards) == pytest.approx(last)
    with pytest.raises(InvalidValue, match="spent"):
        env.step(np.full(5, KEEP))
    env.close()


def test_without_a_seed_every_run_is_another_but_the_sequence_reproduces() -> None:
    def names(env: MetaEnv) -> list[str]:
        return [env.reset(seed=seed)[1]["meta_state"].run for seed in (5, None, None)]

    env = MetaEnv(SMALL)
    first = names(env)
    assert len(set(first)) == 3
    assert names(env) == first
    env.close()


def test_what_an_observation_shows() -> None:
    env = MetaEnv(SMALL, window=3)
    observation, _ = env.reset(seed=0)
    assert not observation["rows"].any()
    assert observation["progress"] == 0.0
    steps = {"learning_rate": 1.0, "clip_range": -1.0}
    action = np.array([STEPS.index(steps.get(name, 0.0)) for name in env.names])
    observation, _, _, _, info = env.step(action)
    state: MetaState = info["meta_state"]
    decision: Decision = info["decision"]
    assert decision.theta_after["learning_rate"] == pytest.approx(2 * decision.theta_before["learning_rate"])
    assert observation["rows"].tolist() == [0, 0, 1]
    at = env.names.index("learning_rate")
    assert observation["deltas"][:, at] == pytest.approx([0.0, 0.0, 1.0])
    assert observation["theta"][at] == pytest.approx(state.space["learning_rate"].position(6e-4))
    assert observation["lengths"][-1] == pytest.approx(64 / 320) == observation["progress"][0]
    for column, name in enumerate(NAMES["ppo"]):
        assert observation["signals_known"][-1, column] == (name in state.intervals[-1].signals.values)
    kl = state.intervals[-1].signals.values["approx_kl"]
    assert observation["signals"][-1, NAMES["ppo"].index("approx_kl")] == pytest.approx(np.sign(kl) * np.log1p(abs(kl)))
    for _ in range(3):
        observation = env.step(action)[0]
    assert observation["rows"].all()  # the window has moved on past the first interval
    assert env.observation_space.contains(observation)
    env.close()


def test_an_action_that_is_no_number_is_recorded_and_training_goes_on() -> None:
    env = MetaEnv(SMALL, continuous=True)
    env.reset(seed=0)
    *_, info = env.step(np.array([np.nan, 0, 0, 0, 0], dtype=np.float32))
    assert info["decision"].status == "rejected"
    assert info["meta_state"].step > 0
    env.close()


def test_mistakes_are_refused() -> None:
    env = MetaEnv(SMALL)
    env.reset(seed=0)
    for action in ([3, 3], [7, 3, 3, 3, 3]):
        with pytest.raises(InvalidValue, match=r"step|indices"):
            env.step(np.array(action))
    env.close()
    with pytest.raises(UnknownName, match="CartPole"):
        MetaEnv({**SMALL, "env": "FrozenLake-v1"})  # not listed, so never measured
    with pytest.raises(UnknownName, match="level"):
        MetaEnv(SMALL, reward="slope")  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="config or make_run"):
        MetaEnv()
    with pytest.raises(InvalidValue, match="window"):
        MetaEnv(SMALL, window=0)
    MetaEnv({**SMALL, "env": "FrozenLake-v1"}, scale=TaskScale(0.0, 0.7)).close()


def check_lockstep(workers: bool) -> None:
    """Runs in one vector environment are the ones they would be alone, and begin anew on the step after their end."""
    configs = [SMALL, {**SMALL, "steps": 256}]
    alone = MetaEnv(SMALL)
    expected, rewards, _ = episode(alone, 7)
    alone.close()
    vector = make_vec(configs, workers=workers)
    assert vector.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.NEXT_STEP
    observations, infos = vector.reset(seed=7)
    assert [state.run for state in infos["meta_state"]] == ["CartPole-v1/7", "CartPole-v1/8"]
    assert vector.observation_space.contains(observations)
    keep = np.full(vector.action_space.shape or (), KEEP)
    for t, reward in enumerate(rewards):
        assert same({key: part[0] for key, part in observations.items()}, expected[t])
        observations, earned, _, truncated, infos = vector.step(keep)
        assert earned[0] == reward
        assert truncated.tolist() == [t == len(rewards) - 1, t == len(rewards) - 2]
    assert [state.step for state in infos["meta_state"]] == [320, 0]
    assert earned[1] == 0.0
    vector.close()


def test_runs_in_lockstep() -> None:
    check_lockstep(workers=False)


@pytest.mark.slow
def test_runs_in_lockstep_in_processes_of_their_own() -> None:
    check_lockstep(workers=True)


def test_runs_of_different_spaces_do_not_go_together() -> None:
    with pytest.raises(InvalidValue, match="same tuned hyperparameters"):
        make_vec([SMALL, {**SMALL, "tune": ["learning_rate"]}])
    with pytest.raises(InvalidValue, match="at least one"):
        make_vec([])

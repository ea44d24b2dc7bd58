"""The contract of `make`, held against both backends and four tasks. A new task joins by a line in TASKS."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

from hyperprompt.envs.make import make

N = 5
# task, bound on every reward's absolute value
TASKS = {"CartPole-v1": 1.0, "LunarLander-v3": 400.0, "Pendulum-v1": 17.0, "Acrobot-v1": 1.0}
STEPS = 420


def available(backend: str, name: str) -> bool:
    if backend == "envpool":
        return find_spec("envpool") is not None
    return not name.startswith("LunarLander") or (find_spec("Box2D") is not None and find_spec("pygame") is not None)


CASES = [
    pytest.param(backend, name, marks=pytest.mark.skipif(not available(backend, name), reason="extra not installed"))
    for backend in ("envpool", "gymnasium")
    for name in TASKS
]
pytestmark = pytest.mark.parametrize(("backend", "name"), CASES)


@pytest.fixture
def env(backend: str, name: str) -> Iterator[VecEnv]:
    env = make(name, N, 3, backend)  # type: ignore[arg-type]
    yield env
    env.close()


def actions_of(env: VecEnv, steps: int, seed: int = 0) -> list[np.ndarray]:
    env.action_space.seed(seed)
    return [np.stack([env.action_space.sample() for _ in range(env.num_envs)]) for _ in range(steps)]


def rollout(env: VecEnv, steps: int = 120) -> np.ndarray:
    """Observations and rewards of a fixed random action sequence, (steps + 1, N, -1)."""
    rows = [np.concatenate([env.reset().reshape(N, -1), np.zeros((N, 1), np.float32)], axis=1)]
    for actions in actions_of(env, steps):
        observations, rewards, _, _ = env.step(actions)
        rows.append(np.concatenate([observations.reshape(N, -1), rewards[:, None]], axis=1))
    return np.stack(rows)


def is_first(name: str, observation: np.ndarray) -> bool:
    """Whether the task can begin with this observation."""
    if name == "CartPole-v1":
        return bool(np.all(np.abs(observation) <= 0.05))
    if name == "LunarLander-v3":
        return abs(observation[0]) < 0.02 and 1.38 < observation[1] < 1.45 and not observation[6:].any()
    if name == "Acrobot-v1":
        return bool(np.all(observation[[0, 2]] > 0.99) and np.all(np.abs(observation[4:]) <= 0.1))
    return abs(observation[2]) <= 1.0


def test_shapes_dtypes_and_spaces(env: VecEnv, name: str) -> None:
    observations = env.reset()
    assert observations.shape == (N, *env.observation_space.shape)
    assert observations.dtype == np.float32 == env.observation_space.dtype
    assert env.num_envs == N
    for actions in actions_of(env, 50):
        observations, rewards, dones, infos = env.step(actions)
        assert observations.dtype == rewards.dtype == np.float32
        assert dones.dtype == np.bool_
        assert rewards.shape == dones.shape == (N,)
        assert len(infos) == N
        assert np.all(np.abs(rewards) <= TASKS[name])
        if name != "LunarLander-v3":  # Gymnasium's own leaves its declared box when it flies off
            assert all(env.observation_space.contains(o) for o in observations)


def test_equal_seeds_repeat_and_others_do_not(backend: str, name: str) -> None:
    first, again, other = (make(name, N, seed, backend) for seed in (7, 7, 8))  # type: ignore[arg-type]
    a, b, c = rollout(first), rollout(again), rollout(other)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a[0], c[0])
    assert len(np.unique(a[0], axis=0)) == N, "the environments of one run differ"
    shared = (a[0][:, None] == c[0][None]).all(axis=-1)
    assert not shared.any(), "neighbouring seeds share no environment"


def test_seed_takes_effect_at_the_next_reset(backend: str, name: str) -> None:
    env = make(name, N, 7, backend)  # type: ignore[arg-type]
    expected, other = rollout(make(name, N, 7, backend)), rollout(make(name, N, 8, backend))  # type: ignore[arg-type]
    assert env.seed(7)[0] == env.seed(7)[0]
    np.testing.assert_array_equal(rollout(env), expected)
    env.seed(8)
    np.testing.assert_array_equal(rollout(env), other)
    env.seed(7)
    np.testing.assert_array_equal(rollout(env), expected)
    assert not np.array_equal(rollout(env), expected), "a reset without a seed goes on with the streams"


def test_episodes(env: VecEnv, name: str) -> None:
    """Lengths, returns, terminal observations and resets of every episode, counted independently."""
    previous = env.reset()
    assert all(is_first(name, o) for o in previous)
    returns, lengths, ended = np.zeros(N), np.zeros(N, int), 0
    for actions in actions_of(env, STEPS):
        observations, rewards, dones, infos = env.step(actions)
        returns += rewards
        lengths += 1
        for i in range(N):
            if not dones[i]:
                assert "episode" not in infos[i]
                assert "terminal_observation" not in infos[i]
                assert not infos[i].get("TimeLimit.truncated", False)
                continue
            ended += 1
            assert infos[i]["episode"]["l"] == lengths[i]
            assert infos[i]["episode"]["r"] == pytest.approx(returns[i], rel=1e-4, abs=1e-3)
            assert infos[i]["episode"]["t"] >= 0
            assert is_first(name, observations[i]), "the observation beside done begins the next episode"
            last = infos[i]["terminal_observation"]
            assert last.shape == observations[i].shape
            assert last.dtype == np.float32
            assert not np.array_equal(last, observations[i])
            if name == "CartPole-v1":
                assert abs(last[0]) > 2.4 or abs(last[2]) > 0.2
                assert infos[i]["TimeLimit.truncated"] is False
            if name == "Pendulum-v1":
                assert lengths[i] == 200
                assert infos[i]["TimeLimit.truncated"] is True
            returns[i], lengths[i] = 0.0, 0
        if name == "CartPole-v1":
            assert np.all(rewards == 1.0), "no step is spent on resetting"
    if name != "Acrobot-v1":
        assert ended >= 5


def test_results_are_not_overwritten_by_later_steps(env: VecEnv) -> None:
    kept = [env.reset()]
    kept += [env.step(actions)[0] for actions in actions_of(env, 20)]
    copies = [o.copy() for o in kept]
    for actions in actions_of(env, 60):
        env.step(actions)
    for now, then in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(now, then)

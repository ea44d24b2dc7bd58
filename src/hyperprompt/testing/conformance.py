"""The contract of `hyperprompt.envs.make.make` as a pytest class. A family is held to it by subclassing it:

class TestMyFamily(VecEnvConformance):
    time_limit = 500

    def make_env(self, n_envs, seed):
        return make("myfamily/task", n_envs, seed)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

N = 5
Observations = np.ndarray | dict[str, np.ndarray]


class VecEnvConformance:
    """Spaces, dtypes, seeding, same-step reset, truncation against termination, episode statistics.

    Override `make_env`; set the attributes that hold for the task; override `is_first` to say how an episode begins.
    """

    steps = 420
    """Random steps in which at least `episodes` episodes end."""
    episodes = 5
    reward_bound = np.inf
    """No reward's absolute value is greater."""
    time_limit: int | None = None
    """Episodes of this length are truncated, shorter ones are not; None where it is out of reach."""
    terminates = True
    """Whether a random policy also ends episodes before the time limit."""
    in_space = True
    """Whether every observation lies in the declared space (Gymnasium's own LunarLander leaves it)."""
    starts_differ = True
    """Whether two environments (almost) never begin with the same observation."""

    def make_env(self, n_envs: int, seed: int) -> VecEnv:
        """A fresh vector environment."""
        raise NotImplementedError("override make_env(n_envs, seed)")

    def is_first(self, observation: np.ndarray | dict[str, np.ndarray]) -> bool:
        """Whether an episode can begin with this observation. The default knows nothing and agrees."""
        return True

    def test_shapes_dtypes_and_spaces(self) -> None:
        env = self.make_env(N, 3)
        assert env.num_envs == N
        for part in _parts(env.observation_space):
            assert part.dtype is not None
            assert part.dtype != np.float64, "floating observations are float32"
        _check_batch(env.observation_space, env.reset(), self.in_space)
        for actions in action_sequence(env, 50):
            observations, rewards, dones, infos = env.step(actions)
            _check_batch(env.observation_space, _arrays(observations), self.in_space)
            assert rewards.dtype == np.float32
            assert dones.dtype == np.bool_
            assert rewards.shape == dones.shape == (N,)
            assert len(infos) == N
            assert np.all(np.isfinite(rewards))
            assert np.all(np.abs(rewards) <= self.reward_bound)
        env.close()

    def test_equal_seeds_repeat_and_others_do_not(self) -> None:
        a, b, c = (rollout(self.make_env(N, seed)) for seed in (7, 7, 8))
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
        if self.starts_differ:
            assert len(np.unique(a[0], axis=0)) == N, "the environments of one run differ"
            assert not (a[0][:, None] == c[0][None]).all(axis=-1).any(), "neighbouring seeds share no environment"

    def test_seed_takes_effect_at_the_next_reset(self) -> None:
        env = self.make_env(N, 7)
        expected, other = rollout(self.make_env(N, 7)), rollout(self.make_env(N, 8))
        assert env.seed(7)[0] == env.seed(7)[0]
        np.testing.assert_array_equal(rollout(env, close=False), expected)
        env.seed(8)
        np.testing.assert_array_equal(rollout(env, close=False), other)
        env.seed(7)
        np.testing.assert_array_equal(rollout(env, close=False), expected)
        assert not np.array_equal(rollout(env), expected), "a reset without a seed goes on with the streams"

    def test_episodes(self) -> None:
        """Lengths, returns, terminal observations and resets of every episode, counted independently."""
        env = self.make_env(N, 3)
        first = _arrays(env.reset())
        assert all(self.is_first(_row(first, i)) for i in range(N))
        returns, lengths = np.zeros(N), np.zeros(N, int)
        truncations: list[bool] = []
        for actions in action_sequence(env, self.steps):
            observations, rewards, dones, infos = env.step(actions)
            returns += rewards
            lengths += 1
            for i in range(N):
                if not dones[i]:
                    assert "episode" not in infos[i]
                    assert "terminal_observation" not in infos[i]
                    assert not infos[i].get("TimeLimit.truncated", False)
                    continue
                assert infos[i]["episode"]["l"] == lengths[i]
                np.testing.assert_allclose(infos[i]["episode"]["r"], returns[i], rtol=1e-4, atol=1e-3)
                assert infos[i]["episode"]["t"] >= 0
                now, last = _row(_arrays(observations), i), infos[i]["terminal_observation"]
                assert self.is_first(now), "the observation beside done begins the next episode"
                _check_one(env.observation_space, last, self.in_space)
                assert not np.array_equal(_flat(last), _flat(now)), "the terminal observation is not the next first one"
                self._check_end(int(lengths[i]), infos[i])
                truncations.append(bool(infos[i]["TimeLimit.truncated"]))
                returns[i], lengths[i] = 0.0, 0
        env.close()
        assert len(truncations) >= self.episodes
        if not self.terminates:
            assert all(truncations)
        elif self.time_limit is None:
            assert not any(truncations)

    def _check_end(self, length: int, info: Mapping[str, Any]) -> None:
        if self.time_limit is not None:
            assert length <= self.time_limit
            if length < self.time_limit:
                assert info["TimeLimit.truncated"] is False, "ended before its time limit, so by itself"
            elif not self.terminates:
                assert info["TimeLimit.truncated"] is True

    def test_results_are_not_overwritten_by_later_steps(self) -> None:
        env = self.make_env(N, 3)
        kept = [_arrays(env.reset())]
        kept += [_arrays(env.step(actions)[0]) for actions in action_sequence(env, 20)]
        copies = [_flat_batch(o, N).copy() for o in kept]
        for actions in action_sequence(env, 60):
            env.step(actions)
        for now, then in zip(kept, copies, strict=True):
            np.testing.assert_array_equal(_flat_batch(now, N), then)
        env.close()


def action_sequence(env: VecEnv, steps: int, seed: int = 0) -> Iterator[np.ndarray]:
    """`steps` batches of random actions, each (num_envs, *action shape); the same for equal seeds."""
    env.action_space.seed(seed)
    for _ in range(steps):
        yield np.stack([env.action_space.sample() for _ in range(env.num_envs)])


def rollout(env: VecEnv, steps: int = 120, close: bool = True) -> np.ndarray:
    """Observations and rewards of a fixed random action sequence from a reset on: (steps + 1, num_envs, size + 1)."""
    n = env.num_envs
    rows = [np.concatenate([_flat_batch(_arrays(env.reset()), n), np.zeros((n, 1), np.float32)], axis=1)]
    for actions in action_sequence(env, steps):
        observations, rewards, _, _ = env.step(actions)
        rows.append(np.concatenate([_flat_batch(_arrays(observations), n), rewards[:, None]], axis=1))
    if close:
        env.close()
    return np.stack(rows)


def _arrays(observations: Any) -> Observations:
    assert isinstance(observations, np.ndarray | dict), "observations are arrays, or a dict of them"
    return observations


def _parts(space: spaces.Space[Any]) -> list[spaces.Space[Any]]:
    return list(space.spaces.values()) if isinstance(space, spaces.Dict) else [space]


def _row(observations: Observations, i: int) -> np.ndarray | dict[str, np.ndarray]:
    return {k: v[i] for k, v in observations.items()} if isinstance(observations, dict) else observations[i]


def _flat(observation: np.ndarray | dict[str, np.ndarray]) -> np.ndarray:
    parts = [observation[k] for k in sorted(observation)] if isinstance(observation, dict) else [observation]
    return np.concatenate([np.asarray(part, dtype=np.float64).ravel() for part in parts])


def _flat_batch(observations: Observations, n: int) -> np.ndarray:
    return np.stack([_flat(_row(observations, i)) for i in range(n)])


def _check_batch(space: spaces.Space[Any], observations: Any, in_space: bool) -> None:
    for i in range(N):
        _check_one(space, _row(_arrays(observations), i), in_space)


def _check_one(space: spaces.Space[Any], observation: Any, in_space: bool) -> None:
    if isinstance(space, spaces.Dict):
        assert set(observation) == set(space.spaces)
        for key, part in space.spaces.items():
            _check_one(part, observation[key], in_space)
        return
    array = np.asarray(observation)
    assert array.shape == space.shape
    assert array.dtype == space.dtype
    if in_space:
        assert space.contains(observation), "the observation lies in its space"

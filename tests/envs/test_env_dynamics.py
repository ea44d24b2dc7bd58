"""Both backends are the same tasks: in law, and where the state can be set, step for step."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from hyperprompt.envs.make import make

BOTH = pytest.mark.parametrize("backend", ["envpool", "gymnasium"])


@pytest.fixture(autouse=True)
def _needs_envpool() -> None:
    pytest.importorskip("envpool")


def episodes(env: VecEnv, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns and lengths of a random policy's episodes. Only the first ones end early, so `steps` must be many."""
    env.reset()
    env.action_space.seed(0)
    ended = []
    for _ in range(steps):
        infos = env.step(np.stack([env.action_space.sample() for _ in range(env.num_envs)]))[3]
        ended += [info["episode"] for info in infos if "episode" in info]
    env.close()
    return np.array([e["r"] for e in ended]), np.array([e["l"] for e in ended])


@pytest.mark.parametrize(("name", "steps"), [("CartPole-v1", 800), ("LunarLander-v3", 500)])
def test_a_random_policy_fares_alike(name: str, steps: int) -> None:
    if name.startswith("Lunar"):
        pytest.importorskip("pygame")
    (returns_e, lengths_e), (returns_g, lengths_g) = (
        episodes(make(name, 16, 1, backend), steps)  # type: ignore[arg-type]
        for backend in ("envpool", "gymnasium")
    )
    for ours, theirs in ((returns_e, returns_g), (lengths_e, lengths_g)):
        error = np.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
        assert abs(ours.mean() - theirs.mean()) < 4 * error
    if name == "CartPole-v1":
        assert lengths_e.mean() == pytest.approx(22.3, abs=1.5)


def set_state(env: gymnasium.Env, name: str, observation: np.ndarray) -> None:
    state = observation.astype(np.float64)
    if name == "Pendulum-v1":
        state = np.array([np.arctan2(state[1], state[0]), state[2]])
    if name == "Acrobot-v1":
        state = np.array([np.arctan2(state[1], state[0]), np.arctan2(state[3], state[2]), state[4], state[5]])
    env.unwrapped.state = state  # type: ignore[attr-defined]
    if name == "CartPole-v1":
        env.unwrapped.steps_beyond_terminated = None  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1", "Acrobot-v1"])
def test_same_state_and_action_give_the_same_step(name: str) -> None:
    env, reference = make(name, 1, 5, "envpool"), gymnasium.make(name).unwrapped
    reference.reset(seed=0)
    env.action_space.seed(0)
    observation = env.reset()[0]
    for _ in range(400):
        set_state(reference, name, observation)
        action = env.action_space.sample()
        observations, rewards, dones, infos = env.step(np.array([action]))
        observation = observations[0]
        following, reward, terminated, _, _ = reference.step(action)
        # EnvPool's pendulum turns by the speed before it is limited to 8, Gymnasium's by the limited one: 0.7% of steps.
        atol = 0.05 if name == "Pendulum-v1" and abs(following[2]) >= 8 else 2e-5
        np.testing.assert_allclose(infos[0].get("terminal_observation", observation), following, atol=atol)
        assert rewards[0] == pytest.approx(reward, abs=1e-4)
        assert terminated == (dones[0] and not infos[0]["TimeLimit.truncated"])


@BOTH
def test_cartpole_is_truncated_at_500(backend: str) -> None:
    env = make("CartPole-v1", 4, 0, backend)  # type: ignore[arg-type]
    observations, seen = env.reset(), []
    for _ in range(501):
        actions = (observations @ np.array([0.1, 0.3, 3.0, 1.0]) > 0).astype(np.int64)
        observations, _, _, infos = env.step(actions)
        seen += [info for info in infos if "episode" in info]
    assert [info["episode"]["l"] for info in seen] == [500] * 4
    assert [info["episode"]["r"] for info in seen] == [500.0] * 4
    assert all(info["TimeLimit.truncated"] is True for info in seen)
    assert all(abs(info["terminal_observation"][2]) < 0.21 for info in seen)


@BOTH
def test_ppo_learns_cartpole(backend: str) -> None:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        env = make("CartPole-v1", 16, 0, backend)  # type: ignore[arg-type]
        model = PPO("MlpPolicy", env, n_steps=64, batch_size=256, n_epochs=8, learning_rate=2e-3, seed=0, device="cpu")
        model.learn(30_000)
    finally:
        torch.set_num_threads(threads)
    assert np.mean([episode["r"] for episode in model.ep_info_buffer]) > 100


def test_sb3s_helpers_take_the_adapter_for_a_monitored_env(recwarn: pytest.WarningsRecorder) -> None:
    env = make("Pendulum-v1", 4, 0, "envpool")
    assert env.env_is_wrapped(Monitor) == [True] * 4
    normalised = VecNormalize(env)
    model = PPO("MlpPolicy", normalised, n_steps=50, batch_size=50, n_epochs=1, seed=1, device="cpu")
    model.learn(1000)
    assert len(model.ep_info_buffer) == 4
    _, lengths = evaluate_policy(model, make("Pendulum-v1", 2, 9, "envpool"), n_eval_episodes=2, return_episode_rewards=True)
    assert lengths == [200, 200]
    assert not [w for w in recwarn if "Monitor" in str(w.message) or "render_mode" in str(w.message)]

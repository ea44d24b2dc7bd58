"""The ants' environments: the contract, the twin of Ant-v5, standing still, and what a diverging simulation does."""

from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

from hyperprompt.agents.loop import env_name
from hyperprompt.envs.ant import Morphology, mjcf, sample
from hyperprompt.envs.ant.morphology import SPLITS
from hyperprompt.envs.make import make
from hyperprompt.envs.opaque import NoSubEnvironment
from hyperprompt.errors import InvalidValue
from hyperprompt.testing import VecEnvConformance

mujoco = pytest.importorskip("mujoco")
gymnasium = pytest.importorskip("gymnasium.envs.mujoco.ant_v5")

from hyperprompt.envs.ant.vec_env import AntVecEnv  # noqa: E402


class TestTrainingBody(VecEnvConformance):
    time_limit = 1000
    reward_bound = 60.0
    steps = 1100

    def make_env(self, n_envs: int, seed: int) -> VecEnv:
        return make("ant/train-3", n_envs, seed)

    def is_first(self, observation: np.ndarray) -> bool:
        """At its height, upright, joints near 0, nothing touched yet."""
        body = sample("train", 3)
        at = 5 + 2 * body.legs
        joints, contacts = observation[5:at], observation[at + 6 + 2 * body.legs :]
        high = abs(observation[0] - body.initial_height) < 0.11
        return high and observation[1] > 0.85 and np.all(np.abs(joints) <= 0.1001) and not contacts.any()


class TestManyLegs(TestTrainingBody):
    def make_env(self, n_envs: int, seed: int) -> VecEnv:
        return make("ant/custom", n_envs, seed, legs=8)

    def is_first(self, observation: np.ndarray) -> bool:
        return abs(observation[0] - 0.75) < 0.11 and observation.shape == (17 + 22 * 8,)


class Reference:
    """Gymnasium's Ant-v5 for a body, put into the state that our environment 0 has."""

    def __init__(self, xml_file: str | None = None, **settings: object) -> None:
        self.env = gymnasium.AntEnv(**({} if xml_file is None else {"xml_file": xml_file}), **settings)
        self.env.reset(seed=0)

    def follow(self, ours: AntVecEnv) -> None:
        mujoco.mj_resetData(self.env.model, self.env.data)
        self.env.set_state(ours.data[0].qpos.copy(), ours.data[0].qvel.copy())


def same_episodes(ours: AntVecEnv, reference: Reference, steps: int, scale: float = 1.0) -> list[int]:
    """Asserts equal observations, rewards and ends, from equal first states on, without any correction in between."""
    rng, lengths = np.random.default_rng(0), []
    ours.reset()
    reference.follow(ours)
    for _ in range(steps):
        action = scale * rng.uniform(-1, 1, ours.action_space.shape).astype(np.float32)
        observations, rewards, dones, infos = ours.step(action[None])
        expected, reward, terminated, _, _ = reference.env.step(action)
        np.testing.assert_allclose(infos[0].get("terminal_observation", observations[0]), expected, rtol=1e-5, atol=1e-6)
        assert rewards[0] == pytest.approx(reward, rel=1e-5, abs=1e-5)
        assert (dones[0] and not infos[0]["TimeLimit.truncated"]) == terminated
        if dones[0]:
            lengths.append(infos[0]["episode"]["l"])
            reference.follow(ours)
    return lengths


def test_the_standard_body_is_ant_v5() -> None:
    lengths = same_episodes(AntVecEnv(Morphology(), 1, 0), Reference(), 1500)
    assert len(lengths) >= 3
    assert max(lengths) > 200, "whole episodes agree, not only the first few steps"


def test_the_default_task_is_the_standard_body_and_other_backends_are_ant_v5() -> None:
    env = make("ant/default", 2, 0)
    assert isinstance(env, AntVecEnv)
    assert env.morphology == Morphology()
    other = make("ant/default", 1, 0, backend="gymnasium")
    assert not isinstance(other, AntVecEnv)
    assert other.observation_space.shape == env.observation_space.shape
    other.close()


def test_the_standard_model_is_ant_v5s() -> None:
    """Masses, inertias, lengths, limits, motors: every number that enters the dynamics, bit by bit."""
    ours, theirs = mujoco.MjModel.from_xml_string(mjcf(Morphology())), Reference().env.model
    prefixes = ("body_", "dof_", "jnt_", "actuator_", "geom_", "qpos", "stat")
    looks = ("adr", "rgba", "matid", "user", "plugin")
    compared = 0
    for field in (f for f in dir(theirs) if f.startswith(prefixes) and not any(look in f for look in looks)):
        value = getattr(theirs, field)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(ours, field), value, err_msg=field)
            compared += 1
    assert compared > 60
    for option in ("timestep", "integrator", "solver", "iterations", "tolerance", "cone", "impratio"):
        assert getattr(ours.opt, option) == getattr(theirs.opt, option)


@pytest.mark.parametrize("name", ["train-0", "extrapolation-1"])
def test_another_body_is_gymnasiums_environment_for_its_model(name: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    split, k = name.split("-")
    body = sample(split, int(k))
    path = tmp_path / "ant.xml"
    path.write_text(mjcf(body))
    same_episodes(AntVecEnv(body, 1, 3), Reference(str(path), healthy_z_range=body.healthy_heights), 600)


def test_the_layout_of_observations_and_actions() -> None:
    body = Morphology(legs=5)
    env = AntVecEnv(body, 1, 0)
    first = env.reset()[0]
    assert env.observation_space.shape == (17 + 22 * 5,) == (body.observation_size,)
    assert env.action_space.shape == (10,)
    hip_1, ankle_3 = (mujoco.mj_name2id(env.model, mujoco.mjtObj.mjOBJ_JOINT, name) for name in ("hip_1", "ankle_3"))
    assert env.model.jnt_qposadr[hip_1] - 2 == 5
    assert env.model.jnt_dofadr[ankle_3] == 6 + 5
    np.testing.assert_array_equal(first[: 5 + 10], env.data[0].qpos[2:].astype(np.float32))
    motors = [env.model.joint(int(j)).name for j in env.model.actuator_trnid[:, 0]]
    assert motors[:4] == ["hip_5", "ankle_5", "hip_1", "ankle_1"]
    touched = set()
    for _ in range(100):
        forces = env.step(np.zeros((1, 10)))[0][0][5 + 10 + 6 + 10 :].reshape(16, 6)
        touched |= {env.model.body(int(i) + 1).name for i in np.flatnonzero(forces.any(axis=1))}
    assert touched == {f"shank_{i}" for i in range(1, 6)}, "it stands on its feet and on nothing else"


@pytest.mark.parametrize("split", SPLITS)
def test_bodies_stand_still(split: str) -> None:
    """Whole episodes without action: finite, healthy, and worth about one reward a step."""
    for k in range(4):
        stands_still(split, k)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "extrapolation"])
def test_many_bodies_stand_still(split: str) -> None:
    for k in range(100, 200):
        stands_still(split, k)


def stands_still(split: str, k: int) -> None:
    env = AntVecEnv(sample(split, k), 1, k)
    env.reset()
    zero = np.zeros((1, *env.action_space.shape))
    for _ in range(1000):
        observations, _, dones, infos = env.step(zero)
        assert np.isfinite(observations).all()
        if dones[0]:
            break
    assert infos[0]["episode"]["l"] == 1000, f"ant/{split}-{k} fell"
    assert infos[0]["TimeLimit.truncated"] is True
    assert 950 < infos[0]["episode"]["r"] < 1050


def test_a_diverging_simulation_ends_its_episode_alone() -> None:
    env = AntVecEnv(Morphology(), 3, 0)
    env.reset()
    env.data[1].qvel[:] = np.nan
    observations, rewards, dones, infos = env.step(np.zeros((3, 8)))
    assert dones.tolist() == [False, True, False]
    assert rewards[1] == 0.0
    assert infos[1]["TimeLimit.truncated"] is False
    assert np.isfinite(infos[1]["terminal_observation"]).all()
    for _ in range(20):
        observations, rewards, dones, _ = env.step(np.zeros((3, 8)))
        assert np.isfinite(observations).all()
        assert np.isfinite(rewards).all()
        assert not dones.any(), "the next episode begins afresh"


def test_a_wrong_number_of_actions_is_refused() -> None:
    env = AntVecEnv(Morphology(), 2, 0)
    env.reset()
    with pytest.raises(InvalidValue, match=r"\(2, 8\), got \(1, 8\)"):
        env.step(np.zeros((1, 8)))


@pytest.mark.slow
def test_its_environments_are_no_objects_and_it_has_a_name_all_the_same() -> None:
    env = make("ant/train-3", 2, 0)
    with pytest.raises(NoSubEnvironment, match="no separate objects"):
        env.env_method("render")
    assert env_name(PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu")) == "AntVecEnv"


def test_ppo_learns_on_a_training_body() -> None:
    """The mean return of the last episodes is far above the first ones'."""
    import torch

    torch.set_num_threads(1)
    env = make("ant/train-1", 16, 0)
    model = PPO("MlpPolicy", env, n_steps=128, batch_size=256, n_epochs=5, learning_rate=1e-3, seed=0, device="cpu")
    model.learn(10_000)
    before = np.mean([episode["r"] / episode["l"] for episode in model.ep_info_buffer])
    model.learn(80_000, reset_num_timesteps=False)
    after = np.mean([episode["r"] / episode["l"] for episode in list(model.ep_info_buffer)[-20:]])
    assert after > before + 0.2

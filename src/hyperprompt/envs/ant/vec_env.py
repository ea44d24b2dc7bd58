"""Ant-v5's task for any body, `n_envs` at a time, straight on MuJoCo."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from hyperprompt.envs.ant.body import mjcf
from hyperprompt.envs.ant.morphology import Morphology
from hyperprompt.envs.opaque import NoSubEnvironment
from hyperprompt.envs.seeding import draw, spread
from hyperprompt.errors import InvalidValue

FRAME_SKIP = 5
MAX_STEPS = 1000
CONTROL_COST = 0.5
CONTACT_COST = 5e-4
RESET_NOISE = 0.1


class AntVecEnv(VecEnv):
    """`n_envs` copies of one body: one model, one simulation state each, stepped in turn by one thread.

    Reward, termination, reset noise and observation are those of Gymnasium's Ant-v5, from the same quantities:

        r = (x' - x) / dt + [healthy] - 0.5 |a|^2 - 5e-4 |clip(f, -1, 1)|^2,    dt = 5 x 0.01 s

    with x the torso's position as of MuJoCo's last evaluation (Ant-v5's convention, a fraction of a time step old) and f the
    external forces and torques on every body. An episode terminates when the torso's centre leaves
    `Morphology.healthy_heights` and is truncated after 1,000 steps. It starts from joints and speeds 0 with noise, uniform
    (+-0.1) on positions, normal (0.1) on velocities.

    Observation, float32, for L legs (105 numbers for 4):
        [0, 5 + 2L)    position: height, orientation (quaternion w x y z), then hip and ankle of leg 1, 2, ... (rad)
        + 6 + 2L       velocity: linear (3, world frame), angular (3, body frame), then joints as above (rad/s)
        + 6 (1 + 3L)   torque (3) and force (3) from outside on torso, then coxa, thigh, shank of leg 1, 2, ..., in [-1, 1]
    Action: torque / gear for hip and ankle of leg L, then of legs 1, 2, ..., L - 1, in [-1, 1].

    A simulation that diverges (not seen for any sampled body) terminates its episode: reward 0, the non-finite numbers of the
    last observation 0.
    """

    def __init__(self, morphology: Morphology, n_envs: int, seed: int) -> None:
        self.morphology = morphology
        self.model = mujoco.MjModel.from_xml_string(mjcf(morphology))
        self.data = [mujoco.MjData(self.model) for _ in range(n_envs)]
        # Views into the simulator's memory, made once: an attribute access costs as much as a copy.
        self._views = [(d, d.ctrl, d.qpos[2:], d.qvel, d.cfrc_ext[1:].reshape(-1), d.xpos[1]) for d in self.data]
        self._dt = FRAME_SKIP * self.model.opt.timestep
        self._positions = self.model.nq - 2
        self._dynamics = self._positions + self.model.nv
        """Observations up to here are the state, from here on contact forces."""
        self._state = np.zeros((n_envs, morphology.observation_size))
        self._x = np.zeros(n_envs)
        self._actions = np.zeros((n_envs, self.model.nu))
        self._returns = np.zeros(n_envs)
        self._lengths = np.zeros(n_envs, dtype=np.int64)
        self._start = time.time()
        self.render_mode = None
        self._wanted_seed: int | None = seed
        self._rngs: list[np.random.Generator] = []
        super().__init__(
            n_envs,
            spaces.Box(-np.inf, np.inf, (morphology.observation_size,), np.float32),
            spaces.Box(-1.0, 1.0, (morphology.action_size,), np.float32),
        )

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Takes effect at the next `reset`, once, like every `VecEnv` of SB3. None draws one. Returns all seeds."""
        self._wanted_seed = draw() if seed is None else seed
        return list(spread(self._wanted_seed, self.num_envs))

    def reset(self) -> VecEnvObs:
        """Starts every environment anew. Returns the first observations, (n, observation size)."""
        if self._wanted_seed is not None:
            self._rngs = [np.random.default_rng(seed) for seed in spread(self._wanted_seed, self.num_envs)]
        self._wanted_seed = None
        self._returns[:] = 0.0
        self._lengths[:] = 0
        for i in range(self.num_envs):
            self._begin(i)
        return self._state.astype(np.float32)

    def step_async(self, actions: np.ndarray) -> None:
        """Takes (n, action size). Raises InvalidValue for another shape."""
        actions = np.asarray(actions, dtype=np.float64)
        if actions.shape != self._actions.shape:
            raise InvalidValue(f"the actions must have the shape {self._actions.shape}, got {actions.shape}")
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """One step of every environment: observations (n, size), rewards (n,), dones (n,), infos (n dicts)."""
        state, model, positions, dynamics = self._state, self.model, self._positions, self._dynamics
        x = np.empty(self.num_envs)
        for i, (data, control, qpos, qvel, forces, place) in enumerate(self._views):
            control[:] = self._actions[i]
            mujoco.mj_step(model, data, FRAME_SKIP)
            mujoco.mj_rnePostConstraint(model, data)  # MuJoCo fills in the external forces on request only
            row = state[i]
            row[:positions] = qpos
            row[positions:dynamics] = qvel
            row[dynamics:] = forces
            x[i] = place[0]
        forces_all = state[:, dynamics:]
        np.clip(forces_all, -1.0, 1.0, out=forces_all)
        low, high = self.morphology.healthy_heights
        healthy = (state[:, 0] >= low) & (state[:, 0] <= high)
        rewards = (
            (x - self._x) / self._dt
            + healthy
            - CONTROL_COST * np.einsum("ij,ij->i", self._actions, self._actions)
            - CONTACT_COST * np.einsum("ij,ij->i", forces_all, forces_all)
        )
        self._x = x
        if not np.isfinite(state.sum() + rewards.sum()):  # one sum is the cheapest look at all of them
            diverged = ~(np.isfinite(state).all(axis=1) & np.isfinite(rewards))
            healthy &= ~diverged
            rewards[diverged] = 0.0
            np.nan_to_num(state, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        self._returns += rewards
        self._lengths += 1
        dones = ~healthy | (self._lengths >= MAX_STEPS)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        observations = state.astype(np.float32)
        if dones.any():
            elapsed = round(time.time() - self._start, 6)
            for i in np.flatnonzero(dones).tolist():
                infos[i] = {
                    "terminal_observation": observations[i].copy(),
                    "TimeLimit.truncated": bool(healthy[i]),
                    "episode": {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": elapsed},
                }
                self._begin(i)
                observations[i] = self._state[i]
            self._returns[dones] = 0.0
            self._lengths[dones] = 0
        return observations, rewards.astype(np.float32), dones, infos

    def _begin(self, i: int) -> None:
        """A new episode in environment `i`, its first observation in row `i` of the state."""
        data, rng = self.data[i], self._rngs[i]
        mujoco.mj_resetData(self.model, data)
        data.qpos += rng.uniform(-RESET_NOISE, RESET_NOISE, self.model.nq)
        data.qvel += RESET_NOISE * rng.standard_normal(self.model.nv)
        mujoco.mj_forward(self.model, data)
        self._x[i] = data.xpos[1, 0]
        # No contact forces yet: Ant-v5 does not compute them at a reset either.
        self._state[i] = 0.0
        self._state[i, : self._positions] = data.qpos[2:]
        self._state[i, self._positions : self._dynamics] = data.qvel

    def close(self) -> None:
        """Nothing to release: the simulator's memory goes with the object."""

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """True for `Monitor` only: the infos carry what it would add, and SB3's `evaluate_policy` asks for it by name."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of this object (all environments share them). Raises AttributeError."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        raise NoSubEnvironment(f"cannot set {attr_name!r}: a body is fixed when its environments are made")

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        raise NoSubEnvironment(f"cannot call {method_name!r}: the environments of a body are no separate objects")

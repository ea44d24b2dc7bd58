"""N games of NetHack behind Stable-Baselines3's `VecEnv`, one after the other in this process.

Worker processes would not help: a step of a game takes some 10 microseconds, a fraction of what passing it on costs, and of
what PPO spends on it. NLE is not safe under threads.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from nle.nethack import BLSTATS_SHAPE, DUNGEON_SHAPE, MAX_GLYPH, MESSAGE_SHAPE
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from hyperprompt.envs.nethack.game import Game
from hyperprompt.envs.nethack.tasks import Task
from hyperprompt.envs.opaque import OpaqueVecEnv
from hyperprompt.envs.seeding import draw, spread
from hyperprompt.errors import InvalidValue

_INT32 = np.iinfo(np.int32)


def observation_space() -> spaces.Dict:
    """What an agent sees, in NLE's own terms; the encoder normalises.

    glyphs (21, 79) int16 in [0, 5976): the map; blstats (27,) int32: the bottom lines, `nle.nethack.NLE_BL_*`; message (256,)
    uint8: the line above the map as characters, padded with zeros.
    """
    return spaces.Dict(
        {
            "glyphs": spaces.Box(0, MAX_GLYPH, DUNGEON_SHAPE, np.int16),
            "blstats": spaces.Box(_INT32.min, _INT32.max, BLSTATS_SHAPE, np.int32),
            "message": spaces.Box(0, 255, MESSAGE_SHAPE, np.uint8),
        }
    )


class NetHackVecEnv(OpaqueVecEnv):
    """`n_envs` games of a task. A finished one is reset within the step that ends it; `infos` carry `terminal_observation`,
    `TimeLimit.truncated` and `episode`. Every episode follows from (seed, environment, number of the episode)."""

    def __init__(self, task: Task, n_envs: int, seed: int, character: str, max_episode_steps: int) -> None:
        self._games = [Game(task, character, max_episode_steps) for _ in range(n_envs)]
        self._actions: list[int] = []
        self._returns = np.zeros(n_envs, dtype=np.float64)
        self._lengths = np.zeros(n_envs, dtype=np.int64)
        self._start = time.time()
        self._task = task
        super().__init__(n_envs, observation_space(), spaces.Discrete(task.actions))
        self.seed(seed)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Takes effect at the next `reset`. None draws a seed. Returns the seed of each environment."""
        self._seeds = list(spread(draw() if seed is None else seed, self.num_envs))
        return self._seeds

    def reset(self) -> VecEnvObs:
        """Starts every game anew: after `seed` with its first episodes, otherwise with the following ones."""
        for game, seed in zip(self._games, self._seeds, strict=False):
            if seed is not None:
                game.seed(seed)
        self._reset_seeds()
        for game in self._games:
            game.reset()
        self._returns[:] = 0.0
        self._lengths[:] = 0
        return self._observe(self._games)

    def step_async(self, actions: np.ndarray) -> None:
        """Takes (n_envs,) whole numbers. Raises InvalidValue for another number of them, or one that is no action."""
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,):
            raise InvalidValue(f"{self.num_envs} environments need {self.num_envs} actions, got shape {actions.shape}")
        if actions.min() < 0 or actions.max() >= self._task.actions:
            raise InvalidValue(f"an action must be in 0..{self._task.actions - 1}, got {actions.min()}..{actions.max()}")
        self._actions = actions.tolist()

    def step_wait(self) -> VecEnvStepReturn:
        """One step of every game: observations, rewards (n,) float32, dones (n,), infos (n dicts)."""
        rewards = np.empty(self.num_envs)
        dones = np.zeros(self.num_envs, dtype=np.bool_)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i, (game, action) in enumerate(zip(self._games, self._actions, strict=True)):
            rewards[i], terminated, truncated = game.step(action)
            if terminated or truncated:
                dones[i] = True
                infos[i] = {
                    "terminal_observation": {key: part[0] for key, part in self._observe([game]).items()},
                    "TimeLimit.truncated": truncated,
                }
                game.reset()
        self._returns += rewards
        self._lengths += 1
        for i in np.flatnonzero(dones).tolist():
            seconds = round(time.time() - self._start, 6)
            infos[i]["episode"] = {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": seconds}
            self._returns[i], self._lengths[i] = 0.0, 0
        return self._observe(self._games), rewards.astype(np.float32), dones, infos

    def _observe(self, games: list[Game]) -> dict[str, np.ndarray]:
        """The games' observations, copied into new arrays, (n, ...)."""
        n = len(games)
        glyphs = np.empty((n, *DUNGEON_SHAPE), np.int16)
        blstats = np.empty((n, *BLSTATS_SHAPE), np.int32)
        message = np.empty((n, *MESSAGE_SHAPE), np.uint8)
        for i, game in enumerate(games):
            glyphs[i] = game.glyphs
            blstats[i] = game.blstats
            message[i] = game.message
        return {"glyphs": glyphs, "blstats": blstats, "message": message}

    def close(self) -> None:
        for game in self._games:
            game.close()

    def _opaque(self) -> tuple[str, str]:
        return self._task.gymnasium_id, "these games are no Gymnasium environments"

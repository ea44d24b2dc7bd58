"""One game of NetHack under the rules of one of NLE's tasks, without the Gymnasium environment that NLE puts around it.

NLE's own `step` copies every buffer, builds dictionaries and enumerations, and plays a truncated game to its end before it
hands over the last observation. The rules of its tasks are a few lines; a test plays both side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from nle import nethack
from nle.env import tasks as nle_tasks

from hyperprompt.envs.nethack.tasks import Task

_SPACE, _ESCAPE = 32, 27
_DECLINED_BUT = (b"eat", b"attack", b"direction?", b"pray")
"""Parts of the questions that are the agent's to answer in every task."""
_OVER, _PLAYING = 0, 3  # fields of program_state: game over, moves are being taken
_QUESTION, _TEXT, _MORE, _ON_STAIRS, _NUTRITION = 1, 2, 3, 4, 7  # fields of internal
_START_TRIES = 1000
_KEYS = ("glyphs", "blstats", "message", "program_state", "internal")


class Game:
    """One game after the other. `glyphs` (21, 79) int16, `blstats` (27,) int64 and `message` (256,) uint8 are NetHack's own
    buffers, there from the first reset on, and overwritten by every step and reset.

    Each episode has seeds of its own, derived from (seed, number of the episode). The moon's phase and Friday the 13th,
    which NetHack takes from the clock, follow from the seeds too.
    """

    def __init__(self, task: Task, character: str, max_episode_steps: int) -> None:
        self._task = task
        self._limit = max_episode_steps
        actions = nethack.ACTIONS if task.all_modes else nle_tasks.TASK_ACTIONS
        self._keys = [int(key) for key in actions]
        # ttyrec=None: nothing is recorded. NLE fills only the buffers it is asked for.
        self._nethack: Any = nethack.Nethack(_KEYS, "Agent-" + character, ttyrec=None, fix_moon_phase=True)
        self._press = self._nethack.step
        self.seed(0)

    def seed(self, seed: int) -> None:
        """The next `reset` begins the first episode of this seed."""
        self._seed = seed
        self._episode = 0

    def reset(self) -> None:
        """Begins the next episode."""
        for _ in range(_START_TRIES):
            core, display = np.random.SeedSequence([self._seed, self._episode]).generate_state(2)
            self._episode += 1
            self._nethack.set_initial_seeds(int(core), int(display), False)
            self.glyphs, self.blstats, self.message, self._state, self._internal = self._nethack.reset()
            if self._start():
                break
        else:
            raise RuntimeError(f"NetHack did not start in {_START_TRIES} tries")
        self._steps = self._idle = 0

    def _start(self) -> bool:
        """Goes past the opening messages. False if the game does not begin: it can ask for a name, endlessly."""
        done = False
        for _ in range(_START_TRIES):
            if self._state[_PLAYING] or done:
                break
            _, done = self._press(_SPACE)
        return bool(self._state[_PLAYING]) and not done

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Presses the key of `action`. Returns (reward, terminated, truncated), of which at most one flag is set.

        A game that is over by death or by success at the step of the time limit is terminated, not truncated, unlike in NLE,
        which calls every end of an episode a termination.
        """
        task, blstats, internal = self._task, self.blstats, self._internal
        time, score, nutrition = blstats[nethack.NLE_BL_TIME], blstats[nethack.NLE_BL_SCORE], internal[_NUTRITION]
        _, over = self._press(self._keys[action])
        if not task.all_modes or self._state[_OVER] == 1:
            over = self._skip(over)
        self._steps += 1
        idle = time == blstats[nethack.NLE_BL_TIME]
        self._idle = self._idle + 1 if idle else 0
        reward = task.penalty if idle else 0.0
        truncated = not over and (self._steps >= self._limit or self._idle == task.patience)
        if task.reward == "staircase":
            if internal[_ON_STAIRS] and not over:
                return reward + 1.0, True, False
        elif self._nethack.in_normal_game():  # the statistics of a game that is over are zeros
            if task.reward == "score":
                reward += float(blstats[nethack.NLE_BL_SCORE] - score)
            else:
                reward += max(0.0, float(internal[_NUTRITION] - nutrition))
        elif task.reward == "eat":
            reward = 0.0
        return reward, over, truncated

    def _skip(self, over: bool) -> bool:
        """Answers what is not the agent's to answer, as NLE does. Returns whether the game is over."""
        internal = self._internal
        while not over:
            if internal[_MORE]:
                _, over = self._press(_SPACE)
            elif internal[_TEXT]:
                _, over = self._press(_ESCAPE)
            else:
                if internal[_QUESTION] and not self._task.all_modes:
                    message = self.message.tobytes()
                    if not any(part in message for part in _DECLINED_BUT):
                        _, over = self._press(_ESCAPE)
                break
        return bool(over)

    def close(self) -> None:
        self._nethack.close()

"""The tasks as NLE defines them, and NetHack's characters, as tables: neither needs NLE to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal


@dataclass(frozen=True)
class Task:
    """What tells one of NLE's tasks from another."""

    gymnasium_id: str
    actions: int
    """Number of actions: 23 of moving, kicking, eating and searching, or all 121 keys."""
    reward: Literal["score", "staircase", "eat"]
    """Gain in points; 1 for standing on the stairs down, which ends the episode; gain in nutrition."""
    penalty: float
    """Added to the reward of a step that takes no game time."""
    all_modes: bool
    """Whether menus, questions and --More-- are the agent's to answer; otherwise they are skipped."""
    character: str
    max_episode_steps: int
    patience: int | None = None
    """Steps without game time after which an episode is truncated."""


TASKS: dict[str, Task] = {
    "nethack/score": Task("NetHackScore-v0", 23, "score", -0.01, False, "mon-hum-neu-mal", 5_000),
    "nethack/staircase": Task("NetHackStaircase-v0", 23, "staircase", -0.01, False, "mon-hum-neu-mal", 5_000),
    "nethack/eat": Task("NetHackEat-v0", 23, "eat", -0.01, False, "mon-hum-neu-mal", 5_000),
    "nethack/challenge": Task("NetHackChallenge-v0", 121, "score", 0.0, True, "@", 1_000_000, 10_000),
}

RANDOM = "@"
_RACES = {"hum": "law neu cha", "elf": "cha", "dwa": "law", "gno": "neu", "orc": "cha"}
"""Race -> the alignments it may have."""
_ROLES = {
    "arc": ("hum dwa gno", "law neu"),
    "bar": ("hum orc", "neu cha"),
    "cav": ("hum dwa gno", "law neu"),
    "hea": ("hum gno", "neu"),
    "kni": ("hum", "law"),
    "mon": ("hum", "law neu cha"),
    "pri": ("hum elf", "law neu cha"),
    "ran": ("hum elf gno orc", "neu cha"),
    "rog": ("hum orc", "cha"),
    "sam": ("hum", "law"),
    "tou": ("hum", "neu"),
    "val": ("hum dwa", "law neu"),
    "wiz": ("hum elf gno orc", "neu cha"),
}
"""Role -> its races and its alignments. Valkyries are female, the others of either gender."""


@cache
def characters() -> tuple[str, ...]:
    """Every character NetHack 3.6 lets one begin with, as NLE spells it, and "@"."""
    found = [RANDOM]
    for role, (races, alignments) in _ROLES.items():
        for race in races.split():
            for alignment in alignments.split():
                if alignment in _RACES[race].split():
                    found += [f"{role}-{race}-{alignment}-{g}" for g in ("mal", "fem") if (role, g) != ("val", "mal")]
    return tuple(found)

"""Procgen: 16 games with generated levels, through EnvPool. `procgen/<game>`, with the options `mode` and `levels`.

mode:   "easy" (default; what is published for 25M steps) or "hard".
levels: "train", the 200 levels [0, 200) that agents are published to train on (default); "test", all levels from 200 on,
        disjoint from those by construction; or [first, end), any range of level seeds. An episode plays one level of the
        range, drawn uniformly.

Observations are (3, 64, 64) uint8, channels first: SB3's convolutional policies take them as they are, and EnvPool draws
either layout at the same speed. An episode that reaches the game's time limit is truncated (Procgen itself calls it done).
Source: Cobbe et al. 2020, Leveraging Procedural Generation to Benchmark Reinforcement Learning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hyperprompt.envs.catalogue import Backend, EnvInfo, info
from hyperprompt.errors import InvalidValue, MissingDependency, UnknownName

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

FAMILY = "procgen"
MAIN_SUITE = (
    *("coinrun", "starpilot", "bigfish", "bossfight", "caveflyer"),
    *("chaser", "climber", "dodgeball", "fruitbot", "miner"),
)
OTHERS = ("heist", "jumper", "leaper", "maze", "ninja", "plunder")
GAMES = MAIN_SUITE + OTHERS
MODES = ("easy", "hard")
OPTIONS = ("mode", "levels")

TRAIN_LEVELS = (0, 200)
LEVEL_END = 2**31 - 1
"""One past the last level seed."""
TEST_LEVELS = (TRAIN_LEVELS[1], LEVEL_END)
TEST_OPTIONS: Mapping[str, Any] = {"levels": "test"}
"""The unseen variant of a task: the generalisation gap is a return under the task's own options minus one under these."""

TIME_LIMITS = {"bigfish": 6000, "bossfight": 4000, "plunder": 4000, "leaper": 500, "maze": 500}
TIME_LIMIT = 1000
"""Of the games without a limit of their own; in steps."""
STEPS = 200_000
"""T: what a CPU affords; `constants.yaml` says on which games that is enough. Published runs take 25M."""
OBSERVATION_SHAPE = (3, 64, 64)
ACTIONS = 15


def make(name: str, n_envs: int, seed: int, backend: Backend, options: Mapping[str, Any]) -> VecEnv:
    """See `hyperprompt.envs.make.make`.

    Raises InvalidValue for a backend, MissingDependency (EnvPool or the Qt 5 libraries that it draws with).
    """
    if backend == "gymnasium":
        raise InvalidValue(f"{name!r} runs on EnvPool only: take backend 'auto' or 'envpool'")
    if find_spec("envpool") is None:
        raise MissingDependency(f"the task {name!r}", FAMILY)
    from hyperprompt.envs.envpool import EnvPoolVecEnv
    from hyperprompt.envs.procgen import qt

    qt.load(name)
    first, end = level_range(options.get("levels", "train"))
    task = f"{name.removeprefix(FAMILY + '/').capitalize()}{options.get('mode', 'easy').capitalize()}-v0"
    return EnvPoolVecEnv(task, n_envs, seed, start_level=first, num_levels=end - first)


def exists(name: str, options: Mapping[str, Any]) -> None:
    """Raises UnknownName for a game or an option, InvalidValue for an option's value. Builds nothing."""
    if name.removeprefix(FAMILY + "/") not in GAMES or not name.startswith(FAMILY + "/"):
        raise UnknownName("Procgen game", name, (f"{FAMILY}/{game}" for game in GAMES))
    for option in options:
        if option not in OPTIONS:
            raise UnknownName(f"option of {name}", option, OPTIONS)
    mode = options.get("mode", "easy")
    if mode not in MODES:
        raise InvalidValue(f"mode of {name} is one of {', '.join(MODES)}, not {mode!r}")
    level_range(options.get("levels", "train"))


def level_range(levels: object) -> tuple[int, int]:
    """The option `levels` as the range [first, end) of level seeds.

    Raises InvalidValue for anything but "train", "test" or two whole numbers 0 <= first < end <= LEVEL_END.
    """
    if levels == "train":
        return TRAIN_LEVELS
    if levels == "test":
        return TEST_LEVELS
    # An end of 0 would mean "all levels" to Procgen, and a negative count is undefined: neither gets through.
    if isinstance(levels, Sequence) and not isinstance(levels, str) and len(levels) == 2:
        first, end = levels
        if type(first) is int and type(end) is int and 0 <= first < end <= LEVEL_END:
            return first, end
    raise InvalidValue(f"levels is 'train', 'test' or [first, end) with 0 <= first < end <= {LEVEL_END}, not {levels!r}")


def time_limit(name: str) -> int:
    """Steps after which an episode of the game is truncated."""
    return TIME_LIMITS.get(name.removeprefix(FAMILY + "/"), TIME_LIMIT)


def list_envs() -> list[EnvInfo]:
    """All 16 games, the main suite first."""
    backend, install = _installation()
    return [
        info(f"{FAMILY}/{game}", FAMILY, backend, "discrete", ACTIONS, "image", OBSERVATION_SHAPE, STEPS, install)
        for game in GAMES
    ]


def describe(name: str, options: Mapping[str, Any]) -> EnvInfo:
    """From the table: every game and mode has the same spaces."""
    exists(name, options)
    return next(entry for entry in list_envs() if entry.name == name)


def _installation() -> tuple[str, str]:
    """(backend, install) of `EnvInfo`."""
    from hyperprompt.envs.procgen import qt

    if find_spec("envpool") is None:
        return "", qt.WHEEL
    remedy = qt.remedy()
    return ("", remedy) if remedy else ("envpool", "")

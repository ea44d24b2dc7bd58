"""Procgen: the contract, the options, what levels are seen, time limits, and Qt present or absent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import VecEnv

from hyperprompt.envs import procgen
from hyperprompt.envs.make import describe, exists, make
from hyperprompt.errors import InvalidValue, MissingDependency, UnknownName
from hyperprompt.testing import VecEnvConformance

runs = pytest.mark.skipif(procgen.list_envs()[0].backend == "", reason="extra procgen not installed")


def random_returns(name: str, n_envs: int, steps: int, **options: Any) -> list[float]:
    env = make(name, n_envs, 0, **options)
    env.reset()
    rng = np.random.default_rng(0)
    returns = []
    for _ in range(steps):
        _, _, dones, infos = env.step(rng.integers(0, procgen.ACTIONS, n_envs))
        returns += [infos[i]["episode"]["r"] for i in np.flatnonzero(dones)]
    env.close()
    return returns


@cache
def first_frames(game: str, first: int, end: int) -> frozenset[bytes]:
    """How each level of the range begins."""
    return frozenset(make(f"procgen/{game}", 1, 0, levels=[k, k + 1]).reset().tobytes() for k in range(first, end))


@runs
class TestStarpilot(VecEnvConformance):
    time_limit = 1000

    def make_env(self, n_envs: int, seed: int) -> VecEnv:
        return make("procgen/starpilot", n_envs, seed)


@runs
class TestEpisodesBeginWithALevelOfTheRange(VecEnvConformance):
    """Fruitbot in hard mode with ten levels, every one of which is known by its first frame."""

    time_limit = 1000
    starts_differ = False

    def make_env(self, n_envs: int, seed: int) -> VecEnv:
        return make("procgen/fruitbot", n_envs, seed, levels=[50, 60])

    def is_first(self, observation: np.ndarray | dict[str, np.ndarray]) -> bool:
        assert isinstance(observation, np.ndarray)
        return observation.tobytes() in first_frames("fruitbot", 50, 60)


def test_the_listing() -> None:
    listed = procgen.list_envs()
    assert len({entry.name for entry in listed}) == 16
    assert [entry.name for entry in listed[:10]] == [f"procgen/{game}" for game in procgen.MAIN_SUITE]
    assert all(bool(entry.install) == (entry.backend == "") for entry in listed)
    assert describe("procgen/maze", mode="hard") == next(entry for entry in listed if entry.name == "procgen/maze")


@runs
@pytest.mark.parametrize("mode", procgen.MODES)
@pytest.mark.parametrize("game", procgen.GAMES)
def test_every_game_runs_as_it_is_described(game: str, mode: str) -> None:
    env = make(f"procgen/{game}", 2, 0, mode=mode)
    described = describe(f"procgen/{game}", mode=mode)
    assert is_image_space(env.observation_space)
    assert env.observation_space.shape == described.observation_shape
    assert env.action_space.n == described.action_size
    observations = env.reset()
    assert observations.dtype == np.uint8
    assert observations.std() > 5, "a picture, not a blank"
    assert not np.array_equal(observations[0], observations[1])
    env.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": [200, 0]}, "first < end"),
        ({"levels": [-5, 10]}, "0 <= first"),
        ({"levels": [3, 3]}, "first < end"),
        ({"levels": [0, 2**31]}, "2147483647"),
        ({"levels": [0, 1.5]}, "1.5"),
        ({"levels": [0]}, "'train', 'test'"),
        ({"levels": "unseen"}, "'unseen'"),
        ({"levels": 200}, "200"),
        ({"mode": "extreme"}, "easy, hard"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        exists("procgen/coinrun", **options)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'procgen/coinrun'"):
        make("procgen/coinrum", 1, 0)
    with pytest.raises(UnknownName, match="Did you mean 'levels'"):
        make("procgen/coinrun", 1, 0, level=[0, 1])
    with pytest.raises(InvalidValue, match="EnvPool only"):
        make("procgen/coinrun", 1, 0, "gymnasium")


@runs
@pytest.mark.parametrize("options", [{}, procgen.TEST_OPTIONS, {"levels": [900, 905]}])
def test_only_levels_of_the_range_are_played(options: Mapping[str, Any]) -> None:
    first, end = procgen.level_range(options.get("levels", "train"))
    env = make("procgen/starpilot", 16, 0, **options)
    env.reset()
    rng = np.random.default_rng(0)
    seen: set[int] = set()
    for _ in range(400):
        pool_infos = env._pool.step(rng.integers(0, procgen.ACTIONS, 16))[4]  # type: ignore[attr-defined]
        seen.update(pool_infos["level_seed"].tolist())
    assert min(seen) >= first
    assert max(seen) < end
    assert len(seen) == 5 if end - first == 5 else len(seen) > 40, "and not always the same ones"


@runs
def test_training_and_test_levels_look_different() -> None:
    known = first_frames("coinrun", 0, 200)
    assert len(known) > 190, "two or three begin alike"
    assert all(o.tobytes() in known for o in make("procgen/coinrun", 32, 0).reset())
    assert not any(o.tobytes() in known for o in make("procgen/coinrun", 32, 0, levels="test").reset())


@runs
def test_modes_differ() -> None:
    easy, hard = (make("procgen/coinrun", 4, 0, mode=mode).reset() for mode in procgen.MODES)
    assert not np.array_equal(easy, hard)


@runs
@pytest.mark.parametrize("game", ["maze", "coinrun", "heist"])
def test_episodes_are_truncated_at_the_time_limit(game: str) -> None:
    """Standing still: nothing else ends these games."""
    env = make(f"procgen/{game}", 3, 0)
    first, limit = env.reset(), procgen.time_limit(game)
    for step in range(1, limit + 2):
        observations, rewards, dones, infos = env.step(np.full(3, 4))
        assert dones.all() == dones.any() == (step == limit)
        assert not rewards.any()
        if step == limit:
            for i in range(3):
                assert infos[i]["TimeLimit.truncated"] is True
                assert infos[i]["episode"]["l"] == limit
                # The picture of the last step: still the level that began, and not the next one.
                last = infos[i]["terminal_observation"]
                assert np.abs(last.astype(int) - first[i]).mean() < np.abs(last.astype(int) - observations[i]).mean()


@runs
@pytest.mark.parametrize(
    ("game", "steps", "low", "high"),
    [  # published minima of the easy mode (Cobbe et al. 2020, table of normalisation constants): what random play gets
        ("starpilot", 500, 1.5, 3.5),  # 2.5
        ("bigfish", 800, 0.5, 1.5),  # 1
        ("fruitbot", 500, -4.0, -1.0),  # -1.5
        ("leaper", 500, 1.5, 4.5),  # 3
    ],
)
def test_random_play_scores_what_is_published(game: str, steps: int, low: float, high: float) -> None:
    returns = random_returns(f"procgen/{game}", 32, steps, levels=[0, procgen.LEVEL_END])
    assert len(returns) > 50
    assert low < np.mean(returns) < high


def in_a_fresh_process(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@runs
def test_an_earlier_import_of_envpool_does_no_harm() -> None:
    done = in_a_fresh_process(
        "import envpool; from hyperprompt.envs.make import make;print(make('procgen/maze', 2, 0).reset().shape)"
    )
    assert done.stdout.strip() == "(2, 3, 64, 64)", done.stderr


def test_without_qt_one_message_names_both_remedies() -> None:
    """A process in which neither the loader nor pip knows Qt."""
    pytest.importorskip("envpool")
    done = in_a_fresh_process(
        "from hyperprompt.envs import procgen; from hyperprompt.envs.procgen import qt\n"
        "qt.CORE = qt.GUI = 'libQt5Nowhere.so.5'\n"
        "from hyperprompt.envs.make import make\n"
        "print({entry.backend for entry in procgen.list_envs()}, procgen.list_envs()[0].install)\n"
        "from hyperprompt.errors import MissingDependency\n"
        "try: make('procgen/maze', 2, 0)\n"
        "except MissingDependency as error: print(error)\n"
    )
    listing, message = done.stdout.strip().split("\n")
    assert listing == "{''} pip install 'hyperprompt[procgen]'"
    assert "procgen/maze" in message
    assert "pip install 'hyperprompt[procgen]'" in message
    assert "apt-get install libqt5gui5" in message


def test_a_wheel_that_lacks_system_libraries_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from hyperprompt.envs.procgen import qt

    libraries = tmp_path / "Qt5" / "lib"
    libraries.mkdir(parents=True)
    for name in ("libQt5NowhereCore.so.5", "libQt5NowhereGui.so.5"):
        (libraries / name).write_bytes(b"not a library")
    monkeypatch.setattr(qt, "CORE", "libQt5NowhereCore.so.5")
    monkeypatch.setattr(qt, "GUI", "libQt5NowhereGui.so.5")
    monkeypatch.setattr(qt, "wheel_folder", lambda: libraries)
    qt._load_libraries.cache_clear()
    try:
        with pytest.raises(MissingDependency, match=r"apt-get install libgl1 libglib2\.0-0, or apt-get install libqt5gui5"):
            qt.load("procgen/maze")
        assert qt.remedy() == "apt-get install libgl1 libglib2.0-0"
    finally:
        qt._load_libraries.cache_clear()

"""Names, families, the listing, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest

from hyperprompt.envs import make as envs
from hyperprompt.envs import plain
from hyperprompt.envs.catalogue import EnvInfo, describe_spaces
from hyperprompt.envs.seeding import spread
from hyperprompt.errors import HyperPromptError, InvalidValue, MissingDependency, UnknownName


@pytest.fixture
def no_envpool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_envpool_installed", lambda: False)


@pytest.mark.parametrize("info", envs.list_envs(), ids=lambda info: info.name)
def test_the_listing_says_what_the_environments_are(info: EnvInfo) -> None:
    if not info.backend:
        pytest.skip("not installed here")
    try:
        env = envs.make(info.name, 1, 0)
    except MissingDependency as error:
        pytest.skip(str(error))
    seen = describe_spaces(info.name, info.family, info.backend, env.observation_space, env.action_space, info.steps)
    assert replace(seen, algorithm=info.algorithm) == info
    assert envs.describe(info.name) == info
    assert info.algorithm.removeprefix("sbx-") in ("ppo", seen.algorithm), "SAC cannot act in discrete spaces"
    env.close()


def test_listing_without_envpool(no_envpool: None) -> None:
    backends = {info.name: info.backend for info in envs.list_envs()}
    assert backends["CartPole-v1"] == "gymnasium"
    assert backends["Catch-v0"] == ""


def test_names_are_checked_without_torch() -> None:
    code = (
        "import sys\n"
        "from hyperprompt.envs.make import exists, list_envs\n"
        "from hyperprompt.errors import UnknownName\n"
        "list_envs(); exists('CartPole-v1'); exists('Ant-v5'); exists('FrozenLake-v1')\n"
        "try: exists('CartPoel-v1')\n"
        "except UnknownName as error: print(error)\n"
        "assert not {'torch', 'stable_baselines3'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Did you mean 'CartPole-v1'?" in done.stdout


@pytest.mark.parametrize("name", ["CartPole", "CartPole-v99", "no/such", "", "no:such-v0", "LunarLanderr-v3", "a b", "/"])
def test_unknown_names(name: str) -> None:
    for function in (envs.exists, envs.describe, lambda n: envs.make(n, 1, 0)):
        with pytest.raises(UnknownName, match="CartPole-v1") as caught:
            function(name)
        assert len(str(caught.value)) < 1000, "the valid names are a choice, not all 1,700"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("CartPole-v1", 0, 0), InvalidValue, "n_envs must be at least 1, got 0"),
        (("CartPole-v1", -3, 0), InvalidValue, "got -3"),
        (("CartPole-v1", 1, -1), InvalidValue, "seed must not be negative, got -1"),
        (("CartPole-v1", 1, 0, "envpoool"), UnknownName, "Did you mean 'envpool'"),
        (("Breakout-v5", 1, 0, "gymnasium"), UnknownName, "unknown Gymnasium task"),
    ],
)
def test_bad_arguments(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        envs.make(*arguments)
    assert isinstance(caught.value, HyperPromptError)


def test_without_envpool_gymnasium_takes_over(no_envpool: None) -> None:
    env = envs.make("CartPole-v1", 2, 0)
    assert env.reset().shape == (2, 4)
    with pytest.raises(MissingDependency, match=r"hyperprompt\[envs\]"):
        envs.make("CartPole-v1", 2, 0, "envpool")
    with pytest.raises(MissingDependency, match="Catch-v0"):
        envs.make("Catch-v0", 2, 0)


def test_a_missing_physics_engine_names_the_extra(no_envpool: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise gymnasium.error.DependencyNotInstalled("Box2D is not installed")

    monkeypatch.setattr(gymnasium, "make", absent)
    with pytest.raises(MissingDependency, match=r"LunarLander-v3.*Box2D.*hyperprompt\[envs\]"):
        envs.make("LunarLander-v3", 1, 0)


def test_ids_that_only_gymnasium_has() -> None:
    class Corridor(gymnasium.Env):  # type: ignore[type-arg]
        observation_space = gymnasium.spaces.Box(0, 9, (1,), np.float64)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(
            self, *, seed: int | None = None, options: dict[str, Any] | None = None
        ) -> tuple[np.ndarray, dict[str, Any]]:
            super().reset(seed=seed)
            self.at = float(self.np_random.integers(3))
            return np.array([self.at]), {}

        def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            self.at += 1
            return np.array([self.at]), float(action), self.at >= 9, False, {}

    gymnasium.register("HyperPromptCorridor-v0", Corridor)
    try:
        envs.exists("HyperPromptCorridor-v0")
        env = envs.make("HyperPromptCorridor-v0", 3, 0)
        assert env.reset().dtype == np.float32 == env.observation_space.dtype
        assert envs.describe("HyperPromptCorridor-v0") == EnvInfo(
            "HyperPromptCorridor-v0", "plain", "gymnasium", "discrete", 2, "vector", (1,), "ppo", 100_000, 4166
        )
        with pytest.raises(UnknownName, match="unknown EnvPool task"):
            envs.make("HyperPromptCorridor-v0", 3, 0, "envpool")
    finally:
        gymnasium.registry.pop("HyperPromptCorridor-v0")


def test_families_are_told_by_their_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    toy = SimpleNamespace(make=lambda *a: calls.append(a), exists=lambda name, options: None, list_envs=list, describe=None)
    monkeypatch.setitem(sys.modules, "a_toy_family", toy)  # type: ignore[arg-type]
    monkeypatch.setitem(envs.FAMILIES, "toy", "a_toy_family")
    assert (envs.family("toy/x"), envs.family("ALE/Pong-v5"), envs.family("CartPole-v1")) == ("toy", "plain", "plain")
    envs.make("toy/x", 2, 4, size=3)
    assert calls == [("toy/x", 2, 4, "auto", {"size": 3})]


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("procgen/bigfihs", {}, UnknownName, "Did you mean 'procgen/bigfish'"),
        ("procgen/bigfish", {"levels": [200, 0]}, InvalidValue, "0 <= first < end"),
        ("procgen/bigfish", {"levels": "tset"}, InvalidValue, "'train', 'test'"),
        ("procgen/bigfish", {"mode": "medium"}, InvalidValue, "easy, hard"),
        ("procgen/bigfish", {"level": 3}, UnknownName, "Did you mean 'levels'"),
        ("nethack/scor", {}, UnknownName, "Did you mean 'nethack/score'"),
        ("nethack/score", {"character": "val-dwa-law-mal"}, InvalidValue, "valid: "),
        ("nethack/score", {"max_episode_steps": 0}, InvalidValue, "at least 1"),
        ("ant/trian-3", {}, UnknownName, "ant/train-<k>"),
        ("ant/train--1", {}, UnknownName, "ant/train-<k>"),
        ("ant/custom", {"legs": 0}, InvalidValue, "legs"),
        ("ant/custom", {"legz": 4}, UnknownName, "Did you mean 'legs'"),
        ("ant/default", {"legs": 4}, UnknownName, "ant/custom"),
        ("CartPole-v1", {"legs": 4}, UnknownName, "option of CartPole-v1"),
    ],
)
def test_impossible_tasks_are_refused_before_anything_is_built(
    name: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    for function in (envs.exists, envs.describe, lambda n, **o: envs.make(n, 1, 0, **o)):
        with pytest.raises(error, match=message):
            function(name, **options)


def test_only_procgen_keeps_levels_apart() -> None:
    assert envs.unseen("procgen/coinrun") == {"levels": "test"}
    assert not envs.unseen("nethack/score")
    assert not envs.unseen("CartPole-v1")


def test_spread_seeds() -> None:
    assert spread(3, 4) == spread(3, 4)
    assert spread(3, 4) == spread(3, 8)[:4]
    everything = [seed for run in range(50) for seed in spread(run, 64)]
    assert len(set(everything)) == len(everything)
    assert all(0 <= seed < 2**31 for seed in everything)

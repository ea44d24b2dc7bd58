"""NetHack through NLE: the contract of `make`, NLE's own rules beside ours, seeds over whole runs, options."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

from hyperprompt.envs.catalogue import describe_spaces
from hyperprompt.envs.make import describe, exists, list_envs, make
from hyperprompt.envs.nethack.tasks import TASKS, characters
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.testing import VecEnvConformance

if find_spec("nle") is None:
    pytest.skip("NLE is not installed", allow_module_level=True)

BLSTATS_SCORE, BLSTATS_TIME, BLSTATS_ALIGNMENT = 9, 20, 26


class TestScore(VecEnvConformance):
    steps = 400
    episodes = 15
    time_limit = 100

    def make_env(self, n_envs: int, seed: int) -> VecEnv:
        return make("nethack/score", n_envs, seed, max_episode_steps=100)

    def is_first(self, observation: Any) -> bool:
        return bool(observation["blstats"][BLSTATS_TIME] == 1 and observation["blstats"][BLSTATS_SCORE] == 0)


class TestChallenge(TestScore):
    def make_env(self, n_envs: int, seed: int) -> VecEnv:
        return make("nethack/challenge", n_envs, seed, max_episode_steps=100)

    def is_first(self, observation: Any) -> bool:
        return bool(observation["blstats"][BLSTATS_TIME] == 1)


def trace(env: VecEnv, steps: int, seed: int = 0) -> tuple[list[np.ndarray], int]:
    """Everything a random policy sees, and the number of episodes that ended."""
    rng = np.random.default_rng(seed)
    seen, ended = [*env.reset().values()], 0  # type: ignore[union-attr]
    for _ in range(steps):
        observations, rewards, dones, infos = env.step(rng.integers(0, env.action_space.n, env.num_envs))  # type: ignore[attr-defined]
        seen += [*observations.values(), rewards, dones]  # type: ignore[union-attr]
        seen += [part for i in infos if "episode" in i for part in i["terminal_observation"].values()]
        ended += int(dones.sum())
    env.close()
    return seen, ended


@pytest.mark.parametrize("name", TASKS)
def test_a_whole_run_repeats(name: str) -> None:
    """Also in its later episodes, which NLE would seed from the operating system."""
    limit = {"max_episode_steps": 150}
    (first, ended), (again, _) = (trace(make(name, 2, 11, **limit), 700) for _ in range(2))
    assert ended >= 8
    assert len(first) == len(again)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_episode_is_another_one() -> None:
    env = make("nethack/score", 1, 3, max_episode_steps=5)
    firsts = [env.reset()]
    for _ in range(40):
        observations, _, dones, _ = env.step(np.zeros(1, int))
        if dones[0]:
            firsts.append(observations)
    env.close()
    maps = {o["glyphs"].tobytes() for o in firsts}  # type: ignore[call-overload, index, union-attr]
    assert len(maps) == len(firsts) == 9


@pytest.mark.parametrize("name", ["nethack/score", "nethack/staircase", "nethack/eat"])
def test_rules_are_those_of_nle(name: str) -> None:
    """The same seeds and actions in NLE's own environment: equal observations, rewards and ends."""
    import gymnasium
    import nle  # noqa: F401  (registers its environments)

    from hyperprompt.envs.nethack.game import Game

    task = TASKS[name]
    # NLE's other observations are left out: describing the screen lets the hero know things, so it changes the game.
    keys = ("glyphs", "blstats", "message")
    theirs: Any = gymnasium.make(
        task.gymnasium_id, observation_keys=keys, fix_moon_phase=True, disable_env_checker=True
    ).unwrapped
    ours = Game(task, task.character, task.max_episode_steps)
    ours.seed(4)
    rng = np.random.default_rng(0)
    deaths = successes = gains = 0
    for episode in range(4):
        core, display = (int(word) for word in np.random.SeedSequence([4, episode]).generate_state(2))
        theirs.seed(core, display, reseed=False)
        expected, _ = theirs.reset()
        ours.reset()
        for _ in range(2500):
            np.testing.assert_array_equal(ours.glyphs, expected["glyphs"])
            np.testing.assert_array_equal(ours.blstats, expected["blstats"])
            np.testing.assert_array_equal(ours.message, expected["message"])
            action = int(rng.integers(0, task.actions))
            expected, reward, done, _, info = theirs.step(action)
            ours_reward, terminated, truncated = ours.step(action)
            assert ours_reward == pytest.approx(reward, abs=1e-9)
            assert terminated == done
            assert not truncated
            gains += reward > 0
            if done:
                deaths += int(info["end_status"]) == 1
                successes += int(info["end_status"]) == 2
                break
    theirs.close()
    ours.close()
    assert gains > 0 or name == "nethack/eat"
    assert deaths + successes > 0


def test_challenge_leaves_everything_to_the_agent() -> None:
    """As in NLE's challenge, whose class refuses seeds; so the buffers of the same game are compared under NLE's own one."""
    from nle import nethack

    from hyperprompt.envs.nethack.game import Game

    task = TASKS["nethack/challenge"]
    ours = Game(task, task.character, task.max_episode_steps)
    ours.seed(1)
    ours.reset()
    raw = nethack.Nethack(("glyphs", "blstats", "message", "program_state"), "Agent-@", ttyrec=None, fix_moon_phase=True)
    raw.set_initial_seeds(*(int(word) for word in np.random.SeedSequence([1, 0]).generate_state(2)), False)
    glyphs, blstats, message, state = raw.reset()
    while not state[3]:
        raw.step(32)
    rng = np.random.default_rng(0)
    for _ in range(600):
        action = int(rng.integers(0, task.actions))
        _, over = raw.step(int(nethack.ACTIONS[action]))
        _, terminated, _ = ours.step(action)
        assert terminated == over
        if over:
            break
        np.testing.assert_array_equal(ours.glyphs, glyphs)
        np.testing.assert_array_equal(ours.blstats, blstats)
        np.testing.assert_array_equal(ours.message, message)
    ours.close()
    raw.close()


def test_standing_still_ends_the_challenge() -> None:
    """After 10,000 steps without game time: the escape key takes none."""
    from dataclasses import replace

    from nle import nethack

    from hyperprompt.envs.nethack.vector import NetHackVecEnv

    env = NetHackVecEnv(replace(TASKS["nethack/challenge"], patience=50), 1, 0, "@", 1000)
    env.reset()
    escape = [int(key) for key in nethack.ACTIONS].index(27)
    ends = [step for step in range(1, 121) if env.step(np.array([escape]))[2][0]]
    env.close()
    assert ends == [50, 100]


def test_truncation_hands_over_the_game_as_it_stood() -> None:
    """NLE quits the game first, and its last observation is what that leaves on the screen."""
    env = make("nethack/score", 1, 5, max_episode_steps=30)
    longer = make("nethack/score", 1, 5, max_episode_steps=60)
    env.reset()
    longer.reset()
    for action in np.random.default_rng(1).integers(0, 23, (30, 1)):
        _, _, dones, infos = env.step(action)
        expected, _, _, _ = longer.step(action)
    assert dones[0]
    assert infos[0]["TimeLimit.truncated"] is True
    for key, part in expected.items():  # type: ignore[union-attr]
        np.testing.assert_array_equal(infos[0]["terminal_observation"][key], part[0])
    env.close()
    longer.close()


@pytest.mark.parametrize("name", TASKS)
def test_the_table_matches_the_real_spaces(name: str) -> None:
    env = make(name, 1, 0)
    seen = describe_spaces(name, "nethack", "gymnasium", env.observation_space, env.action_space, describe(name).steps)
    env.close()
    assert describe(name) == seen
    assert describe(name) in list_envs()


def test_default_characters_and_limits_are_those_of_nle() -> None:
    import inspect

    from nle.env import base, tasks

    for task in TASKS.values():
        kind = getattr(tasks, task.gymnasium_id.removesuffix("-v0"))
        defaults = {
            name: parameter.default
            for owner in reversed([c for c in kind.__mro__ if issubclass(c, base.NLE)])
            if "__init__" in vars(owner)
            for name, parameter in inspect.signature(owner.__init__).parameters.items()
            if parameter.default is not parameter.empty
        }
        assert task.character == defaults["character"]
        assert task.max_episode_steps == defaults["max_episode_steps"]
        assert task.penalty == pytest.approx(defaults["penalty_step"])
        assert task.all_modes == defaults["allow_all_modes"] == defaults["allow_all_yn_questions"]
        assert task.patience == defaults.get("no_progress_timeout")


@pytest.mark.parametrize("character", ["mon-hum-neu-mal", "val-dwa-law-fem", "wiz-elf-cha-fem", "sam-hum-law-mal"])
def test_a_character_is_what_it_says(character: str) -> None:
    assert alignments(character) == {{"law": 1, "neu": 0, "cha": -1}[character.split("-")[2]]}


@pytest.mark.slow
def test_every_character_is_what_it_says() -> None:
    for character in characters():
        if character != "@":
            assert alignments(character) == {{"law": 1, "neu": 0, "cha": -1}[character.split("-")[2]]}, character


def alignments(character: str) -> set[int]:
    """The alignments that three games begin with: one, unless NetHack draws a part of the character at random."""
    env = make("nethack/score", 3, 0, character=character)
    found = set(env.reset()["blstats"][:, BLSTATS_ALIGNMENT].tolist())  # type: ignore[call-overload, index]
    env.close()
    return found


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"charakter": "@"}, UnknownName, "Did you mean 'character'"),
        ({"character": "mon-orc-neu-mal"}, InvalidValue, "mon-hum-neu-mal"),
        ({"character": "val-hum-law-mal"}, InvalidValue, "val-hum-law-fem"),
        ({"character": 3}, InvalidValue, "character 3"),
        ({"max_episode_steps": 0}, InvalidValue, "at least 1, got 0"),
        ({"max_episode_steps": 10.0}, InvalidValue, "10.0"),
        ({"max_episode_steps": True}, InvalidValue, "True"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        exists("nethack/score", **options)
    with pytest.raises(error, match=said):
        make("nethack/score", 1, 0, **options)


def test_names_backends_and_actions_that_cannot_be() -> None:
    with pytest.raises(UnknownName, match="nethack/score"):
        make("nethack/scroe", 1, 0)
    with pytest.raises(InvalidValue, match="EnvPool has no"):
        make("nethack/score", 1, 0, "envpool")
    env = make("nethack/score", 2, 0)
    env.reset()
    for actions in ([0], [0, 23], [-1, 0]):
        with pytest.raises(InvalidValue):
            env.step(np.array(actions))
    env.close()


def test_looking_at_the_family_imports_neither_nle_nor_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from hyperprompt.envs import make; make.exists('nethack/score', character='@'); "
        "make.describe('nethack/eat'); print([m for m in ('nle', 'torch', 'stable_baselines3') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"

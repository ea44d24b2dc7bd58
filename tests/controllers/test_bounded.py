"""A controller within what the signals allow: what is held back, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from stable_baselines3 import PPO

from hyperprompt import HyperPromptCallback
from hyperprompt.controllers import limits, registry
from hyperprompt.controllers.bounded import Bounded
from hyperprompt.core import Controller, MetaAction, MetaState
from hyperprompt.errors import InvalidValue

States = Callable[..., MetaState]


class Raises:
    """Asks for more of everything it is told to."""

    name = "raises"
    requires = ("learning_rate",)

    def __init__(self, **delta: float) -> None:
        self.delta = delta

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [MetaAction(self.delta, {"learning_rate": (1.0,) + (0.0,) * 6}, "hash", "up") for _ in states]


def lengths(state: States, *lengths: float, **values: float) -> MetaState:
    """A run whose intervals had episodes of these mean lengths."""
    now = state(len(lengths), **values)
    done = zip(now.intervals, lengths, strict=True)
    return replace(
        now,
        intervals=tuple(
            replace(i, signals=replace(i.signals, values={**i.signals.values, **values, "episode_length": length}))
            for i, length in done
        ),
    )


def after(now: MetaState, **delta: float) -> dict[str, float]:
    (action,) = Bounded(Raises(**delta)).decide([now])
    return now.space.shift(now.theta, action.delta)


@pytest.mark.parametrize(
    ("kl", "octaves"),
    [(0.0, 1.0), (0.0125, 0.5), (0.025, 0.0), (0.05, -0.5), (3.0, -1.0), (float("nan"), 1.0)],
)
def test_the_rate_goes_no_higher_than_the_kl_allows(state: States, kl: float, octaves: float) -> None:
    now = state(2, approx_kl=kl)
    assert after(now, learning_rate=1.0)["learning_rate"] == pytest.approx(3e-4 * 2.0**octaves, rel=1e-3)


def test_a_rate_that_is_too_high_comes_down_though_nobody_asks(state: States) -> None:
    assert after(state(2, approx_kl=0.1))["learning_rate"] == pytest.approx(1.5e-4, rel=1e-3)
    assert after(state(2, approx_kl=0.1), learning_rate=-2.0)["learning_rate"] == pytest.approx(7.5e-5, rel=1e-3)


@pytest.mark.parametrize(("length", "gamma"), [(20.0, 0.99), (200.0, 0.995), (1e6, 0.9975), (float("nan"), 0.9975)])
def test_no_horizon_is_longer_than_an_episode_or_than_it_was_at_first(state: States, length: float, gamma: float) -> None:
    assert after(lengths(state, 1.5 * length, length), gamma=2.0)["gamma"] == pytest.approx(gamma, abs=1e-5)


def test_where_only_a_time_limit_ends_episodes_the_discount_is_short(state: States) -> None:
    timed = lengths(state, 1000.0, 1000.0)
    assert after(timed, gamma=2.0)["gamma"] == pytest.approx(0.98)
    assert after(timed)["gamma"] == pytest.approx(0.98), "though nobody asks"
    assert after(replace(timed, space=timed.space.starting_at({"gamma": 0.95})))["gamma"] == pytest.approx(0.95)
    single = lengths(state, 1000.0, 1000.0, return_std=0.0)
    assert after(single)["gamma"] == pytest.approx(0.98), "one episode an interval, of different returns"


def test_there_it_is_halved_while_the_critic_explains_little(state: States) -> None:
    def held(gamma: float, explained: float, first: float = 0.99, asked: float = 0.0) -> float:
        now = lengths(partial(state, explained_variance=explained), 1000.0, 1000.0)
        begun = replace(now, space=now.space.starting_at({"gamma": first}), theta={**now.theta, "gamma": gamma})
        return after(begun, gamma=asked)["gamma"]

    assert held(0.99, 0.1) == pytest.approx(0.96)
    assert held(0.96, -3.0, asked=1.0) == pytest.approx(0.92), "whoever asks for more"
    assert held(0.92, 0.1) == pytest.approx(0.9), "no shorter than ten steps"
    assert held(0.85, 0.1, first=0.85) == pytest.approx(0.85), "but where it began so"
    assert held(0.92, 0.3, asked=1.0) == pytest.approx(0.92), "what it follows stays"
    assert held(0.99, float("nan")) == pytest.approx(0.98), "nothing is known of the critic"
    falls = lengths(partial(state, explained_variance=0.1), 900.0, 1000.0)
    assert after(falls)["gamma"] == 0.99, "episodes that end by themselves"


def test_it_is_not_where_that_is_not_known_or_not_wanted(state: States) -> None:
    assert after(lengths(state, 1000.0))["gamma"] == 0.99, "one interval says nothing yet"
    assert after(lengths(state, 1000.0, 999.0))["gamma"] == 0.99, "an episode ended by itself"
    assert after(lengths(state, 900.0, 1000.0, 1000.0))["gamma"] == 0.99, "it has learned to last"
    assert after(lengths(state, 200.0, 200.0, return_std=0.0, return_mean=0.0))["gamma"] == 0.99, "nothing was rewarded yet"
    assert after(lengths(partial(state, algorithm="sac"), 1000.0, 1000.0))["gamma"] == 0.99, "it was not measured there"
    chosen = lengths(state, 1000.0, 1000.0)
    chosen = replace(chosen, space=chosen.space.starting_at({"gamma": 0.999}), theta={**chosen.theta, "gamma": 0.999})
    assert after(chosen)["gamma"] == 0.999, "the user's choice"


def test_a_policy_that_loses_its_entropy_is_given_a_bonus(state: States) -> None:
    now = state(2, entropy_fraction=0.1)
    assert after(now)["ent_coef"] == pytest.approx(0.01), "from none"
    assert after(now, ent_coef=-2.0)["ent_coef"] == pytest.approx(0.01)
    higher = replace(now, theta={**now.theta, "ent_coef": 0.04})
    assert after(higher, ent_coef=-1.0)["ent_coef"] == pytest.approx(0.02), "what is above may fall"
    assert after(state(2, entropy_fraction=0.4))["ent_coef"] == 0.0
    assert after(state(2))["ent_coef"] == 0.0, "no entropy is known"
    assert after(replace(now, task=replace(now.task, action="continuous")))["ent_coef"] == 0.0


@pytest.mark.parametrize(("first", "floor"), [(0.001, 0.001), (0.01, 0.01), (0.05, 0.01)])
def test_a_run_that_begins_with_a_bonus_is_given_no_more_than_that(state: States, first: float, floor: float) -> None:
    now = state(2, entropy_fraction=0.1)
    begun = replace(now, space=now.space.starting_at({"ent_coef": first}), theta={**now.theta, "ent_coef": 0.0005})
    assert after(begun)["ent_coef"] == pytest.approx(floor)


def test_what_stays_below_is_left_as_it_is(state: States) -> None:
    asked = {"learning_rate": 0.5, "ent_coef": 1.0, "gamma": -0.5}
    now = lengths(state, 30.0, 20.0, approx_kl=0.001)
    (action,) = Bounded(Raises(**asked)).decide([now])
    assert action == MetaAction(asked, {"learning_rate": (1.0,) + (0.0,) * 6}, "hash", "up")


def test_what_is_not_tuned_has_no_ceiling(state: States) -> None:
    now = state(2, approx_kl=3.0)
    now = replace(now, space=now.space.subset(["ent_coef"]))
    (action,) = Bounded(Raises(ent_coef=1.0)).decide([now])
    assert action.delta == {"ent_coef": 1.0}


def test_built_by_name() -> None:
    both = registry.create("bounded:anneal:cosine")
    assert isinstance(both, Controller)
    assert (both.name, both.requires) == ("bounded:anneal:cosine", ("learning_rate",))
    with pytest.raises(InvalidValue, match="bounded:CONTROLLER"):
        registry.create("bounded")
    with pytest.raises(InvalidValue, match="'kl-adaptive' works with ppo only"):
        registry.check_algorithm("bounded:kl-adaptive", "sac")


def test_its_files_are_its_limits_and_those_of_the_one_below(tmp_path: Path) -> None:
    file = tmp_path / "schedule.yaml"
    file.touch()
    assert registry.files(f"trust over bounded:schedule:{file}", {}) == (Path(limits.__file__), file)
    assert set(registry.files("bounded:hyperprompt", {})) == set(registry.files("hyperprompt", {})) > {Path(limits.__file__)}


def test_a_run_that_is_pushed_up_at_every_decision_is_held() -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64, n_epochs=4, seed=0, device="cpu")
    callback = HyperPromptCallback(controller=Bounded(Raises(learning_rate=1.0)), every=128)
    model.learn(4096, callback=callback)
    assert callback.meta is not None
    done = callback.meta.intervals
    held = 0
    for before, later in pairwise(done):
        kl, rate = before.signals.values["approx_kl"], before.theta["learning_rate"]
        assert later.theta["learning_rate"] <= rate * min(max((0.025 / kl) ** 0.5, 0.5), 2.0) * 1.001
        held += later.theta["learning_rate"] < rate
    assert held  # it went down, though asked to go up


def test_what_the_controller_does_not_know_is_left_as_it_is(state: States) -> None:
    class Abstains(Raises):
        def knows(self, state: MetaState) -> bool:
            return False

    now = lengths(state, 10.0, approx_kl=3.0)
    assert Bounded(Raises()).decide([now])[0].delta
    assert not Bounded(Abstains()).decide([now])[0].delta

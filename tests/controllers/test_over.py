"""One controller over another: who moves what, and what the lower one is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from stable_baselines3 import PPO

from hyperprompt import HyperPromptCallback
from hyperprompt.controllers import registry
from hyperprompt.controllers.over import Over
from hyperprompt.core import Controller, MetaAction, MetaState
from hyperprompt.errors import InvalidValue
from hyperprompt.hyperparameters import for_algorithm


class Upper:
    name = "upper"
    requires = ("gamma",)

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [MetaAction({"gamma": 1.0, "learning_rate": 2.0}, note="up") for _ in states]


class Lower:
    name = "lower"
    requires = ("learning_rate",)

    def __init__(self) -> None:
        self.seen: list[MetaState] = []

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        self.seen += states
        return [MetaAction({"learning_rate": -0.5}, {"learning_rate": (1.0,) * 7}, "hash", "down") for _ in states]


def with_space(state: MetaState, *names: str) -> MetaState:
    space = for_algorithm("ppo").subset(names)
    return replace(state, space=space, theta=space.defaults)


def test_each_moves_what_is_its_own_and_the_lower_one_sees_the_rest(state: Callable[..., MetaState]) -> None:
    lower = Lower()
    both = Over(Upper(), lower)
    assert isinstance(both, Controller)
    assert both.requires == ("gamma", "learning_rate")
    states = [with_space(state(2), "learning_rate", "gamma"), with_space(state(1), "gamma")]
    first, second = both.decide(states)
    assert first == MetaAction({"gamma": 1.0, "learning_rate": -0.5}, {"learning_rate": (1.0,) * 7}, "hash", "up; down")
    assert second == MetaAction({"gamma": 1.0}, note="up")
    assert [seen.space.names for seen in lower.seen] == [("learning_rate",)]


def test_where_nothing_is_left_the_lower_one_is_not_prepared_either(state: Callable[..., MetaState]) -> None:
    class Prepared(Lower):
        prepared: ClassVar[list[int]] = []

        def prepare(self, states: Sequence[MetaState] = ()) -> None:
            self.prepared.append(len(states))

    both = Over(Upper(), Prepared())
    both.prepare([with_space(state(1), "gamma")])
    both.prepare([with_space(state(1), "gamma"), with_space(state(2), "learning_rate", "gamma")])
    both.prepare()
    assert Prepared.prepared == [1, 0]


def test_a_name_of_two_controllers_builds_both(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("schedule: [{progress: 0, theta: {learning_rate: 0.001}}]")
    both = registry.create(f"horizon over schedule:{file}")
    assert both.name == f"horizon over schedule:{file}"
    assert registry.files(f"horizon over schedule:{file}", {}) == (file,)
    registry.check_algorithm(f"horizon over schedule:{file}", "ppo")
    with pytest.raises(InvalidValue, match="'horizon' works with ppo only"):
        registry.check_algorithm(f"horizon over schedule:{file}", "sac")


def test_nothing_of_its_own_to_move_is_refused() -> None:
    with pytest.raises(InvalidValue, match="'static' requires no hyperparameter of its own"):
        registry.create("static over hyperprompt")


def test_the_shipped_model_below_is_asked_as_ever(state: Callable[..., MetaState]) -> None:
    """What is not its own is not in its prompt: the answers are those of a run in which nobody tunes gamma."""
    names = ("learning_rate", "n_epochs", "ent_coef", "clip_range")
    alone = registry.create("hyperprompt").decide([with_space(state(3), *names)])[0]
    both = registry.create("horizon over hyperprompt").decide([with_space(state(3), *names, "gamma")])[0]
    assert both.prompt_sha256 == alone.prompt_sha256
    assert both.probabilities == alone.probabilities


def test_a_run_under_two_controllers() -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64, n_epochs=2, seed=0, device="cpu")
    callback = HyperPromptCallback(controller="horizon over anneal", every=256)
    model.learn(1024, callback=callback)
    assert callback.meta is not None
    assert {"gamma", "learning_rate"} <= set(callback.meta.space.names)
    assert callback.meta.theta()["learning_rate"] < 3e-4

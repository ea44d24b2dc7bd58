from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hyperprompt.controllers import registry
from hyperprompt.core import Controller, MetaAction, MetaState
from hyperprompt.errors import InvalidValue, UnknownName


class Mine:
    name = "mine"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [MetaAction() for _ in states]


class Broken:
    pass


class Fails:
    def __init__(self) -> None:
        raise RuntimeError("no luck")


@pytest.mark.parametrize(
    "spec",
    ["static", "random", "anneal", "anneal:linear", "anneal:cosine", "kl-adaptive", "trust", "horizon", "bandit", "llm"],
)
def test_every_built_in_controller_is_built(spec: str) -> None:
    assert isinstance(registry.create(spec, seed=3), Controller)


def test_a_class_of_the_user_gets_the_seed() -> None:
    mine = registry.create(f"{__name__}:Mine", seed=5)
    assert isinstance(mine, Mine)
    assert mine.seed == 5


def test_the_file_of_a_users_class_is_of_what_decides_its_runs() -> None:
    assert registry.files(f"{__name__}:Mine", {}) == (Path(__file__),)
    assert registry.files("no.such.module:Class", {}) == registry.files("sys:path", {}) == ()


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("statik", UnknownName, "Did you mean 'static'"),
        ("no", UnknownName, "anneal"),
        ("static:1", InvalidValue, "no argument"),
        ("anneal:square", UnknownName, "cosine"),
        ("schedule", InvalidValue, "FILE"),
        ("schedule:/no/such.yaml", InvalidValue, "cannot be read"),
        ("no.such.module:Class", InvalidValue, "cannot be imported"),
        (f"{__name__}:Absent", InvalidValue, "Absent"),
        (f"{__name__}:Broken", InvalidValue, "decide"),
        ("math:pi", InvalidValue, "not a class"),
        (":cosine", InvalidValue, "cannot be imported"),
        ("..x:Y", InvalidValue, "cannot be imported"),
        ("builtins:id", InvalidValue, "cannot be made"),
        (f"{__name__}:Fails", InvalidValue, "RuntimeError: no luck"),
    ],
)
def test_what_cannot_be_built_says_why(spec: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        registry.create(spec)


def test_kl_adaptive_is_refused_where_there_is_no_kl() -> None:
    registry.check_algorithm("kl-adaptive", "ppo")
    with pytest.raises(InvalidValue, match="ppo only"):
        registry.check_algorithm("kl-adaptive", "sac")

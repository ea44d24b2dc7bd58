from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from hyperprompt.controllers.fixed import Anneal, Horizon, KLAdaptive, Random, Schedule, Static, Trust
from hyperprompt.core import STEPS, MetaState
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.hyperparameters import for_algorithm

States = Callable[..., MetaState]


def test_static_keeps(state: States) -> None:
    assert Static().decide([state(0), state(3)]) == [Static().decide([state(0)])[0]] * 2
    assert not Static().decide([state(0)])[0].delta


def test_random_depends_on_seed_and_index_only(state: States) -> None:
    first, again = Random(1).decide([state(2)])[0], Random(1).decide([state(2, total_steps=5)])[0]
    assert first == again
    drawn = {step for i in range(60) for step in Random(1).decide([state(i)])[0].delta.values()}
    assert drawn == set(STEPS)
    assert Random(2).decide([state(2)])[0] != first


@pytest.mark.parametrize(
    ("shape", "progress", "share"),
    [("linear", 0.25, 0.75), ("linear", 0.5, 0.5), ("cosine", 0.5, 0.5), ("cosine", 0.25, 0.8536)],
)
def test_anneal_follows_its_shape(state: States, shape: str, progress: float, share: float) -> None:
    begun = replace(state(0), step=int(progress * 100_000))
    lr = begun.space["learning_rate"]
    (action,) = Anneal(shape).decide([begun])
    assert lr.shift(begun.theta["learning_rate"], action.delta["learning_rate"]) == pytest.approx(share * lr.default, rel=1e-3)
    assert set(action.delta) == {"learning_rate"}


def test_anneal_ends_at_the_floor_and_knows_its_shapes(state: States) -> None:
    over = replace(state(0), step=100_000)
    lr = over.space["learning_rate"]
    assert lr.shift(lr.default, Anneal("linear").decide([over])[0].delta["learning_rate"]) == pytest.approx(lr.low)
    with pytest.raises(UnknownName, match="cosine"):
        Anneal("cosin")


@pytest.mark.parametrize(("kl", "sign"), [(0.05, -1), (0.001, 1), (0.01, 0), (float("nan"), 0)])
def test_kl_adaptive_moves_against_the_kl(state: States, kl: float, sign: int) -> None:
    (action,) = KLAdaptive().decide([state(2, approx_kl=kl)])
    step = action.delta.get("learning_rate", 0.0)
    assert (step > 0) - (step < 0) == sign


@pytest.mark.parametrize(
    ("progress", "kl", "octaves"),
    [
        (0.1, 0.025, 0.0),
        (0.1, 0.0125, 0.5),
        (0.1, 0.05, -0.5),
        (0.1, 1.0, -1.0),  # no more than an octave
        (0.1, 0.0, 1.0),
        (0.575, 0.0, 0.5),  # half way down from four times the first rate to a half of it
        (1.0, 0.0125, -1.0),
        (1.0, 1.0, -1.0),
    ],
)
def test_trust_takes_the_rate_of_the_hour_as_far_as_the_kl_allows(
    state: States, progress: float, kl: float, octaves: float
) -> None:
    now = state(2, approx_kl=kl)
    now = replace(now, step=round(progress * now.task.total_steps))
    (action,) = Trust().decide([now])
    after = now.space.shift(now.theta, action.delta)
    assert after["learning_rate"] == pytest.approx(now.theta["learning_rate"] * 2.0**octaves, rel=1e-3)
    assert set(action.delta) == {"learning_rate"}


def test_trust_begins_with_an_octave_and_waits_for_a_kl(state: States) -> None:
    assert Trust().decide([state(0)])[0].delta["learning_rate"] == pytest.approx(1.0, abs=1e-6)
    assert not Trust().decide([state(2, approx_kl=float("nan"))])[0].delta


@pytest.mark.parametrize(
    ("signals", "gamma"),
    [
        ({"explained_variance": 0.9, "episode_length": 200.0}, 0.995),
        ({"explained_variance": 0.9, "episode_length": 5000.0}, 0.9975),  # no more than 400 steps
        ({"explained_variance": 0.9, "episode_length": 20.0}, 0.99),  # an episode is no reason to look less far
        ({"explained_variance": 0.3, "episode_length": 5000.0}, 0.9975),
        ({"explained_variance": 0.15, "episode_length": 5000.0}, 0.99),
        ({"explained_variance": 0.9}, 0.99),
        ({"explained_variance": float("nan"), "episode_length": 5000.0}, 0.99),
        ({"explained_variance": 0.01, "episode_length": 5000.0, "value_loss": 3000.0}, 0.99),
    ],
)
def test_the_horizon_follows_what_the_critic_explains(state: States, signals: dict[str, float], gamma: float) -> None:
    space = for_algorithm("ppo").subset(["learning_rate", "gamma"])
    theta = space.defaults
    for _ in range(4):  # an octave a decision
        now = replace(state(5, **signals), space=space, theta=theta)
        (action,) = Horizon().decide([now])
        assert set(action.delta) <= {"gamma"}
        theta = space.shift(theta, action.delta)
    assert theta["gamma"] == pytest.approx(gamma)


def test_a_horizon_that_is_longer_stays(state: States) -> None:
    space = for_algorithm("ppo").subset(["gamma"])
    for gamma, length in ((0.999, 5000.0), (0.997, 150.0)):
        now = replace(state(4, explained_variance=0.9, episode_length=length), space=space, theta={"gamma": gamma})
        assert not Horizon().decide([now])[0].delta
    assert not Horizon().decide([replace(state(0), space=space, theta={"gamma": 0.99})])[0].delta


def test_schedule_replays_by_progress(state: States, tmp_path: Path) -> None:
    points = [
        {"progress": 0.0, "theta": {"learning_rate": 1e-3}},
        {"progress": 0.5, "theta": {"learning_rate": 1e-4, "n_epochs": 4}},
    ]
    file = tmp_path / "s.yaml"
    file.write_text(yaml.safe_dump({"schedule": points}))
    schedule = Schedule(file)
    assert schedule.requires == ("learning_rate", "n_epochs")
    for step, expected in ((0, 1e-3), (49_999, 1e-3), (50_000, 1e-4), (99_000, 1e-4)):
        now = replace(state(0), step=step)
        action = schedule.decide([now])[0]
        assert now.space.shift(now.theta, action.delta)["learning_rate"] == pytest.approx(expected)


def test_a_schedule_s_steps_lead_from_wherever_the_run_stands(state: States, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    points = [{"progress": p, "theta": {"learning_rate": r}} for p, r in ((0.0, 6e-4), (0.5, 1.5e-4))]
    file.write_text(yaml.safe_dump({"schedule": points}))
    steps = Schedule(file, relative=True)
    assert steps.requires == ()
    assert steps.name == f"schedule-steps:{file}"
    first = replace(state(0), theta={**state(0).theta, "learning_rate": 1e-2})
    assert steps.decide([first])[0].delta == {"learning_rate": pytest.approx(1.0)}  # from the default of 3e-4
    later = state(2)
    ends = {
        i: replace(interval, step=step)
        for i, (interval, step) in enumerate(zip(later.intervals, (20_000, 60_000), strict=True))
    }
    crossing = replace(later, step=60_000, intervals=tuple(ends.values()))
    assert steps.decide([crossing])[0].delta == {"learning_rate": pytest.approx(-2.0)}
    beyond = replace(later, step=90_000, intervals=(replace(ends[0], step=60_000), replace(ends[1], step=90_000)))
    assert steps.decide([beyond])[0].delta == {"learning_rate": 0.0}
    continued = replace(state(1), step=70_000, first_step=60_000)
    assert steps.decide([continued])[0].delta == {"learning_rate": 0.0}, "the step was taken at its first decision"


@pytest.mark.parametrize(
    "text", ["", "[1, 2", "schedule: []", "schedule: [{progress: 0.1}]", "schedule: [{progress: 0, theta: {gamma: .nan}}]",
             "schedule: [{progress: x, theta: {a: 1}}]"],
)  # fmt: skip
def test_a_broken_schedule_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(InvalidValue, match=r"s\.yaml"):
        Schedule(file)
    with pytest.raises(InvalidValue, match="missing"):
        Schedule(tmp_path / "missing.yaml")

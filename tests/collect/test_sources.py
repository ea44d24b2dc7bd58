"""The cheap tasks by name: who trains there, and which are one environment under several names."""

import pytest

from hyperprompt.collect import sources
from hyperprompt.errors import UnknownName

ONE_CARTPOLE = {"cartpole", "balance", "balance-ppo"}


def test_every_task_says_who_trains_there():
    sac = {name for name, source in sources.SOURCES.items() if source.algorithm == "sac"}
    assert sac == {"swingup", "hill", "balance", "point"}
    assert all(sources.find(name).continuous for name in sac)
    ppo = [source for name, source in sources.SOURCES.items() if name.endswith("-ppo")]
    assert {(source.algorithm, source.continuous) for source in ppo} == {("ppo", True)}
    with pytest.raises(UnknownName, match="cartpole"):
        sources.find("cartpool")


def test_relatives_are_the_tasks_of_one_environment():
    for live, names in {
        "CartPole-v1": ONE_CARTPOLE,
        "Pendulum-v1": {"pendulum", "swingup", "swingup-ppo"},
        "MountainCarContinuous-v0": {"hill"},
        "PointRobot-misc": {"point", "point-ppo"},
    }.items():
        everywhere = {live, f"envpool/{live}", *names, *(f"gymnax/{name}" for name in names)}
        assert all(sources.relatives(task) == everywhere for task in everywhere)
    assert sources.relatives("Hopper-v5") == sources.relatives("envpool/Hopper-v5") == {"Hopper-v5", "envpool/Hopper-v5"}
    assert sources.relatives("procgen/ninja") == {"procgen/ninja"}


def test_a_go_no_go_learns_from_no_relative(monkeypatch):
    pytest.importorskip("gymnax")
    from types import SimpleNamespace

    from hyperprompt.collect import gonogo
    from hyperprompt.errors import InvalidValue

    names = ("cartpole", "balance-ppo", "catch", "pendulum", "swingup-ppo")
    data = [SimpleNamespace(task=f"gymnax/{name}") for name in names]
    monkeypatch.setattr(gonogo, "replace", lambda c, unit: c.task)
    monkeypatch.setattr(gonogo, "arrays", lambda kept, share: kept)
    monkeypatch.setattr(gonogo, "train", lambda kept: kept)
    rows = [
        {"task": name, "random": 0.0, "points": [{"learning_rate": 1e-3, "n_epochs": 10, "auc": 1.0, "final": 1.0}]}
        for name in names
    ]
    config = gonogo.Config((), names)
    assert gonogo.held_out(config, data, rows, "balance-ppo") == ["gymnax/catch", "gymnax/pendulum", "gymnax/swingup-ppo"]
    assert gonogo.held_out(config, data, rows, "pendulum") == ["gymnax/cartpole", "gymnax/balance-ppo", "gymnax/catch"]
    with pytest.raises(InvalidValue, match="other than CartPole-v1, balance, balance-ppo, cartpole"):
        gonogo.held_out(config, data[:2], rows, "cartpole")

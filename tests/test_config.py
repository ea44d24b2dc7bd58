from __future__ import annotations

from pathlib import Path

import pytest

from hyperprompt.config import RunConfig, parse, read_yaml
from hyperprompt.errors import InvalidValue


def test_settings_reach_any_depth_and_keep_their_types() -> None:
    config = parse(
        {"env": "CartPole-v1"},
        ["steps=5000", "agent.learning_rate=1e-3", "agent.policy_kwargs.net_arch=[8, 8]", "bounds.gamma=[0.9, 0.99]",
         "tune=[learning_rate, gamma]", "checkpoints=false"],
    )  # fmt: skip
    assert config.steps == 5000
    assert config.agent == {"learning_rate": 1e-3, "policy_kwargs": {"net_arch": [8, 8]}}
    assert config.bounds == {"gamma": (0.9, 0.99)}
    assert config.tune == ("learning_rate", "gamma")
    assert config.checkpoints is False


def test_a_configuration_survives_its_dump() -> None:
    config = parse({"env": "CartPole-v1", "bounds": {"gamma": [0.9, 0.99]}}, ["agent.n_steps=64"])
    assert parse(config.model_dump(mode="json")) == config
    assert RunConfig(env="x").library == "sb3"
    assert parse({"env": "x", "algo": "sbx-ppo"}).algorithm == "ppo"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("stepz=3", "Did you mean 'steps'"),
        ("learning_rate=1e-3", r"agent\.learning_rate"),
        ("steps=-1", "steps"),
        ("steps=0", "steps"),
        ("steps=many", "steps"),
        ("seed=-1", "seed"),
        ("every=0", "every"),
        ("n_envs=0", "n_envs"),
        ("algo=ppoo", "algo.*'ppo'"),
        ("bounds.gamma=[0.99, 0.9]", "not below"),
        ("bounds.gamma=0.9", "bounds"),
        ("bounds.gamma=[.nan, 1]", "not below"),
        ("steps", "key=value"),
        ("=3", "key=value"),
        ("tune=[1, {", "not valid YAML"),
        ("env.name=x", "holds no keys"),
    ],
)
def test_mistakes_name_the_key(setting: str, says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        parse({"env": "CartPole-v1"}, [setting])


@pytest.mark.parametrize(
    ("text", "says"),
    [("a: [1", "line 1"), ("- 1", "list"), ("", "NoneType"), ("\x00", "YAML"), ("b: {c: 1, c: 2}", "'c' stands")],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(InvalidValue, match=rf"c\.yaml.*{says}"):
        read_yaml(file)
    with pytest.raises(InvalidValue, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml")


def test_numbers_are_read_as_they_are_meant_in_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("env: x\nsteps: 1e5\nagent: {learning_rate: 1e-3, rates: [2E4, -1.e-2], name: '1e-3', tag: 1e}")
    config = parse(read_yaml(file))
    assert config.steps == 100_000
    assert config.agent == {"learning_rate": 1e-3, "rates": [2e4, -1e-2], "name": "1e-3", "tag": "1e"}


def test_a_merged_mapping_may_be_overridden(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, y: 4}")
    assert read_yaml(file) == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 3, "y": 4}}

"""Every shipped agent configuration can be built, and trains."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from hyperprompt.agents import presets
from hyperprompt.agents.encoders import ENCODERS
from hyperprompt.config import RunConfig, parse
from hyperprompt.envs.make import FAMILIES
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.pipeline.resolve import agent, resolve

TASK = {"plain": "CartPole-v1", "procgen": "procgen/coinrun", "nethack": "nethack/score", "ant": "ant/train-0"}
PLAIN_SAC = "Pendulum-v1"


def shipped() -> list[Any]:
    cases = []
    for family in FAMILIES:
        for name in presets.names(family):
            algorithms = ("sac", "sbx-sac", "ppo", "sbx-ppo") if family == "ant" else ("ppo",)
            cases += [pytest.param(family, TASK[family], name, algo, id=f"{family}-{name}-{algo}") for algo in algorithms]
    cases += [pytest.param("plain", PLAIN_SAC, presets.SB3_DEFAULT, algo, id=f"plain-{algo}") for algo in ("sac", "sbx-sac")]
    for name in presets.names("plain"):
        for task, algos in presets._file("plain").get(name, {}).get("tasks", {}).items():
            cases += [pytest.param("plain", task, name, algo, id=f"{task}-{name}-{algo}") for algo in algos]
    return cases


@pytest.mark.parametrize(("family", "task", "name", "algo"), shipped())
def test_every_preset_builds_the_agent_it_describes(family: str, task: str, name: str, algo: str) -> None:
    given, preset = presets.find(family, task, algo, name)
    assert given == name
    config = resolve(
        RunConfig(
            env=task,
            algo=algo,
            preset=name,
            controller="static",
            steps=1000,
            agent={"buffer_size": 100} if "sac" in algo else {},
        )
    )
    model = agent(config)
    assert model.env is not None
    try:
        assert model.n_envs == preset.n_envs
        assert (model.get_vec_normalize_env() is not None) == (preset.normalize.observation or preset.normalize.reward)
        for key, value in preset.agent.items():
            if isinstance(getattr(model, key, None), int | float) and key != "buffer_size":
                assert getattr(model, key) == pytest.approx(value), key
        if preset.encoder:
            wanted = ENCODERS[preset.encoder].partition(":")[2]
            assert any(base.__name__ == wanted for base in type(model.policy.features_extractor).__mro__)
    finally:
        model.env.close()


def test_a_users_value_wins_over_the_presets() -> None:
    config = resolve(parse({"env": "procgen/coinrun", "controller": "static", "agent": {"n_epochs": 1}, "n_envs": 4}))
    assert (config.preset, config.agent["n_epochs"], config.n_envs) == ("short", 1, 4)
    assert config.agent["ent_coef"] == 0.01
    assert config.normalize is not None
    assert config.normalize.reward
    assert resolve(config) == config, "resolving twice changes nothing"
    assert resolve(parse(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json"))))) == config


def test_a_task_brings_its_algorithm_and_budget() -> None:
    config = resolve(parse({"env": "Pendulum-v1", "controller": "static"}))
    assert (config.algo, config.steps, config.n_envs) == ("sac", 20_000, 1)
    assert resolve(parse({"env": "ant/test-0", "controller": "static"})).algo == "sbx-sac"


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"env": "CartPole-v1", "preset": "publihsed"}, UnknownName, "preset of plain tasks"),
        ({"env": "procgen/coinrun", "preset": "published", "algo": "a2c"}, InvalidValue, "no settings of a2c"),
        ({"env": "CartPole-v1", "encoder": "imapla"}, UnknownName, "Did you mean 'impala'"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(parse({"controller": "static", **values}))


def test_an_encoder_that_does_not_fit_is_refused() -> None:
    for changes in (
        {"env": "CartPole-v1", "encoder": "nethack"},
        {"env": "CartPole-v1", "algo": "sbx-ppo", "encoder": "nature"},
    ):
        with pytest.raises(InvalidValue):
            agent(resolve(parse({"controller": "static", "steps": 10, **changes})))


def test_unknown_keys_of_normalize_are_refused() -> None:
    with pytest.raises(InvalidValue, match=r"normalize\.rewards"):
        parse({"env": "CartPole-v1", "normalize": {"rewards": True}})

"""A value set online is the value training uses: as if the model had been constructed with it, and unlike before."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from arms import build, constructed_with, equal, parameters, start, train

from hyperprompt.agents import wrap
from hyperprompt.hyperparameters import AVAILABLE

ON_POLICY = {"learning_rate": 2e-3, "ent_coef": 0.1, "vf_coef": 0.9, "gamma": 0.9, "gae_lambda": 0.6, "max_grad_norm": 0.05}
OFF_POLICY = {"learning_rate": 1e-3, "tau": 0.1, "gamma": 0.9, "gradient_steps": 2.0, "batch_size": 32.0}
CASES: dict[str, dict[str, float]] = {
    "ppo": ON_POLICY | {"n_epochs": 3.0, "clip_range": 0.05, "batch_size": 32.0, "target_kl": 1e-5},
    "a2c": ON_POLICY,
    "sac": OFF_POLICY | {"target_entropy": -2.0},
    "td3": OFF_POLICY | {"policy_delay": 3.0, "target_policy_noise": 0.4, "target_noise_clip": 0.1},
    "dqn": OFF_POLICY | {"exploration_rate": 0.3, "target_update_interval": 30.0, "max_grad_norm": 0.1},
}


@cache
def unchanged(algorithm: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The saved state, and the weights that training without a change leads to."""
    _, saved = start(algorithm)
    fresh = wrap(build(algorithm))
    fresh.restore(saved)
    return saved, train(fresh)


@pytest.mark.parametrize("algorithm", AVAILABLE)
def test_every_hyperparameter_has_a_case(algorithm: str) -> None:
    agent = wrap(build(algorithm))
    assert set(CASES[algorithm]) == set(AVAILABLE[algorithm].names) == set(agent.space.names)
    assert not agent.refused


@pytest.mark.parametrize(("algorithm", "name"), [(a, name) for a, cases in CASES.items() for name in cases])
def test_online_equals_constructed(algorithm: str, name: str) -> None:
    value = CASES[algorithm][name]
    saved, before = unchanged(algorithm)

    online = wrap(build(algorithm))
    online.restore(saved)
    online.set({name: value})
    assert online.get()[name] == pytest.approx(value)
    changed = train(online)
    assert online.get()[name] == pytest.approx(value)

    constructed = wrap(build(algorithm, **constructed_with(name, value)))
    constructed.restore(saved)
    assert equal(changed, train(constructed))
    assert not equal(parameters(changed), parameters(before))


@pytest.mark.parametrize("algorithm", ["sac", "td3", "dqn"])
def test_gamma_reaches_the_n_step_buffer(algorithm: str) -> None:
    online, constructed = wrap(build(algorithm, n_steps=3)), wrap(build(algorithm, n_steps=3, gamma=0.8))
    online.set({"gamma": 0.8})
    assert equal(train(online), train(constructed))
    assert not equal(train(wrap(build(algorithm, n_steps=3))), train(constructed))


def test_learning_rate_reaches_the_entropy_coefficient() -> None:
    online, constructed = wrap(build("sac")), wrap(build("sac", learning_rate=1e-4))
    online.set({"learning_rate": 1e-4})
    a, b = train(online), train(constructed)
    assert equal(a["variables"], b["variables"])
    assert not equal(a["variables"], train(wrap(build("sac")))["variables"])

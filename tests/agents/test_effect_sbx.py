"""As test_effect_sb3, for SBX. Every model compiles anew, so most cases are slow."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from arms import build, close, constructed_with, equal, parameters, start, train

from hyperprompt.agents import wrap
from hyperprompt.agents.base import ModelAgent
from hyperprompt.hyperparameters import AVAILABLE

pytest.importorskip("sbx")

CASES: dict[str, dict[str, float]] = {
    "ppo": {
        "learning_rate": 2e-3,
        "clip_range": 0.05,
        "n_epochs": 3.0,
        "ent_coef": 0.1,
        "vf_coef": 0.9,
        "gamma": 0.9,
        "gae_lambda": 0.6,
        "batch_size": 32.0,
    },
    "sac": {
        "learning_rate": 1e-3,
        "tau": 0.1,
        "gamma": 0.9,
        "gradient_steps": 2.0,
        "batch_size": 32.0,
        "target_entropy": -2.0,
    },
}
QUICK = ("learning_rate", "clip_range", "tau")


@cache
def unchanged(algorithm: str) -> tuple[ModelAgent, dict[str, Any], dict[str, Any]]:
    agent, saved = start(algorithm, "sbx")
    return agent, saved, branch(agent, saved)


def branch(agent: ModelAgent, saved: dict[str, Any], **values: float) -> dict[str, Any]:
    agent.restore(saved)
    if hasattr(agent.model, "replay_buffer"):
        agent.model.replay_buffer.reset()
    agent.set(values)
    return train(agent)


@pytest.mark.parametrize("algorithm", CASES)
def test_every_hyperparameter_has_a_case(algorithm: str) -> None:
    agent = wrap(build(algorithm, "sbx"))
    assert set(CASES[algorithm]) == set(agent.space.names)
    assert set(agent.space.names) | set(agent.refused) == set(AVAILABLE[algorithm].names)


@pytest.mark.slow
def test_vf_coef_shows_where_the_critic_does_not_rescale_its_loss() -> None:
    optax = pytest.importorskip("optax")
    settings = {"policy_kwargs": {"net_arch": [8], "optimizer_class": optax.sgd}, "max_grad_norm": 1e3, "learning_rate": 1e-3}
    online, constructed, same = (wrap(build("ppo", "sbx", **settings, vf_coef=v)) for v in (0.5, 0.9, 0.5))
    online.set({"vf_coef": 0.9})
    changed = parameters(train(online))
    assert close(changed, parameters(train(constructed)))
    assert not close(changed, parameters(train(same)))


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [pytest.param(a, name, marks=() if name in QUICK else pytest.mark.slow) for a, cases in CASES.items() for name in cases],
)
def test_online_equals_constructed(algorithm: str, name: str) -> None:
    value = CASES[algorithm][name]
    agent, saved, before = unchanged(algorithm)
    changed = branch(agent, saved, **{name: value})
    assert agent.get()[name] == pytest.approx(value)
    constructed = wrap(build(algorithm, "sbx", **constructed_with(name, value)))
    wanted = branch(constructed, saved)
    assert close(parameters(changed), parameters(wanted))
    if name != "vf_coef":  # Adam does not see the scale of the critic's loss: the test above is for it
        assert not close(parameters(changed), parameters(before))


def test_learning_rate_compiles_nothing_and_keeps_the_numbers_of_adam() -> None:
    agent, saved, before = unchanged("sac")
    branch(agent, saved)
    compiled = type(agent.model)._train.__func__._cache_size()
    branch(agent, saved, learning_rate=1e-4, tau=0.2, target_entropy=-3.0)
    assert type(agent.model)._train.__func__._cache_size() == compiled
    # Back at the saved state, the rate of every optimiser is the saved one again.
    assert equal(branch(agent, saved), before)


@pytest.mark.slow
def test_the_entropy_coefficient_learns_as_in_a_model_that_was_never_wrapped() -> None:
    model, agent = build("sac", "sbx"), wrap(build("sac", "sbx"))
    for m in (model, agent.model):
        m.set_random_seed(5)
        m.learn(64)
    params = [float(m.ent_coef_state.params["log_ent_coef"]) for m in (model, agent.model)]
    assert params[0] == params[1] != 0.0


def test_what_cannot_change_is_refused_with_the_reason() -> None:
    adaptive = wrap(build("ppo", "sbx", target_kl=0.01))
    assert "target_kl" in adaptive.refused["learning_rate"]
    assert "learning_rate" not in adaptive.space.names
    fixed = wrap(build("sac", "sbx", ent_coef=0.1))
    assert "auto" in fixed.refused["target_entropy"]
    with pytest.raises(ValueError, match="target_entropy"):
        fixed.set({"target_entropy": -1.0})

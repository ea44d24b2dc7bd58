"""A tuner's runs as checkpoints without branches."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperprompt.collect import bayes, dataset
from hyperprompt.collect.config import Recipe
from hyperprompt.config import RunConfig
from hyperprompt.core import MetaState
from hyperprompt.errors import HyperPromptError

RECIPE = Recipe(
    env="CartPole-v1",
    mode="bayes",
    steps=512,
    tuner="random",
    trials=3,
    set={"n_envs": 2, "agent.n_steps": 32, "agent.batch_size": 32, "agent.policy_kwargs": {"net_arch": [8]}},
)


def test_every_decision_is_labelled_with_the_settings_of_the_best_run(tmp_path: Path) -> None:
    found = bayes.collect_round(RECIPE, 0)
    runs = list(dict.fromkeys(c.run for c in found))
    assert len(runs) == 3
    firsts = [next(c for c in found if c.run == run) for run in runs]
    assert firsts[0].state.theta["learning_rate"] == 3e-4, "the first trial is the defaults"
    finals = {c.run: c for c in found}
    (target,) = {c.target for c in found}
    thetas = [first.state.space.values(first.state.theta) for first in firsts]
    assert any(json.loads(target) == {**theta, "ent_coef": json.loads(target)["ent_coef"]} for theta in thetas)
    assert all(len(c.state.intervals) > 0 for c in finals.values())
    assert all(len(c.seeds) == 0 and c.advantages().size == 0 for c in found)
    dataset.write(tmp_path / "a.parquet", found, {})
    assert [c.target for c in dataset.read(tmp_path)] == [target] * len(found)


def test_a_search_without_a_score_is_no_data(monkeypatch: pytest.MonkeyPatch, state: Callable[[int], MetaState]) -> None:
    monkeypatch.setattr(bayes, "train", lambda config: ([state(0)], math.nan))
    with pytest.raises(HyperPromptError, match="no trial has a score"):
        bayes.collect_round(RECIPE, 0)


def test_the_target_is_that_of_the_highest_auc(monkeypatch: pytest.MonkeyPatch, state: Callable[[int], MetaState]) -> None:
    scores, asked = iter([0.0, 2.0, math.nan]), []

    def train(config: RunConfig) -> tuple[list[MetaState], float]:
        asked.append(config.agent.get("learning_rate"))
        return [state(0), state(1)], next(scores)

    monkeypatch.setattr(bayes, "train", train)
    found = bayes.collect_round(RECIPE, 0)
    assert len(set(asked)) == 3
    assert len(found) == 6
    assert {json.loads(c.target)["learning_rate"] for c in found} == {asked[1]}

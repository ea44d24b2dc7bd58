"""What a tuner may search is what a controller may steer."""

import pytest

from hyperprompt.config import RunConfig
from hyperprompt.pipeline.resolve import resolve
from hyperprompt.pipeline.tuning import SearchFailed, search, search_space
from hyperprompt.search import registry


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ({}, 1, 10),
        ({"agent": {"n_epochs": 3}}, 1, 3),
        ({"agent": {"n_epochs": 3}, "bounds": {"n_epochs": [2, 8]}}, 2, 8),
        ({"agent": {"n_epochs": 3}, "tune": ["n_epochs"]}, 1, 10),
    ],
)
def test_epochs_are_searched_up_to_where_they_begin_unless_told_so(values, low, high):
    space = search_space(resolve(RunConfig.model_validate({"env": "CartPole-v1", **values})))
    assert (space["n_epochs"].low, space["n_epochs"].high) == (low, high)
    assert space["n_epochs"].default == values.get("agent", {}).get("n_epochs", 10)


def test_epochs_that_begin_at_their_lowest_are_not_searched():
    space = search_space(resolve(RunConfig.model_validate({"env": "CartPole-v1", "agent": {"n_epochs": 1}})))
    assert space.names == ("learning_rate", "ent_coef", "clip_range", "gamma")


@pytest.mark.parametrize("asked", [float("nan"), float("inf"), 0.0, 5.0])
def test_a_tuner_that_asks_for_what_cannot_be_fails_its_search_alone(asked, monkeypatch):
    class Wild:
        def ask(self):
            return {"learning_rate": asked}

        def tell(self, theta, score):
            pass

    base = resolve(RunConfig.model_validate({"env": "CartPole-v1", "tune": ["learning_rate"]}))
    monkeypatch.setattr(registry, "create", lambda name, problem: Wild())
    found = search("wild", base, trials=2, seed=0)
    assert next(found) == base
    with pytest.raises(SearchFailed, match="learning_rate must be from"):
        found.send(1.0)

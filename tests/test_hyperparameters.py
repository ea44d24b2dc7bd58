from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprompt.core import STEPS
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.hyperparameters import AVAILABLE, TUNED_BY_DEFAULT, Hyperparameter, for_algorithm

ALL = [h for space in AVAILABLE.values() for h in space]


@pytest.mark.parametrize(
    ("scale", "low", "high", "value", "delta", "after"),
    [
        ("log", 1e-5, 1.0, 1e-3, 1.0, 2e-3),
        ("log", 1e-5, 1.0, 1e-3, -2.0, 2.5e-4),
        ("log", 1e-5, 1.0, 1e-3, 0.5, 1e-3 * math.sqrt(2)),
        ("integer", 1, 20, 1.0, 0.5, math.sqrt(2)),
        ("linear", 0.0, 1.0, 0.5, 1.0, 0.6),
        ("linear", -4.0, 0.0, -2.0, -0.5, -2.2),
        ("one_minus_log", 0.5, 0.9999, 0.99, 1.0, 0.995),
        ("one_minus_log", 0.5, 0.9999, 0.99, -2.0, 0.96),
    ],
)
def test_one_unit_doubles_on_the_scale(scale: str, low: float, high: float, value: float, delta: float, after: float) -> None:
    assert Hyperparameter("x", low, high, value, scale).shift(value, delta) == pytest.approx(after)  # type: ignore[arg-type]


@given(st.sampled_from(ALL), st.floats(-1e6, 1e6), st.one_of(st.sampled_from(STEPS), st.floats(-1e3, 1e3)))
def test_a_step_never_leaves_the_bounds(h: Hyperparameter, value: float, delta: float) -> None:
    after = h.shift(value, delta)
    assert (delta == 0.0 and after == value) or h.low <= after <= h.high


@given(st.sampled_from(ALL), st.floats(0, 1), st.floats(0, 1))
def test_delta_inverts_shift_and_at_inverts_position(h: Hyperparameter, p: float, q: float) -> None:
    a, b = h.at(p), h.at(q)
    assert h.position(a) == pytest.approx(p, abs=1e-6)
    assert h.shift(a, h.delta(a, b)) == pytest.approx(b, rel=1e-6, abs=1e-9)


def test_a_latent_integer_grows_although_each_step_rounds_to_where_it_was() -> None:
    epochs = for_algorithm("ppo")["n_epochs"]
    once = epochs.shift(1.0, 0.5)
    assert epochs.value(once) == 1.0
    assert epochs.value(epochs.shift(once, 0.5)) == 2.0


def test_values_beyond_the_bounds_read_as_the_bound_but_stay_when_kept() -> None:
    entropy = for_algorithm("ppo")["ent_coef"]
    assert entropy.position(0.0) == 0.0
    assert entropy.shift(0.0, 0.0) == 0.0
    assert entropy.shift(0.0, 1.0) == pytest.approx(2e-4)


def test_rounding_does_not_leave_the_bounds() -> None:
    h = Hyperparameter("x", 1.2, 2.6, 2.0, "integer")
    assert {h.value(latent) for latent in (1.2, 1.3, 2.0, 2.55, 2.6)} == {2.0}
    with pytest.raises(InvalidValue, match="no integer"):
        Hyperparameter("x", 1.2, 1.8, 1.5, "integer")


@pytest.mark.parametrize("delta", [math.inf, -math.inf])
def test_an_infinite_step_goes_to_the_bound(delta: float) -> None:
    h = for_algorithm("ppo")["learning_rate"]
    assert h.shift(1e-3, delta) == (h.high if delta > 0 else h.low)


def test_a_step_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidValue, match="learning_rate"):
        for_algorithm("ppo")["learning_rate"].shift(1e-3, math.nan)


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [(1.0, 1.0, "linear"), (2.0, 1.0, "log"), (0.0, 1.0, "log"), (0.5, 1.0, "one_minus_log"), (math.nan, 1.0, "linear"),
     (0.0, math.inf, "linear"), (-1, 3, "integer")],
)  # fmt: skip
def test_impossible_bounds_are_refused(low: float, high: float, scale: str) -> None:
    with pytest.raises(InvalidValue, match="x"):
        Hyperparameter("x", low, high, 1.0, scale)  # type: ignore[arg-type]


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'learning_rate'.*n_epochs"):
        for_algorithm("ppo").subset(["learning_rte"])
    with pytest.raises(UnknownName, match="ppo"):
        for_algorithm("pppo")


@pytest.mark.parametrize("algorithm", AVAILABLE)
def test_default_sets_are_available_and_their_defaults_within_the_bounds_or_at_a_named_edge(algorithm: str) -> None:
    space = for_algorithm(algorithm, action_dimensions=3)
    assert set(TUNED_BY_DEFAULT[algorithm]) <= set(space.names)
    outside = [h.name for h in space if not h.low <= h.default <= h.high]
    assert set(outside) <= {"ent_coef"}, outside


def test_target_entropy_scales_with_the_action() -> None:
    assert for_algorithm("sac", action_dimensions=6)["target_entropy"].default == -6.0


@pytest.mark.parametrize(
    ("algorithm", "name", "values", "mean"),
    [
        ("ppo", "learning_rate", [1e-4, 1e-2], 1e-3),
        ("ppo", "n_epochs", [1, 2, 4], 2.0),
        ("ppo", "n_epochs", [1, 2], 2**0.5),  # not rounded
        ("ppo", "clip_range", [0.1, 0.4], 0.25),
        ("ppo", "gamma", [0.9, 0.999], 0.99),
        ("ppo", "ent_coef", [0.0, 0.01], 1e-3),  # 0 reads as the floor of 1e-4
        ("ppo", "ent_coef", [0.0, 0.0], 0.0),
        ("sac", "target_entropy", [-6.0, -2.0], -4.0),  # of several action dimensions, beyond the bounds for one
        ("sac", "tau", [0.005], 0.005),
    ],
)
def test_the_mean_is_on_the_own_scale(algorithm: str, name: str, values: list[float], mean: float) -> None:
    assert for_algorithm(algorithm)[name].mean(values) == pytest.approx(mean)

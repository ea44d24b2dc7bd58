from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprompt.core import STEPS
from hyperprompt.errors import InvalidValue
from hyperprompt.prompt import numbers

nan, inf = math.nan, math.inf


def same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == pytest.approx(b, abs=1e-3)


@pytest.mark.parametrize(
    ("value", "text", "read"),
    [(0.0, "00", 0.0), (1.0, "99", 1.0), (0.5, "50", 0.505), (0.004, "00", 0.0), (-3.0, "00", 0.0), (7.0, "99", 1.0),
     (1e-300, "00", 0.0), (inf, "99", 1.0), (-inf, "00", 0.0), (nan, "--", nan)],
)  # fmt: skip
def test_positions(value, text, read):
    assert numbers.encode_position(value) == text
    assert same(numbers.decode_position(text), read)


@pytest.mark.parametrize(
    ("value", "text", "read"),
    [(0.0, "50", 0.0), (-0.0, "50", 0.0), (1.0, "99", 1.0), (-1.0, "01", -1.0), (0.5, "75", 0.510), (-0.02, "49", -0.0204),
     (9.0, "99", 1.0), (inf, "99", 1.0), (-inf, "01", -1.0), (nan, "--", nan)],
)  # fmt: skip
def test_changes(value, text, read):
    assert numbers.encode_change(value) == text
    assert same(numbers.decode_change(text), read)


@pytest.mark.parametrize(
    ("value", "text", "read"),
    [
        (0.0, "0", 0.05),
        (0.99, "9", 0.95),
        (1.0, "9", 0.95),
        (0.5, "5", 0.55),
        (-1.0, "0", 0.05),
        (inf, "9", 0.95),
        (nan, "-", nan),
    ],
)
def test_single_digits(value, text, read):
    assert numbers.encode_digit(value) == text
    assert same(numbers.decode_digit(text), read)


@pytest.mark.parametrize(
    ("value", "text", "read"),
    [(delta, str(k), delta) for k, delta in enumerate(STEPS)]
    + [
        (0.25, "3", 0.0),
        (-0.25, "3", 0.0),
        (0.3, "4", 0.5),
        (1.5, "5", 1.0),
        (inf, "6", 2.0),
        (-inf, "0", -2.0),
        (nan, "-", nan),
    ],
)
def test_steps(value, text, read):
    assert numbers.encode_step(value) == text
    assert same(numbers.decode_step(text), read)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("approx_kl", 1e-4, "00"), ("approx_kl", 1e-2, "50"), ("approx_kl", 1.0, "99"), ("approx_kl", -1e-3, "00"),
     ("approx_kl", 0.0, "00"), ("approx_kl", inf, "99"), ("clip_fraction", 0.25, "25"), ("entropy_fraction", 1.0, "99"),
     ("explained_variance", 0.0, "50"), ("explained_variance", -40.0, "00"), ("gradient_norm", 1.0, "50"),
     ("return_best", 0.0, "50"), ("return_best", 500.0, "76"), ("return_best", -500.0, "23"), ("return_best", nan, "--")],
)  # fmt: skip
def test_fixed_scales(name, value, text):
    assert numbers.encode_position(numbers.FIXED[name].position(value)) == text


@given(st.sampled_from(sorted(numbers.FIXED)), st.integers(0, 99))
def test_a_fixed_scale_reads_its_own_levels_back(name, level):
    scale, text = numbers.FIXED[name], f"{level:02d}"
    assert numbers.encode_position(scale.position(scale.value(numbers.decode_position(text)))) == text


@given(st.integers(0, 99))
def test_codes_read_back_exactly(level):
    text = f"{level:02d}"
    assert numbers.encode_position(numbers.decode_position(text)) == text
    if level:
        assert numbers.encode_change(numbers.decode_change(text)) == text


@given(st.floats())
def test_every_number_has_a_code_of_constant_width(x):
    for encode, width in (
        (numbers.encode_position, 2),
        (numbers.encode_change, 2),
        (numbers.encode_digit, 1),
        (numbers.encode_step, 1),
    ):
        assert len(encode(x)) == width
        assert set(encode(x)) <= set("0123456789-")
    for scale in numbers.FIXED.values():
        assert len(numbers.encode_position(scale.position(x))) == 2
    assert math.isnan(x) or 0.0 <= numbers.squash(x) <= 1.0


@pytest.mark.parametrize("text", ["", "1", "123", "-1", "1-", "a1", "٣٣", " 1", "1e", "+1"])
def test_malformed_codes_are_refused(text):
    for decode in (numbers.decode_position, numbers.decode_change):
        with pytest.raises(InvalidValue):
            decode(text)


@pytest.mark.parametrize("text", ["", "7", "33", "--", "x", "²"])
def test_malformed_steps_are_refused(text):
    with pytest.raises(InvalidValue):
        numbers.decode_step(text)


def test_the_range_is_robust_and_of_the_past():
    assert numbers.robust_range([]) == (pytest.approx(nan, nan_ok=True), pytest.approx(nan, nan_ok=True))
    assert numbers.robust_range([nan, inf, 3.0, 1.0]) == (1.0, 3.0)
    low, high = numbers.robust_range([*range(100), 1e9])
    assert (low, high) == (5, 95)
    assert numbers.position_in(3.0, (1.0, 5.0)) == 0.5
    assert numbers.position_in(3.0, (3.0, 3.0)) == 0.5
    assert numbers.position_in(inf, (0.0, 1.0)) == 1.0
    assert numbers.change_in(1.0, 5.0, (1.0, 5.0)) == 1.0
    assert numbers.change_in(5.0, 3.0, (1.0, 5.0)) == -0.5
    assert math.isnan(numbers.change_in(nan, 3.0, (1.0, 5.0)))


@given(st.lists(st.floats(), max_size=30), st.floats())
def test_range_and_change_stay_within_bounds(past, now):
    bounds = numbers.robust_range([*past, now])
    position = numbers.position_in(now, bounds)
    assert math.isnan(position) == math.isnan(now)
    assert math.isnan(position) or 0.0 <= position <= 1.0
    for before in past:
        change = numbers.change_in(before, now, bounds)
        assert math.isnan(change) or -1.0 <= change <= 1.0

"""The simulation that measures coverage, and the committed figures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.evaluation.coverage import (
    CLOSELY,
    DECIDES,
    NOISES,
    RECORDED,
    SIZES,
    STATISTICS,
    UNEVEN,
    coverage,
    no_larger,
    recorded,
    size_name,
    uneven_like,
    uneven_name,
)

CELLS = json.loads(RECORDED.read_text())


@pytest.mark.parametrize("noise", NOISES)
def test_noise_has_mean_0_and_variance_1(noise: str):
    x = NOISES[noise]((np.arange(100_000) + 0.5) / 100_000)
    assert [x.mean(), x.var()] == pytest.approx([0.0, 1.0], abs=1e-3)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_coverage_follows_from_its_seed(statistic: str):
    runs = [coverage(statistic, (3, 4), "skewed", seed=seed, simulations=20, replicates=200) for seed in (0, 0, 1)]
    assert runs[0] == runs[1]
    assert runs[0].width != runs[2].width
    assert 0.5 < runs[0].share <= 1.0


def test_the_corrections_bring_coverage_at_three_seeds_nearer_to_the_nominal():
    corrected, plain = (coverage("mean", (3,) * 8, simulations=200, corrected=c) for c in (True, False))
    assert plain.share < 0.89 < corrected.share < 0.99


def test_a_nominal_interval_that_is_known_to_be_right_is_measured_as_right():
    """At many seeds the bootstrap of a mean is exact, so that what is left is the measurement."""
    found = coverage("mean", (40, 40), simulations=300)
    assert abs(found.share - 0.95) < 3 * 0.0126


def test_the_committed_figures_cover_every_statistic_size_and_noise():
    found = {(c["statistic"], c["size"], c["noise"]) for c in CELLS["cells"]}
    even = {(s, size_name(n), z) for s in STATISTICS for n in SIZES for z in NOISES}
    assert found == even | {(DECIDES, uneven_name(pair), z) for pair in UNEVEN for z in NOISES}
    closely = {c["size"] for c in CELLS["cells"] if c["simulations"] == CLOSELY}
    assert closely == {size_name((n,)) for n in (10, 5, 3, 2)} | set(map(uneven_name, UNEVEN))


def test_the_committed_figures_can_be_made_again():
    (cell,) = (c for c in CELLS["cells"] if (c["statistic"], c["size"], c["noise"]) == ("mean", "1 x 3", "skewed"))
    for corrected, key in ((True, "corrected"), (False, "percentile")):
        again = coverage("mean", (3,), "skewed", simulations=cell["simulations"], corrected=corrected)
        assert again.share == pytest.approx(cell[key]["share"], abs=0.005)  # another numpy may draw a few intervals elsewhere


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        *(((2,) * 2, "2 x 2"), ((3,), "1 x 3"), ((20,) * 40, "8 x 10"), ((4,) * 4, "3 x 3"), ((1000,) * 8, "8 x 10")),
        *(((10, 10, 3, 3), "3 x 3"), ((3, 4), "2 x 3"), ((10, 10, 8), "3 x 5"), ((10, 10, 3, 3, 3), "5 x 3")),
    ],
)
def test_a_size_no_larger_has_figures_for_every_statistic(here: tuple[int, ...], expected: str):
    assert size_name(no_larger(here)) == expected
    for statistic in STATISTICS:
        low, high = recorded()[statistic, expected]
        shares = [c["corrected"]["share"] for c in CELLS["cells"] if (c["statistic"], c["size"]) == (statistic, expected)]
        assert (low, high, len(shares)) == (min(shares), max(shares), len(NOISES))


def test_three_seeds_against_ten_hold_the_truth_less_often_than_three_against_three():
    """Where seeds fail, three of them often show none that does, and ten do: equal numbers err alike."""
    even, uneven = (coverage(DECIDES, (3,), "failing", against=a, simulations=600).share for a in (None, (10,)))
    assert uneven < even - 0.03
    low, high = recorded()[DECIDES, "1 x 3 against 10"]
    assert low == pytest.approx(uneven, abs=0.03)
    assert low < high < 0.95


@pytest.mark.parametrize(("here", "pair"), [((3, 10), (3, 10)), ((4, 5), (3, 5)), ((6, 9), (5, 10)), ((2, 10), None)])
def test_unequal_seeds_are_told_by_those_of_no_more(here, pair):
    assert uneven_like(*here) == pair


def test_unknown_names_and_sizes_without_an_interval_are_refused():
    with pytest.raises(UnknownName, match="iqm"):
        coverage("iqr", (3, 3))
    with pytest.raises(UnknownName, match="skewed"):
        coverage("iqm", (3, 3), "skew")
    for seeds in [(1, 3), ()]:
        with pytest.raises(InvalidValue, match="at least 2 seeds"):
            coverage("iqm", seeds)

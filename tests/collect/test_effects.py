"""Main effects, on synthetic tables."""

import numpy as np
import pytest

from hyperprompt.collect.design import branches
from hyperprompt.collect.effects import main_effects, seed_noise
from hyperprompt.core import KEEP, STEPS
from hyperprompt.errors import InvalidValue

LEVELS = np.asarray(STEPS)


def table(noise: float, seeds: int = 2, seed: int = 0, together: float = 0.0):
    """Scores of 12 joint actions: the first parameter helps, the second has its best at +0.5, the third does nothing; the
    product of every two of them counts `together` times a normal number."""
    rng = np.random.default_rng(seed)
    steps = LEVELS[branches(rng, 12, seeds, 3)[0]]
    scores = 0.2 * steps[:, 0] - 0.1 * (steps[:, 1] - 0.5) ** 2 + noise * rng.standard_normal(len(steps))
    pairs = np.triu(together * rng.standard_normal((3, 3)), 1)
    return steps, scores + np.einsum("ni,ij,nj->n", steps, pairs, steps)


def test_main_effects_are_recovered_where_there_is_no_noise():
    effects, _ = main_effects(*table(0.0), ridge=1e-6)
    np.testing.assert_allclose(effects[0], 0.2 * LEVELS, atol=1e-3)
    np.testing.assert_allclose(effects[1], -0.1 * (LEVELS - 0.5) ** 2 + 0.025, atol=1e-3)
    np.testing.assert_allclose(effects[2], 0.0, atol=1e-3)


def test_keep_is_the_zero_of_every_effect_and_has_no_error():
    effects, errors = main_effects(*table(0.3))
    np.testing.assert_array_equal(effects[:, KEEP], 0.0)
    np.testing.assert_array_equal(errors[:, KEEP], 0.0)
    assert (np.delete(errors, KEEP, 1) > 0).all()


@pytest.mark.parametrize("together", [0.0, 0.1])
def test_standard_errors_cover_the_truth(together):
    """Twelve joint steps less seven parameters leave five degrees of freedom, whose 97.5 % quantile of t is 2.57."""
    inside, tables = 0, 200
    for seed in range(tables):
        effects, errors = main_effects(*table(0.2, seed=seed, together=together), ridge=1e-6)
        inside += abs(effects[0, -1] - 0.4) < 2.57 * errors[0, -1]
    assert 0.88 < inside / tables < 0.98


def test_more_seeds_make_smaller_errors():
    few, many = (main_effects(*table(0.2, seeds=n))[1][0, 0] for n in (2, 32))
    assert many < 0.5 * few


def test_mismatched_tables_are_refused():
    with pytest.raises(InvalidValue, match=r"\(5, 2\)"):
        main_effects(np.zeros((5, 2)), np.zeros(4))


def test_seed_noise_knows_neither_steps_nor_seeds():
    rng = np.random.default_rng(0)
    step, seed = rng.normal(size=400), np.repeat([7, 3, 5], 400)
    scores = np.tile(step, 3) + 2.0 * seed
    assert seed_noise(scores, seed) == pytest.approx(0.0, abs=1e-9)
    assert seed_noise(scores + 0.3 * rng.standard_normal(1200), seed) == pytest.approx(0.3, rel=0.1)


def test_under_one_seed_all_of_the_spread_is_noise():
    scores = np.array([1.0, 3.0])
    assert seed_noise(scores, np.array([4, 4])) == 1.0

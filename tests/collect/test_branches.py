"""Designs and main effects of branch data, on synthetic tables; the branches themselves once, small."""

import numpy as np
import pytest

pytest.importorskip("gymnax")

from hyperprompt.collect.branches import Design, Perturbed, collect, first_theta, joint_actions, load, main_effects
from hyperprompt.collect.steer import SPACE
from hyperprompt.core import KEEP, STEPS, MetaState
from hyperprompt.durable import from_json
from hyperprompt.errors import InvalidValue

LEVELS = np.asarray(STEPS)


def table(noise: float, seeds: int = 2, seed: int = 0):
    """Scores of 12 joint actions: the first parameter helps, the second has its best at +0.5, the third does nothing."""
    rng = np.random.default_rng(seed)
    actions = [a for a in joint_actions(rng, 12, ("a", "b", "c")) for _ in range(seeds)]
    steps = LEVELS[np.array([list(a.values()) for a in actions])]
    scores = 0.2 * steps[:, 0] - 0.1 * (steps[:, 1] - 0.5) ** 2 + noise * rng.standard_normal(len(steps))
    return steps, scores


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


def test_standard_errors_cover_the_truth():
    inside, tables = 0, 200
    for seed in range(tables):
        effects, errors = main_effects(*table(0.2, seed=seed), ridge=1e-6)
        inside += abs(effects[0, -1] - 0.4) < 1.96 * errors[0, -1]
    assert 0.88 < inside / tables < 0.98


def test_more_seeds_make_smaller_errors():
    few, many = (main_effects(*table(0.2, seeds=n))[1][0, 0] for n in (2, 32))
    assert many < 0.5 * few


def test_every_level_is_tried_equally_often():
    actions = joint_actions(np.random.default_rng(0), 12, SPACE.names)
    for name in SPACE.names:
        counts = np.bincount([a[name] for a in actions], minlength=7)
        assert counts.sum() == 12
        assert set(counts) == {1, 2}


def test_mismatched_tables_are_refused():
    with pytest.raises(InvalidValue, match=r"\(5, 2\)"):
        main_effects(np.zeros((5, 2)), np.zeros(4))


def test_first_settings_are_wide_and_within_bounds():
    thetas = [first_theta(np.random.default_rng(seed)) for seed in range(200)]
    rates = np.array([theta["learning_rate"] for theta in thetas])
    assert 2e-4 <= rates.min() < 4e-4
    assert 1e-2 < rates.max() <= 2e-2
    assert all(h.low <= theta[h.name] <= h.high for theta in thetas for h in SPACE)


@pytest.mark.slow
def test_a_round_is_written_once_with_meta_states_that_read_back(tmp_path):
    design = Design(actions=3, seeds=2, horizon=2, updates=6, episodes=2, stops=((0, 1, 2, 2, 3, 3, 4, 5),))
    collect(["lake"], range(1), tmp_path, design)
    rows = load(tmp_path)
    assert len(rows) == 8 * 3 * 2
    stamp = (tmp_path / "lake-000.parquet").stat().st_mtime_ns
    collect(["lake"], range(1), tmp_path, design)
    assert (tmp_path / "lake-000.parquet").stat().st_mtime_ns == stamp
    for row in rows:
        state = MetaState.from_dict(from_json(row["meta_state"]))
        assert state.step == row["update"] * 512
        moved = state.space.shift(state.theta, {n: STEPS[row[f"step/{n}"]] for n in state.space.names})
        assert state.space.values(moved) == pytest.approx({n: row[f"theta/{n}"] for n in state.space.names})
    assert {row["update"] for row in rows} == {0, 1, 2, 3, 4, 5}
    assert len({row["end"] for row in rows}) > 1


def test_the_behaviour_controller_is_a_function_of_seed_lane_and_index():
    state = MetaState("r", None, SPACE, 0, SPACE.defaults)  # type: ignore[arg-type]
    first, again = (Perturbed(3).decide([state] * 6) for _ in range(2))
    assert first == again
    assert len({tuple(sorted(a.delta.items())) for a in first}) > 1
    assert first != Perturbed(4).decide([state] * 6)

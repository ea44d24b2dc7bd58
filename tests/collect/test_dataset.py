"""The dataset of decisions: what is written is read back, and every kind of damage is one error that names the file."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pyarrow")

import pyarrow.parquet as pq

from hyperprompt.collect.dataset import Checkpoint, parts, read, write, write_part
from hyperprompt.collect.manifest import MANIFEST, listing
from hyperprompt.core import KEEP, STEPS, Interval, MetaState, Signals, Transition
from hyperprompt.errors import DatasetError, InvalidValue


def checkpoint(state: MetaState, branches: int = 6, **changes) -> Checkpoint:
    rng = np.random.default_rng(branches)
    names = len(state.space)
    found = Checkpoint(
        family="plain",
        task="CartPole-v1",
        algorithm="ppo",
        run="CartPole-v1/7",
        variant="{}",
        state=state,
        horizon=2048,
        before=30.5,
        random=20.0,
        unit=480.0,
        steps=rng.integers(len(STEPS), size=(branches, names)),
        seeds=rng.integers(2**31, size=branches),
        end=rng.uniform(20, 500, branches),
        mean=np.array([math.nan, *rng.uniform(20, 500, max(0, branches - 1))][:branches]),
    )
    return replace(found, **changes)


def same(a: Checkpoint, b: Checkpoint) -> bool:
    arrays = ("steps", "seeds", "end", "mean")
    for name in arrays:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype
    return all(getattr(a, name) == getattr(b, name) for name in a.__dataclass_fields__ if name not in arrays)


@pytest.mark.parametrize("branches", [6, 1, 0])
def test_what_is_written_is_read_back(tmp_path, state, branches):
    written = [checkpoint(state(3), branches), checkpoint(state(0), branches, variant='{"gain": 2.0}', target='{"tau": 0.1}')]
    write(tmp_path / "a.parquet", written, {"rounds": 2}, {"steps": 4096, "seconds": 1.5})
    found = read(tmp_path)
    assert len(found) == 2
    assert all(same(a, b) for a, b in zip(written, found, strict=True))
    assert listing(tmp_path)["a.parquet"]["decisions"] == 2 * branches
    (part,) = parts(tmp_path)
    assert part.config == {"rounds": 2}
    assert part.spent == {"steps": 4096, "seconds": 1.5}
    assert part.versions["numpy"] == np.__version__


def test_parts_come_in_the_order_of_their_names_and_a_part_is_replaced_by_its_namesake(tmp_path, state):
    for name in ("b", "a", "b"):
        write(tmp_path / f"{name}.parquet", [checkpoint(state(), run=name)], {})
    assert [c.run for c in read(tmp_path)] == ["a", "b"]


def test_a_signal_that_was_not_available_is_absent_when_read_back(tmp_path, state):
    full = state(1)
    signals = Signals({"return_mean": math.nan, "approx_kl": 0.01}, 0, (Transition((math.nan, 1.0), (0.0,), math.nan),))
    holed = replace(full, intervals=(Interval(0, 2048, full.theta, {}, signals),))
    write(tmp_path / "a.parquet", [checkpoint(holed)], {})
    (row,) = read(tmp_path)[0].state.intervals
    assert row.signals.values == {"approx_kl": 0.01}
    assert math.isnan(row.signals.transitions[0].observation[0])
    assert row.signals.transitions[0].observation[1] == 1.0
    assert math.isnan(row.signals.transitions[0].reward)


def test_scores_are_in_task_units_with_the_end_in_place_of_a_missing_mean(state):
    c = checkpoint(state(), 2, end=np.array([500.0, 260.0]), mean=np.array([math.nan, 20.0]))
    np.testing.assert_allclose(c.scores(), [1.0, 0.25])
    np.testing.assert_allclose(c.scores(0.0), [1.0, 0.5])
    np.testing.assert_allclose(c.scores(1.0), [1.0, 0.0])
    np.testing.assert_allclose(c.advantages(), [0.375, -0.375])
    assert checkpoint(state(), 0).advantages().shape == (0,)


def test_effects_find_the_hyperparameter_that_matters(state):
    c = checkpoint(state(), 60)
    moved = np.asarray(STEPS)[c.steps][:, 1]
    c = replace(c, end=20.0 + 48.0 * moved, mean=np.full(60, math.nan))
    effects, errors = c.effects()
    assert effects.shape == errors.shape == (5, 7)
    assert effects[1, -1] == pytest.approx(0.2, abs=0.03)
    np.testing.assert_allclose(effects[[0, 2, 3, 4]], 0.0, atol=0.03)
    assert (effects[:, KEEP] == 0).all()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"steps": np.zeros((6, 2), np.int64)}, "6, 2"),
        ({"steps": np.full((6, 5), 7)}, "7"),
        ({"end": np.zeros(5)}, "5,"),
        ({"unit": 0.0}, "unit of CartPole-v1"),
        ({"unit": math.nan}, "unit of CartPole-v1"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused(state, changes, named):
    with pytest.raises(InvalidValue, match=named):
        checkpoint(state(), 6, **changes)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def folder(tmp_path, state):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.parquet", [checkpoint(state(2))], {})
    assert len(read(tmp_path)) == 2
    return tmp_path


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: flip(folder / "b.parquet"), r"b\.parquet is damaged"),
        (lambda folder: (folder / "b.parquet").write_bytes(b""), r"b\.parquet is damaged"),
        (lambda folder: (folder / "b.parquet").unlink(), r"b\.parquet is listed"),
        (lambda folder: (folder / "c.parquet").write_bytes((folder / "b.parquet").read_bytes()), r"c\.parquet is not listed"),
        (lambda folder: (folder / MANIFEST).unlink(), r"manifest\.json is missing"),
        (lambda folder: (folder / MANIFEST).write_text("{"), r"manifest\.json is damaged"),
        (lambda folder: (folder / MANIFEST).write_text('{"schema": 1, "parts": [1]}'), r"manifest\.json is damaged"),
        (lambda folder: (folder / MANIFEST).write_text('{"schema": 2, "parts": {}}'), r"manifest\.json has schema version 2"),
    ],
)
def test_damage_is_named(folder, damage, named):
    damage(folder)
    with pytest.raises(DatasetError, match=named):
        read(folder)


def listed_anew(path, edit):
    """Rewrites a part through `edit` and the manifest with it, so that only its content is wrong."""
    from hyperprompt.collect.manifest import enter

    pq.write_table(edit(pq.read_table(path)), path)
    enter(path, path.read_bytes(), 1, 6)


def other_version(table):
    head = json.loads(table.schema.metadata[b"hyperprompt"])
    return table.replace_schema_metadata({b"hyperprompt": json.dumps({**head, "schema": 9})})


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (other_version, "schema version 9"),
        (lambda table: table.replace_schema_metadata(None), "damaged"),
        (lambda table: table.drop_columns(["end"]), "damaged"),
        (lambda table: table.set_column(5, "step", [[17]]), "damaged"),
    ],
)
def test_a_part_with_the_right_checksum_and_the_wrong_content_is_named(folder, edit, named):
    listed_anew(folder / "a.parquet", edit)
    with pytest.raises(DatasetError, match=rf"a\.parquet.*{named}"):
        read(folder)


def test_a_part_that_a_kill_left_unlisted_is_refused_until_it_is_written_again(folder, state):
    write_part(folder / "c.parquet", [checkpoint(state())], {})
    with pytest.raises(DatasetError, match="interrupted"):
        read(folder)
    write(folder / "c.parquet", [checkpoint(state())], {})
    assert len(read(folder)) == 3

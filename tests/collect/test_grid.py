"""The grid of fixed settings."""

import pytest

pytest.importorskip("gymnax")

from hyperprompt.collect import grid


def test_cells_stand_for_the_axes_and_a_task_is_searched_once(tmp_path):
    for _ in range(2):
        grid.search(["lake"], tmp_path / "grid.jsonl", updates=2, seeds=(1,), cells=[(3.0, 1e-3), (10.0, 3e-4)])
    (row,) = grid.load(tmp_path / "grid.jsonl")
    assert set(grid.table(row, "auc")) == {(1e-3, 3.0), (3e-4, 10.0)}
    assert (row["updates"], row["task"]) == (2, "lake")
    assert 0.0 <= row["random"] < 0.5

"""Controllers scored on branches with a known right step."""

import pytest

from hyperprompt.collect import dataset
from hyperprompt.errors import InvalidValue
from hyperprompt.pipeline import sft
from hyperprompt.sft.config import read
from hyperprompt.sft.score import score
from hyperprompt.testing import lessons


def test_a_control_that_learned_what_paid_gains_over_keeping_and_over_its_mean_action(tmp_path):
    dataset.write(tmp_path / "source" / "a.parquet", lessons.checkpoints(range(30)), {})
    settings = {"data": [tmp_path / "source"], "arch": "mlp", "learning_rate": 1e-2, "epochs": 20, "batch": 4, "tau": 0.1}
    sft.run(read("short", settings), tmp_path / "run")
    arms = score([f"numeric:{tmp_path / 'run' / 'model'}"], lessons.checkpoints(range(100, 112)))
    assert arms["keep"]["less"]["low"] > 0.1
    assert arms["blind"]["less"]["low"] > 0.1
    assert arms["keep"]["gain"]["mean"] == 0


def test_what_keeps_is_worth_what_keeping_is():
    assert score(["static"], lessons.checkpoints([1]))["static"]["gain"]["mean"] == 0


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(InvalidValue, match="no checkpoint"):
        score(["static"], [])

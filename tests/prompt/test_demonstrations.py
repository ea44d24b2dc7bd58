from __future__ import annotations

import dataclasses
import json
import math

import pytest
from prompt_states import state

from hyperprompt.core import Signals
from hyperprompt.errors import InvalidValue
from hyperprompt.prompt import demonstrations, template
from hyperprompt.prompt.config import PromptConfig

CONFIG = PromptConfig()


def test_a_recorded_run_reads_back(tmp_path):
    path = tmp_path / "sub" / "demonstrations.json"
    s = state(4)
    values = {**s.intervals[0].signals.values, "approx_kl": math.nan, "value_loss": math.inf}
    holed = dataclasses.replace(
        s, intervals=(dataclasses.replace(s.intervals[0], signals=Signals(values, 1)), *s.intervals[1:])
    )
    demonstrations.record([holed, state(3, "sac", run="other")], path)
    first, second = demonstrations.load(path)
    assert "approx_kl" not in first.intervals[0].signals.values
    assert template.rows(second, CONFIG)[0] == template.rows(state(3, "sac"), CONFIG)[0]
    assert first.intervals[0].delta == s.intervals[0].delta
    assert [p.name for p in path.parent.iterdir()] == ["demonstrations.json"]


def test_slots_hold_the_steps_really_taken_next():
    expert = state(12, env="Acrobot-v1")
    atoms = template.head(state(0), CONFIG, expert)
    shown = "".join(atoms).split("\nexpert")[1].split("\nrun")[0].strip().split("\n")
    assert len(shown) == CONFIG.demonstration_rows
    n = len(expert.space)
    taken = [template.row(expert, i + 1, CONFIG).text[-2 * n - 1 : -n - 1] for i in template.spaced(12, 6)]
    assert [line[-n:] for line in shown] == taken
    before = [template.row(expert, i, CONFIG).text.strip()[:-n] for i in template.spaced(12, 6)]
    assert [line[:-n] for line in shown] == before


def test_what_the_expert_lacks_is_not_available():
    expert = state(3)
    expert = dataclasses.replace(expert, space=expert.space.subset(("learning_rate", "clip_range")))
    shown = "".join(template.head(state(0), CONFIG, expert)).split("\nexpert\n")[1].split("\n")[1]
    slots, last, theta = shown[-5:], shown[-11:-6], shown[-21:-11]
    for known in (slots, last):
        assert [mark == "-" for mark in known] == [False, True, True, False, True]
    assert [theta[k : k + 2] == "--" for k in range(0, 10, 2)] == [False, True, True, False, True]


def test_the_nearest_run_is_chosen():
    a, b, c = state(2, run="a"), state(2, run="b", env="Acrobot-v1"), state(2, "sac", run="c")
    assert demonstrations.choose([c, a, b], state(0)) is b
    assert demonstrations.choose([c, a], state(0)) is a
    assert demonstrations.choose([c], state(0)) is c
    with pytest.raises(InvalidValue):
        demonstrations.choose([], state(0))


def test_spacing():
    assert template.spaced(3, 6) == [0, 1, 2]
    assert template.spaced(11, 6) == [0, 2, 4, 6, 8, 10]
    assert template.spaced(5, 1) == [0]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"format": 2, "runs": []}',
        '{"format": 1, "runs": []}',
        '{"format": 1, "runs": [{}]}',
        '{"format": NaN}',
        "\x80",
    ],
)
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "d.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InvalidValue, match=r"d\.json"):
        demonstrations.load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidValue, match=r"nowhere\.json"):
        demonstrations.load(tmp_path / "nowhere.json")


def test_a_run_without_steps_is_refused(tmp_path):
    with pytest.raises(InvalidValue):
        demonstrations.record([state(0)], tmp_path / "d.json")
    with pytest.raises(InvalidValue):
        template.head(state(1), CONFIG, state(0))
    broken = state(1)
    interval = dataclasses.replace(broken.intervals[0], theta={"learning_rate": math.inf})
    with pytest.raises(InvalidValue):
        demonstrations.record([dataclasses.replace(broken, intervals=(interval,))], tmp_path / "d.json")


def test_the_file_is_plain_json(tmp_path):
    demonstrations.record([state(2)], tmp_path / "d.json")
    assert json.loads((tmp_path / "d.json").read_text())["format"] == demonstrations.FORMAT

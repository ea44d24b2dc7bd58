from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_states import prefix, space, state, states

from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, for_algorithm
from hyperprompt.prompt import layout, parse, template
from hyperprompt.prompt.config import SIGNALS, PromptConfig

COMPACT, VERBOSE = PromptConfig(), PromptConfig(rendering="verbose")
configs = st.sampled_from(
    [COMPACT, VERBOSE, PromptConfig(transitions=2),
     PromptConfig(signals=(), transitions=0, returns=False, episode_length=False),
     PromptConfig(rendering="verbose", theta=False, episode_length=True), PromptConfig(history=False, theta=False)]
)  # fmt: skip


@given(states(), configs, st.data())
def test_a_row_is_written_once_from_what_was_known_then(s, config, data):
    i = data.draw(st.integers(0, len(s.intervals)))
    assert template.row(s, i, config) == template.row(prefix(s, i), i, config)


@given(states(), configs)
def test_rows_have_constant_shape_and_round_trip(s, config):
    fields = template.layout_of(s, config)
    rows = template.rows(s, config)
    assert len({(len(r.atoms), r.slots, len(r.text)) for r in rows}) == 1
    for r in rows:
        assert [r.atoms[k] for k in r.slots] == ["3"] * len(s.space)
        codes = parse.codes(r.text, fields)
        assert layout.assemble(fields, codes) == r
        assert set(parse.values(codes, fields)) == {f.key for f in fields.fields if f.kind != "transition"}
    assert [layout.assemble(fields, c).text for c in parse.split("".join(r.text for r in rows), fields)] == [
        r.text for r in rows
    ]


def test_rendering_is_deterministic_and_survives_json():
    import json

    s = state(5)
    again = type(s).from_dict(json.loads(json.dumps(s.to_dict())))
    for config in (COMPACT, VERBOSE):
        assert template.rows(again, config) == template.rows(s, config)
        assert template.head(again, config) == template.head(s, config)


def test_the_text_of_known_rows():
    s = state(2)
    assert template.head(s, COMPACT) == ("ppo discrete 2 vector 4 envs 8 steps 10000\n", "lr epochs bonus clip gamma")
    assert template.row(s, 0, COMPACT).text == "\n00" + "--" * 10 + "-" * 7 + "4299004239" + "33333" + ">33333"
    assert template.row(s, 2, VERBOSE).text == (
        "\n02% return 99 change 99 best 62 KL 57 entropy 06 lr 16 epochs 54 bonus 00 clip 47 gamma 53 last 12345 next 33333"
    )


def test_row_zero_knows_theta_only():
    values = parse.values(parse.codes(template.row(state(3), 0, COMPACT).text, template.layout_of(state(3), COMPACT)),
                          template.layout_of(state(3), COMPACT))  # fmt: skip
    for h in space():
        assert values[f"theta:{h.name}"] == pytest.approx(h.position(h.default), abs=0.006)
        assert values[f"step:{h.name}"] == 0.0
    assert values["progress"] == 0.0
    assert values["return"] != values["return"]


def test_sections_switch_off():
    s = state(3)
    full = {f.kind for f in template.layout_of(s, COMPACT).fields}
    assert full == {"progress", "return", "change", "best", "length", "signal", "transition", "theta", "step", "slot"}
    bare = PromptConfig(returns=False, episode_length=False, signals=(), transitions=0, theta=False, history=False)
    assert template.row(s, 2, bare).text == "\n02>33333"
    assert "steps" not in "".join(template.head(s, PromptConfig(task=False)))


def test_default_rows_fit_for_every_algorithm():
    for algorithm in SIGNALS:
        names = TUNED_BY_DEFAULT[algorithm]
        for config in (COMPACT, VERBOSE):
            assert 35 <= layout.estimate(layout.layout(algorithm, names, config)) <= 60, (algorithm, config.rendering)


def test_too_many_hyperparameters_say_what_to_switch_off():
    names = for_algorithm("ppo").names
    with pytest.raises(InvalidValue, match="transitions=0") as error:
        layout.layout("ppo", names, PromptConfig(signals=SIGNALS["ppo"], transitions=1))
    assert "signals=()" in str(error.value)
    layout.layout("ppo", names, PromptConfig(transitions=0, signals=()))
    with pytest.raises(InvalidValue, match="compact"):
        layout.layout("ppo", names, VERBOSE)


def test_defaults_make_room_for_hyperparameters_and_what_was_asked_for_stays():
    five = TUNED_BY_DEFAULT["ppo"]
    assert layout.settle("ppo", five, VERBOSE).signals == layout.settle("ppo", five[:4], VERBOSE).signals[:2]
    assert layout.settle("ppo", five[:1], VERBOSE, lambda built: 55 + sum(f.kind == "signal" for f in built.fields) * 5) == (
        dataclasses.replace(VERBOSE, signals=("approx_kl",), episode_length=False, transitions=0)
    )
    every = layout.settle("ppo", for_algorithm("ppo").names, COMPACT)
    assert every.signals == ()
    assert layout.settle("ppo", for_algorithm("ppo").names, every) == every
    with pytest.raises(InvalidValue):
        layout.settle("ppo", five, dataclasses.replace(VERBOSE, signals=("approx_kl", "entropy_fraction", "value_loss")))


def test_the_configuration_refuses_nonsense():
    for bad in ({"rendering": "json"}, {"window": 0}, {"transitions": -1}, {"max_tokens": 0}, {"demonstration_rows": 0},
                {"window": "abc"}, {"theta": "yes"}, {"episode_length": 1}, {"signals": "alpha"},
                {"max_tokens": True}):  # fmt: skip
        with pytest.raises(InvalidValue):
            PromptConfig(**bad)
    with pytest.raises(UnknownName, match="approx_kl"):
        PromptConfig(signals=("aprox_kl",))
    with pytest.raises(UnknownName):
        layout.layout("dreamer", ("lr",), COMPACT)
    with pytest.raises(InvalidValue):
        layout.layout("ppo", (), COMPACT)
    with pytest.raises(InvalidValue):
        template.row(state(2), 3, COMPACT)
    assert hash(PromptConfig(signals=["alpha"]))
    assert PromptConfig.from_dict(VERBOSE.to_dict()) == VERBOSE
    with pytest.raises(UnknownName, match="rendering"):
        PromptConfig.from_dict({"renderng": "compact"})


@pytest.mark.parametrize("config", [COMPACT, VERBOSE])
def test_malformed_rows_are_refused(config):
    fields = template.layout_of(state(1), config)
    good = template.row(state(1), 1, config).text
    for bad in (
        "",
        good[:-1],
        good + "3",
        good.replace("\n", " "),
        good[:-1] + "7",
        good[:-1] + "x",
        good[:1] + "1-" + good[3:],
    ):
        with pytest.raises(InvalidValue):
            parse.codes(bad, fields)
    with pytest.raises(InvalidValue):
        parse.split(good + "3", fields)


def test_the_content_free_row_keeps_nothing_but_steps():
    s = state(3)
    free = template.content_free(s, 3, COMPACT)
    codes = parse.codes(free.text, template.layout_of(s, COMPACT))
    true = parse.codes(template.row(s, 3, COMPACT).text, template.layout_of(s, COMPACT))
    assert {k for k, v in codes.items() if set(v) != {"-"}} == {k for k in codes if k.startswith(("step:", "slot:"))}
    assert all(codes[k] == true[k] for k in codes if k.startswith("step:"))


def test_slot_order_is_the_space_s():
    s = state(2)
    turned = dataclasses.replace(s, space=s.space.subset(tuple(reversed(s.space.names))))
    assert template.layout_of(turned, COMPACT).names == tuple(reversed(s.space.names))
    assert template.row(turned, 2, VERBOSE).text.endswith("last 54321 next 33333")


def test_prompt_imports_neither_torch_nor_an_rl_library():
    code = (
        "import sys, hyperprompt.prompt.parse, hyperprompt.prompt.demonstrations, hyperprompt.prompt.template;"
        "print([m for m in ('torch', 'transformers', 'gymnasium', 'stable_baselines3') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"

import dataclasses

import numpy as np
import pytest

from hyperprompt.errors import InvalidValue
from hyperprompt.llm.tokens import Encoder
from hyperprompt.llm.weights import load
from hyperprompt.prompt import template
from hyperprompt.prompt.config import PromptConfig
from hyperprompt.prompt.transcript import Transcriber
from hyperprompt.sft.examples import Augmentation, longest, pieces, prefix
from hyperprompt.testing import lessons

PROMPT = PromptConfig(transitions=0)


def sequence(example, prompt, encoder, **options):
    """The one transcript of a run that is read whole."""
    (piece,) = pieces(example, prompt, encoder, 8192, **options)
    return piece


@pytest.fixture
def example():
    return lessons.example(0)


@pytest.fixture(scope="module")
def encoder():
    return Encoder(load().tokenizer)


def test_an_earlier_decision_had_the_theta_of_the_interval_before_it():
    state = lessons.state(3)
    assert prefix(state, state.index) is state
    for i in range(1, state.index):
        before = prefix(state, i)
        assert (before.index, before.step, before.theta) == (i, 100 * i, state.intervals[i - 1].theta)
        assert before.space.shift(before.theta, state.intervals[i].delta) == pytest.approx(state.intervals[i].theta)
    assert prefix(state, 0).theta == state.space.defaults
    with pytest.raises(InvalidValue, match="decision 6"):
        prefix(state, 6)


def test_a_run_is_known_by_its_longest_state():
    state, other = lessons.state(1), lessons.state(2)
    found = longest([prefix(state, 2), other, state, prefix(state, 4)])
    assert [s.index for s in found] == [5, 5]
    assert found[0] is state


def test_every_labelled_slot_is_scored_where_it_stands(example, encoder):
    piece = sequence(example, PROMPT, encoder)
    assert piece.before.shape == (30,)
    assert piece.target.shape == (30, 7)
    placeholder = encoder.digits[3]
    assert (piece.ids[piece.before + 1] == placeholder).all()
    some = dataclasses.replace(example, labels={2: {"ent_coef": example.labels[2]["ent_coef"]}})
    only = sequence(some, PROMPT, encoder)
    position = example.state.space.names.index("ent_coef")
    assert only.before.tolist() == [piece.before[2 * 5 + position]]
    with pytest.raises(InvalidValue, match="no labelled decision"):
        sequence(dataclasses.replace(example, labels={}), PROMPT, encoder)


def test_labels_follow_their_hyperparameters_through_a_new_order(example, encoder):
    marked = {n: np.eye(7)[j] for j, n in enumerate(example.state.space.names)}
    run = dataclasses.replace(example, labels={1: marked})
    shuffled = Augmentation(order=1.0, subset=0.0, signals=0.0, task=0.0, history=0.0)
    orders = set()
    for seed in range(8):
        state, _ = shuffled(run.state, PROMPT, np.random.default_rng(seed), run.names())
        piece = sequence(run, PROMPT, encoder, rng=np.random.default_rng(seed), augmentation=shuffled)
        expected = [example.state.space.names.index(n) for n in state.space.names]
        assert piece.target.argmax(-1).tolist() == expected
        orders.add(tuple(expected))
    assert len(orders) > 3


def test_a_subset_leaves_hyperparameters_out_and_equal_seeds_agree(example, encoder):
    often = Augmentation(subset=1.0, signals=1.0, task=0.5, history=0.5)
    found = [sequence(example, PROMPT, encoder, rng=np.random.default_rng(s), augmentation=often) for s in (1, 1, 2, 3, 4)]
    assert found[0].ids.tolist() == found[1].ids.tolist()
    assert all(len(p.before) < 30 and len(p.before) % 6 == 0 for p in found)
    assert len({len(p.ids) for p in found}) > 1


def test_a_subset_leaves_something_that_has_labels(example, encoder):
    last = example.state.space.names[-1]
    run = dataclasses.replace(example, labels={i: {last: label[last]} for i, label in example.labels.items()})
    always = Augmentation(subset=1.0)
    found = [sequence(run, PROMPT, encoder, rng=np.random.default_rng(seed), augmentation=always) for seed in range(8)]
    assert {len(piece.before) for piece in found} == {len(run.labels)}
    with pytest.raises(InvalidValue, match="no labelled decision"):
        sequence(dataclasses.replace(example, labels={}), PROMPT, encoder, rng=np.random.default_rng(0), augmentation=always)


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_a_long_run_is_scored_on_the_very_transcripts_that_a_controller_reads(example, encoder, rows):
    prompt = dataclasses.replace(PROMPT, window=rows)
    whole = sequence(example, PROMPT, encoder)
    found = pieces(example, prompt, encoder, 8192)
    read = Transcriber([prompt], lambda atoms: tuple(encoder.encode(atoms).ids), 8192)
    wanted = {}
    for i in range(example.state.index + 1):
        transcript = read(prefix(example.state, i))
        rows_read = template.rows(transcript.state, transcript.config, transcript.start)
        wanted[transcript.start] = [*transcript.head_ids, *(t for row in rows_read for t in encoder.encode(row.atoms).ids)]
    assert [p.ids.tolist() for p in found] == list(wanted.values())
    assert sum(len(p.before) for p in found) == len(whole.before)
    np.testing.assert_array_equal(np.concatenate([p.target for p in found]), whole.target)
    assert all((p.ids[p.before + 1] == encoder.digits[3]).all() for p in found)
    with pytest.raises(InvalidValue, match="do not fit"):
        pieces(example, prompt, encoder, 60)

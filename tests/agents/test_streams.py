"""Two takers of random numbers in one process, in turn."""

from __future__ import annotations

import random

import numpy as np
import torch

from hyperprompt.agents.streams import Streams


def draw() -> tuple[float, ...]:
    return random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: NPY002


def seed(value: int) -> None:
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002
    torch.manual_seed(value)


def alone(value: int) -> list[tuple[float, ...]]:
    seed(value)
    return [draw() for _ in range(3)]


def test_each_goes_on_where_it_stopped_and_leaves_the_others_theirs() -> None:
    expected = {value: alone(value) for value in (1, 2)}
    seed(9)
    begun = draw()
    own = {value: Streams() for value in expected}
    for value, streams in own.items():
        with streams.active():
            seed(value)
    drawn: dict[int, list[tuple[float, ...]]] = {value: [] for value in own}
    for _ in range(3):
        for value, streams in own.items():
            with streams.active():
                drawn[value].append(draw())
    assert drawn == expected
    between = draw()
    seed(9)
    assert (draw(), draw()) == (begun, between)


def test_an_error_inside_gives_the_generators_back() -> None:
    seed(9)
    streams = Streams()
    try:
        with streams.active():
            seed(1)
            raise RuntimeError
    except RuntimeError:
        between = draw()
    seed(9)
    assert draw() == between

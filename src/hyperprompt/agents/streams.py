"""Random streams of one run: several runs train in turn in one process, and none draws from another's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


class Streams:
    """The process-wide generators of Python, numpy and torch as one run left them.

    Libraries draw from them without asking whose turn it is. What runs under `active` goes on where it stopped the last
    time, and leaves the generators to everyone else as it found them. The first time it begins where they stand.
    """

    def __init__(self) -> None:
        self._own: tuple[Any, ...] | None = None

    @contextmanager
    def active(self) -> Iterator[None]:
        outer = _read()
        if self._own is not None:
            _write(self._own)
        try:
            yield
        finally:
            self._own = _read()
            _write(outer)


def _read() -> tuple[Any, ...]:
    accelerator = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), accelerator  # noqa: NPY002


def _write(states: tuple[Any, ...]) -> None:
    python, numpy, cpu, accelerator = states
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    torch.set_rng_state(cpu)
    if accelerator:
        torch.cuda.set_rng_state_all(accelerator)

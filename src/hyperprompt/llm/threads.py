"""How many threads a pass of the language model takes: every core, unless others are at work on them.

The RL training beside us runs on one thread, and its number is restored after every pass. Threads of one matrix product wait
for each other: with a single other process on two cores a pass took 1.4 to 2.0 s on two threads and 0.2 s on one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SHARE = 0.85
"""Share of the cores' time below which a pass is taken to have been interrupted by others."""
_LONGEST = 32


class Threads:
    """Takes one thread for a while after a pass on all cores that did not get them, then tries again.

    The while doubles with every failure, from two passes to 32, so that a false alarm costs little and a busy machine not
    much more.
    """

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self._alone = 0
        self._wait = 1

    def next(self) -> int:
        """Threads for the pass to come."""
        if self._alone > 0:
            self._alone -= 1
            return 1
        return self.cores

    def report(self, threads: int, wall: float, cpu: float) -> None:
        """What the pass took: seconds on the wall's clock, and of processor time over all threads."""
        if threads == 1:
            return
        if cpu < _SHARE * threads * wall:
            self._wait = min(2 * self._wait, _LONGEST)
            self._alone = self._wait
        else:
            self._wait = 1


_THREADS = Threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@contextmanager
def all_cores() -> Iterator[None]:
    """Torch on as many threads as help within the block, and on as many as before after it."""
    before, threads = torch.get_num_threads(), _THREADS.next()
    torch.set_num_threads(threads)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        _THREADS.report(threads, time.perf_counter() - wall, time.process_time() - cpu)
        torch.set_num_threads(before)

"""How many threads a pass of the language model takes: as many as there were cores for it since the last one.

    threads = (core-seconds idle + core-seconds of this process and its children) / seconds

The RL training in this process stands still during a pass, so what it took is there to be taken; what other processes took is
not. Threads of one matrix product wait for each other: with another process at work on two cores a pass takes 1.4 to 5 s on
two threads, and 0.2 to 0.4 on one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import torch

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_ROUNDING = 0.3
"""What may be missing of a core for it to count: the machine's own work, and clocks that tick a hundred times a second."""
_SHORTEST = 0.2
"""Seconds below which such clocks say nothing; the last answer stands."""


def cores() -> int:
    """Cores this process may use: those of its affinity, and no more than a container's quota (cgroup v2) pays for."""
    count = len(_affinity())
    with suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text().split()
        count = min(count, max(1, int(quota) // int(period)))
    return count


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def ours_or_idle() -> float:
    """Core-seconds so far that this process and its children took, or nobody."""
    allowed = _affinity()
    idle = sum(cpu.idle for number, cpu in enumerate(psutil.cpu_times(percpu=True)) if number in allowed)
    ours = time.process_time()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            times = child.cpu_times()
            ours += times.user + times.system
    return float(idle) + ours


class Threads:
    """Answers from two readings of the clocks; the first interval begins with the object.

    Args:
        cores: the most threads to take.
        available: core-seconds so far that could have been ours.
        clock: seconds.
    """

    def __init__(
        self, cores: int, available: Callable[[], float] = ours_or_idle, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._cores, self._available, self._clock = cores, available, clock
        self._last = clock(), available()
        self._threads = 1

    def next(self) -> int:
        """Threads for the pass to come."""
        now = self._clock(), self._available()
        seconds, core_seconds = now[0] - self._last[0], now[1] - self._last[1]
        if seconds >= _SHORTEST:
            self._last = now
            self._threads = min(self._cores, max(1, int(core_seconds / seconds + _ROUNDING)))
        return self._threads


_THREADS = Threads(cores())


@contextmanager
def all_cores() -> Iterator[None]:
    """Torch on as many threads as help within the block, and on as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(_THREADS.next())
    try:
        yield
    finally:
        torch.set_num_threads(before)

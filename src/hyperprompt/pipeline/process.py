"""What a process that trains agents does first."""

from __future__ import annotations

import ctypes

import torch

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's malloc.h


def prepare() -> None:
    """One torch thread, and freed memory kept for the next batch.

    More threads slow small networks down and starve runs side by side. glibc gives large arrays back to the system when they
    are freed and faults every page in again for the next batch: where a batch is 2,048 images that is more than half of the
    time of an update. Keeping them holds 7 GB there in place of 4. Does nothing to the memory where the C library is another.
    """
    torch.set_num_threads(1)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_MMAP_MAX, 0)  # large arrays too are of the heap, whose end is
    mallopt(_TRIM_THRESHOLD, -1)  # never given back

"""From one seed to one seed per environment."""

from __future__ import annotations

import numpy as np


def spread(seed: int, n: int) -> list[int]:
    """`n` seeds in [0, 2**31) for the environments of a run.

    The usual seed, seed + 1, ... gives runs with neighbouring seeds n - 1 equal environments, so that 'independent' runs
    share their initial states; these do not.
    """
    return [int(word) >> 1 for word in np.random.SeedSequence(seed).generate_state(n)]


def draw() -> int:
    """A seed nobody chose, from the operating system's entropy."""
    return int(np.random.SeedSequence().generate_state(1)[0])

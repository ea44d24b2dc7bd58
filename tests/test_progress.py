"""Times as the display and the benchmark say them."""

import math

import pytest

from hyperprompt.progress import clock


@pytest.mark.parametrize(
    ("seconds", "said"), [(7.9, "0:00:07"), (754, "0:12:34"), (3 * 86400 + 3600, "3 days, 1:00:00"), (math.nan, "-")]
)
def test_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hyperprompt.prompt.template import start_row


@given(st.integers(1, 500), st.integers(1, 40))
def test_between_l_and_2l_rows_are_kept_and_rebases_are_rare(rows, window):
    kept = rows - start_row(rows, window)
    assert kept == rows if rows <= 2 * window else window < kept <= 2 * window
    rebases = sum(start_row(n, window) != start_row(n + 1, window) for n in range(1, rows))
    assert rebases <= max(0, (rows - 1) // window - 1)

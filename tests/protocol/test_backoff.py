"""How long a device waits: doubling from 1 s to 60 s, a quarter either way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plexus.protocol.backoff import backoff_s


def test_it_doubles_up_to_a_minute() -> None:
    assert [backoff_s(attempt, lambda: 0.5) for attempt in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_it_is_never_off_by_more_than_a_quarter(attempt: int, chance: float) -> None:
    middle = backoff_s(attempt, lambda: 0.5)
    assert 0.75 * middle <= backoff_s(attempt, lambda: chance) <= 1.25 * middle

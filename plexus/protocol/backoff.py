"""How long to wait before the next try (protocol page, section 4): doubling from 1 s to 60 s, 25 % either way."""

from __future__ import annotations

from collections.abc import Callable

FIRST_S, LONGEST_S = 1.0, 60.0
JITTER = 0.25


def backoff_s(attempt: int, random: Callable[[], float]) -> float:
    """Seconds to wait after failure number `attempt`, counted from 0; `random` gives numbers from 0 up to 1."""
    # 2**6 passes 60 s already; a larger exponent would only overflow.
    wait = min(LONGEST_S, FIRST_S * 2.0 ** min(attempt, 6))
    return wait * (1.0 - JITTER + 2.0 * JITTER * random())

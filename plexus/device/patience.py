"""Waiting in the thread that signals come to.

A signal that comes when a wait is about to begin is heard when the wait ends: none can be begun that a signal which is
there already keeps from beginning. So a long wait is many short ones, and Ctrl-C or SIGTERM is heard soon.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PIECE_S = 0.5


def patiently(
    wait: Callable[[float], object],
    is_over: Callable[[], bool],
    timeout: float | None,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Return when `is_over()`, or after `timeout` seconds (None: never before); `wait(seconds)` may return sooner."""
    end = None if timeout is None else now() + timeout
    while not is_over():
        left = PIECE_S if end is None else min(PIECE_S, end - now())
        if left <= 0.0:
            return
        wait(left)

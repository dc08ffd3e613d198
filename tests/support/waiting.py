"""Waiting for a condition of another thread or process, without guessing how long it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_pause = threading.Event()


def eventually(predicate: Callable[[], object], timeout: float = 10.0, what: str = "the condition") -> None:
    """Return as soon as `predicate()` is true; fail when it is not within `timeout` seconds."""
    end = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < end, f"{what} did not come true within {timeout:g} s"
        _pause.wait(0.01)

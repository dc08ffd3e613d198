"""Threads of a process of our own take short turns at the interpreter.

A thread that works in Python is asked to let go after 5 ms by default. The way of an acknowledgement takes the
interpreter half a dozen times, on the event loop and in the thread that commits, so beside one busy question it would
take 30 ms. A switch costs microseconds: a thousand of them a second are well spent.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

TURN_S = 0.001


@contextlib.contextmanager
def short_turns() -> Iterator[None]:
    """Until the end, a thread that others wait for lets go after `TURN_S` seconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)

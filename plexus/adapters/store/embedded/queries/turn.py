"""Rows become objects one large question at a time.

Making a hundred thousand values out of columns is work of Python's own, and every thread that does such work makes the
event loop wait for the interpreter once more. With four of them an acknowledgement waited for a tenth of a second; one
after the other they are done as soon, and the event loop waits for one. What is small does not queue for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 5_000
"""Rows from which on they are many: some milliseconds."""

# One for the process, as the interpreter's own is.
_one = threading.Lock()


@contextmanager
def alone(rows: int) -> Iterator[None]:
    """While this lasts, no other question makes objects of many rows. Hold nothing that others wait for."""
    if rows < MANY:
        yield
        return
    with _one:
        yield

"""How long the gateway's event loop is kept by one thing before it comes to the next: what everybody else waits.

It is told in the time that the loop's thread worked, so that other processes of this machine do not count.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from plexus.gateway import Gateway
from tests.support.gateway import PATIENCE_S


@contextmanager
def longest_turn(gateway: Gateway) -> Iterator[list[float]]:
    """Fills the list with the seconds of work of the longest turn of the loop while this lasted."""
    found: list[float] = []
    watch = _Watch()
    server = gateway._server
    assert server is not None
    server.call(watch.begin)
    assert watch.begun.wait(PATIENCE_S)
    try:
        yield found
    finally:
        server.call(watch.end)  # from the loop, so that the turn that is going on counts too
        assert watch.ended.wait(PATIENCE_S)
        found.append(watch.longest)


class _Watch:
    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()
        self.longest = 0.0
        self._at = 0.0

    def begin(self) -> None:
        self._at = time.thread_time()
        self._turn()
        self.begun.set()

    def end(self) -> None:
        self._look()
        self.ended.set()

    def _turn(self) -> None:
        self._look()
        if not self.ended.is_set():
            asyncio.get_running_loop().call_soon(self._turn)

    def _look(self) -> None:
        now = time.thread_time()
        self._at, self.longest = now, max(self.longest, now - self._at)

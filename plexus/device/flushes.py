"""Wishes that all that was taken so far be delivered, or at least be safe, and the answers to them."""

from __future__ import annotations

import threading
from collections import deque

import attrs

from plexus.device.counters import Counters
from plexus.device.dispatch import Dispatch


@attrs.define(eq=False)
class Flush:
    """A wish that the first `upto` readings of this client are delivered, and the backlog with them.

    `durable`: in a buffer that outlives the process is as good. `done` is set when that is so (`delivered`) or in
    vain. `mark` is the last of the batches that hold these readings.
    """

    upto: int
    durable: bool = False
    done: threading.Event = attrs.field(factory=threading.Event)
    delivered: bool = False
    mark: int | None = None


class Flushes:
    """All wishes that are open. `wish` is for any thread, the rest for the uplink's."""

    def __init__(self, tally: Counters, dispatch: Dispatch) -> None:
        self._counters = tally
        self._dispatch = dispatch
        self._wishes: deque[Flush] = deque()
        self._open: list[Flush] = []
        self._over = False

    def wish(self, upto: int, *, durable: bool) -> Flush:
        """Ask for the first `upto` readings."""
        flush = Flush(upto, durable)
        self._wishes.append(flush)
        if self._over:
            flush.done.set()
        return flush

    def begin(self) -> bool:
        """Take in new wishes, before a step; whether there are any."""
        had = bool(self._wishes)
        while self._wishes:
            self._open.append(self._wishes.popleft())
        return had

    def want_all(self) -> bool:
        """Whether readings must be sealed without waiting for more."""
        return any(flush.mark is None for flush in self._open)

    def settle(self) -> None:
        """Answer what is fulfilled, after a step."""
        for flush in list(self._open):
            if flush.mark is None and self._counters.taken >= flush.upto:
                if flush.durable:
                    self._dispatch.make_safe()
                flush.mark = self._dispatch.mark()
            if flush.mark is not None and self._is_fulfilled(flush, flush.mark):
                self._open.remove(flush)
                flush.delivered = True
                flush.done.set()

    def refused(self) -> None:
        """The gateway lets this device in no more: who waits for delivery waits in vain, who waits for a disk does not.

        The readings stay, and are tried again; a new wish asks the gateway anew.
        """
        for flush in [flush for flush in self._open if not flush.durable]:
            self._open.remove(flush)
            flush.done.set()

    def end(self) -> None:
        """Nothing is delivered any more: what is safe is safe, the rest was in vain."""
        self._over = True
        self.begin()
        for flush in self._open:
            flush.done.set()
        self._open.clear()

    def _is_fulfilled(self, flush: Flush, mark: int) -> bool:
        return self._dispatch.is_settled(mark) or (flush.durable and self._dispatch.is_safe(mark))

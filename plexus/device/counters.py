"""What became of the points: counted where it happens, readable at any time (delivery page, `stats()`)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

import attrs

log = logging.getLogger("plexus")

BUFFER_FULL = "buffer_full"
CLOSED = "closed"
FORKED = "forked"
NON_FINITE = "non_finite"
RATE_LIMITED = "rate_limited"
REFUSED = "refused"
SPOOL_FAULT = "spool_fault"
TOO_LARGE = "too_large"
UNREADABLE = "unreadable"


@attrs.frozen
class Stats:
    """A snapshot of one client's delivery, in points.

    Attributes:
        accepted: taken by `send` and its siblings.
        delivered: acknowledged by the gateway (or written to it, where it has no acknowledgements), with what an
            earlier process left behind.
        buffered: waiting, in memory or in the spool.
        in_flight: sent and not acknowledged.
        retried: taken back to be sent again, because a link broke or the gateway asked for it.
        dropped: by reason; nothing is dropped without being counted here.
        link: "ws", "http", "custom" for a transport of the program's own, "" while there is none.
        clock_offset_ms: how far the gateway's clock is ahead of this machine's, None before the first link.
        clock_error_ms: how wrong that may be: half the round trip that measured it.
    """

    accepted: int
    delivered: int
    buffered: int
    in_flight: int
    retried: int
    dropped: Mapping[str, int]
    link: str
    clock_offset_ms: float | None
    clock_error_ms: float


class Counters:
    """The running numbers. `delivered` and `retried` are for the uplink's thread alone."""

    def __init__(self) -> None:
        self.taken = 0
        self.delivered = 0
        self.retried = 0
        self._dropped: dict[str, int] = {}
        self._lock = threading.Lock()

    def took(self, count: int) -> None:
        """Readings left the intake. Any thread may call this."""
        with self._lock:
            self.taken += count

    def drop(self, reason: str, count: int, detail: str = "") -> None:
        """Count a loss, and say it in the log the first time for a reason. Any thread may call this."""
        if count <= 0:
            return
        with self._lock:
            first = reason not in self._dropped
            self._dropped[reason] = self._dropped.get(reason, 0) + count
        if first:
            why = f": {detail}" if detail else ""
            log.warning("%d points dropped (%s)%s; counted in stats().dropped", count, reason, why)

    def dropped(self) -> dict[str, int]:
        """Losses by reason."""
        with self._lock:
            return dict(self._dropped)

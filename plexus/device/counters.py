"""What became of the points: counted where it happens, readable at any time (delivery page, `stats()`).

A drop is counted at once. From there it goes two ways, both taken by the uplink: to the program (`take_news`), and into
the record that the gateway is told of (`take_unrecorded`), unless the buffer that dropped it has recorded it already.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Literal

import attrs

from plexus.domain.loss import Loss

log = logging.getLogger("plexus")

BUFFER_FULL = "buffer_full"
CLOSED = "closed"
FORKED = "forked"
MALFORMED = "malformed"
NON_FINITE = "non_finite"
RATE_LIMITED = "rate_limited"
REFUSED = "refused"
SPOOL_DAMAGED = "spool_damaged"
SPOOL_FAULT = "spool_fault"
TOO_LARGE = "too_large"
UNREADABLE = "unreadable"

SpoolState = Literal["disk", "memory", "failing"]
Durability = Literal["spool", "strict", "memory"]


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
        clock_offset_ms: how far the gateway's clock is ahead of this machine's, None before it was told.
        clock_error_ms: how wrong that may be: half the round trip that measured it.
        declared: dropped ones that the gateway has a record of, with those of earlier processes.
        dead_letters: refused for good, and kept for a person to look at.
        dead_letter_faults: refused for good, and not kept, because the file failed.
        oldest_unsent_s: age of the oldest reading that is not delivered, seconds; 0 when there is none. What waits in
            the spool is as old as its timestamp says.
        durability: "spool", "strict", or "memory".
        spool: where what waits is kept: "disk", "memory" when that was chosen, "failing" when it should be on disk and
            the disk takes nothing in.
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
    declared: int = 0
    dead_letters: int = 0
    dead_letter_faults: int = 0
    oldest_unsent_s: float = 0.0
    durability: Durability = "spool"
    spool: SpoolState = "disk"


class Counters:
    """The running numbers. Plain attributes are for the uplink's thread alone; any thread may call the methods."""

    def __init__(self) -> None:
        self.taken = 0
        self.delivered = 0
        self.retried = 0
        self.declared = 0
        self.dead_letters = 0
        self.dead_letter_faults = 0
        self._dropped: dict[str, int] = {}
        self._news: dict[str, tuple[Loss, str]] = {}
        self._unrecorded: dict[str, Loss] = {}
        self._lock = threading.Lock()

    def took(self, count: int) -> None:
        """Readings left the intake."""
        with self._lock:
            self.taken += count

    def drop(
        self,
        reason: str,
        count: int,
        detail: str = "",
        *,
        first_ms: float | None = None,
        last_ms: float | None = None,
        recorded: bool = False,
    ) -> None:
        """Count a loss, and say it in the log the first time for a reason. `recorded`: a buffer has it on record."""
        if count <= 0:
            return
        loss = Loss(reason, count, first_ms, last_ms)
        with self._lock:
            first = reason not in self._dropped
            self._dropped[reason] = self._dropped.get(reason, 0) + count
            news = self._news.get(reason)
            self._news[reason] = (loss, detail) if news is None else (news[0].with_more(loss), news[1])
            if not recorded:
                known = self._unrecorded.get(reason)
                self._unrecorded[reason] = loss if known is None else known.with_more(loss)
        if first:
            why = f": {detail}" if detail else ""
            log.warning("%d points dropped (%s)%s; counted in stats().dropped", count, reason, why)

    def dropped(self) -> dict[str, int]:
        """Losses by reason."""
        with self._lock:
            return dict(self._dropped)

    def take_news(self) -> list[tuple[Loss, str]]:
        """Losses since the last call, one for each reason, each with the first words for why."""
        if not self._news:
            return []
        with self._lock:
            taken, self._news = self._news, {}
        return list(taken.values())

    @property
    def unrecorded(self) -> bool:
        """Whether there are losses that no buffer has on record."""
        return bool(self._unrecorded)

    def take_unrecorded(self) -> list[Loss]:
        """Those losses, one for each reason; whoever takes them records them."""
        with self._lock:
            taken, self._unrecorded = self._unrecorded, {}
        return list(taken.values())

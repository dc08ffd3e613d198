"""What became of the points: counted where it happens, readable at any time (delivery page, `stats()`)."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import attrs

log = logging.getLogger("plexus")


@attrs.frozen
class Stats:
    """A snapshot of one client's delivery, in points.

    Attributes:
        accepted: taken by `send` and its siblings.
        delivered: acknowledged by the gateway (or written to it, where it has no acknowledgements).
        buffered: waiting, in memory or in the spool.
        in_flight: sent and not acknowledged.
        retried: sent again because a link broke or the gateway asked for it.
        dropped: by reason; nothing is dropped without being counted here.
        link: "ws", "http", a custom transport's "custom", or "" while there is none.
        clock_offset_ms: correction of this machine's clock by the gateway's.
    """

    accepted: int
    delivered: int
    buffered: int
    in_flight: int
    retried: int
    dropped: Mapping[str, int]
    link: str
    clock_offset_ms: float


@attrs.define
class Counters:
    """The running numbers; written by the uplink's thread only."""

    taken: int = 0
    delivered: int = 0
    retried: int = 0
    dropped: dict[str, int] = attrs.field(factory=dict)

    def drop(self, reason: str, count: int, detail: str = "") -> None:
        """Count a loss and say it once a reason; the count is in `stats().dropped` ever after."""
        if count <= 0:
            return
        if reason not in self.dropped:
            log.warning(
                "%d points dropped (%s)%s; counted in stats().dropped", count, reason, f": {detail}" if detail else ""
            )
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    @property
    def dropped_total(self) -> int:
        """All losses together."""
        return sum(self.dropped.values())

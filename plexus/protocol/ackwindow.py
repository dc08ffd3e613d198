"""Which `telemetry_ack` may be sent (protocol page, section 4).

An ack for N covers everything up to N, and 0.16.0 sends from several threads, so a higher `seq` can arrive first.
Acknowledging it would release a lower frame that has not arrived. So a hole holds the ack back for a while; a number
that was skipped for good stops mattering when the patience is over.
"""

from __future__ import annotations

PATIENCE_S = 0.25


class AckWindow:
    """Settled `seq` numbers of one connection in; the highest number that may be acknowledged out."""

    def __init__(self) -> None:
        self._floor = 0
        self._above: set[int] = set()
        self._hole_since: float | None = None

    def settle(self, seq: int, now: float) -> int | None:
        """`seq` is stored (or refused). Returns the number to acknowledge, None if there is none yet."""
        if seq > self._floor:
            self._above.add(seq)
        return self._advance(now)

    def tick(self, now: float) -> int | None:
        """The time went on: returns a number to acknowledge if a hole has been waited for long enough."""
        if self._hole_since is None or now < self._hole_since + PATIENCE_S:
            return None
        self._floor = min(self._above) - 1
        return self._advance(now)

    @property
    def deadline(self) -> float | None:
        """When to call `tick` next, None if nothing waits."""
        return None if self._hole_since is None else self._hole_since + PATIENCE_S

    def _advance(self, now: float) -> int | None:
        before = self._floor
        while self._floor + 1 in self._above:
            self._floor += 1
            self._above.discard(self._floor)
        moved = self._floor > before
        if not self._above:
            self._hole_since = None
        elif moved or self._hole_since is None:
            self._hole_since = now
        return self._floor if moved else None

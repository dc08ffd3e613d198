"""How many messages a second somebody may send: a bucket that fills at the rate and holds a burst."""

from __future__ import annotations

import math
from collections.abc import Callable

FORGET_ABOVE = 4_096
"""Buckets from which on full ones, which are as good as new ones, are let go of."""


class Bucket:
    """One sender's. `monotonic` is seconds; a rate of 0 is no limit."""

    __slots__ = ("_at", "_burst", "_level", "_monotonic", "_per_s")

    def __init__(self, per_s: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = float(max(1, burst))
        self._monotonic = monotonic
        self._level = self._burst
        self._at = monotonic()

    def take(self) -> bool:
        """Take one, if there is one."""
        if not self._per_s:
            return True
        self._fill()
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True

    def owe(self) -> float:
        """Take one in any case; returns how many seconds to wait until it is paid for."""
        if not self._per_s:
            return 0.0
        self._fill()
        self._level -= 1.0
        return max(0.0, -self._level / self._per_s)

    def give_back(self) -> None:
        """What was taken was not used."""
        self._level += 1.0

    @property
    def next_s(self) -> float:
        """How many seconds until there is one to take."""
        if not self._per_s:
            return 0.0
        self._fill()
        return max(0.0, (1.0 - self._level) / self._per_s)

    @property
    def full(self) -> bool:
        """Whether nothing was taken for a while."""
        self._fill()
        return self._level >= self._burst

    def _fill(self) -> None:
        now = self._monotonic()
        self._level = min(self._burst, self._level + (now - self._at) * self._per_s)
        self._at = now


class SourceRates:
    """A bucket for each source that sent lately."""

    def __init__(self, per_s: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = burst
        self._monotonic = monotonic
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._forget_above = FORGET_ABOVE

    def of(self, org: str, source_id: str) -> Bucket:
        """The bucket of a source."""
        bucket = self._buckets.get((org, source_id))
        if bucket is None:
            if len(self._buckets) >= self._forget_above:
                self._forget()
            bucket = self._buckets[org, source_id] = Bucket(self._per_s, self._burst, self._monotonic)
        return bucket

    def _forget(self) -> None:
        self._buckets = {name: bucket for name, bucket in self._buckets.items() if not bucket.full}
        # As many again before the next look, so that a look costs each newcomer little.
        self._forget_above = max(FORGET_ABOVE, 2 * len(self._buckets))


def retry_after(seconds: float) -> tuple[bytes, bytes]:
    """The header that says when to come back: whole seconds, at least one."""
    return b"retry-after", str(max(1, math.ceil(seconds))).encode()

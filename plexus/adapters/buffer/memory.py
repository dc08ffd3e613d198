"""The memory buffer: what it keeps ends with the process. The model that the durable ones are compared with."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from plexus.adapters.buffer.bound import checked_bound
from plexus.protocol.batch import Batch


class MemoryBuffer:
    """Keeps batches of at most `max_points` points; raises ConfigurationError for a bound under 1."""

    def __init__(self, max_points: int) -> None:
        self._max_points = checked_bound(max_points)
        self._kept: dict[tuple[str, int], Batch] = {}
        self._points = 0

    @property
    def durable(self) -> bool:
        """False."""
        return False

    @property
    def points(self) -> int:
        """How many points are kept."""
        return self._points

    def append(self, batches: Iterable[Batch]) -> list[Batch]:
        """Keep these; returns what had to make room."""
        for batch in batches:
            if (batch.stream, batch.n) not in self._kept:
                self._kept[batch.stream, batch.n] = batch
                self._points += batch.count
        evicted: list[Batch] = []
        while self._points > self._max_points:
            oldest = self._kept.pop(next(iter(self._kept)))
            self._points -= oldest.count
            evicted.append(oldest)
        return evicted

    def oldest(self, skip: int, count: int) -> list[Batch]:
        """Up to `count` batches in order of age, after the `skip` oldest."""
        return list(islice(self._kept.values(), skip, skip + count))

    def release(self, batches: Iterable[Batch]) -> None:
        """Forget these."""
        for batch in batches:
            kept = self._kept.pop((batch.stream, batch.n), None)
            if kept is not None:
                self._points -= kept.count

    def close(self) -> None:
        """Nothing to let go of."""

"""The memory buffer: what it keeps ends with the process. The model that the durable ones are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from plexus.adapters.buffer.bound import checked_bound
from plexus.adapters.buffer.lossbook import LossBook, enter, lost_with, strike
from plexus.domain.loss import Loss
from plexus.protocol.batch import Batch


class MemoryBuffer:
    """Keeps batches of at most `max_points` points; raises ConfigurationError for a bound under 1."""

    def __init__(self, max_points: int) -> None:
        self._max_points = checked_bound(max_points)
        self._kept: dict[tuple[str, int], Batch] = {}
        self._losses: LossBook = {}
        self._points = 0

    @property
    def durable(self) -> bool:
        """False."""
        return False

    @property
    def points(self) -> int:
        """How many points are kept."""
        return self._points

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        """Keep these; returns what had to make room."""
        for batch in batches:
            self._add(batch)
        return self._make_room(spared)

    def oldest(self, skip: int, count: int) -> list[Batch]:
        """Up to `count` batches in order of age, after the `skip` oldest."""
        return list(islice(self._kept.values(), skip, skip + count))

    def rewrite(self, batches: Iterable[Batch]) -> None:
        """Put these in the place of the batches of the same names."""
        for batch in batches:
            name = (batch.stream, batch.n)
            before = self._kept.get(name)
            if before is not None:
                self._kept[name] = batch
                self._points += batch.count - before.count

    def replace(self, old: Iterable[Batch], new: Iterable[Batch]) -> list[Batch]:
        """Keep the new ones, at the young end, and forget the old; returns what had to make room."""
        self.release(old)
        return self.append(new)

    def release(self, batches: Iterable[Batch]) -> None:
        """Forget these."""
        for batch in batches:
            kept = self._kept.pop((batch.stream, batch.n), None)
            if kept is not None:
                self._points -= kept.count

    def lose(self, losses: Iterable[Loss]) -> None:
        """Record these losses."""
        enter(self._losses, losses)

    def found(self, losses: Iterable[Loss]) -> None:
        """Take these off the record."""
        strike(self._losses, losses)

    def losses(self) -> Sequence[Loss]:
        """What was lost and is in no batch yet."""
        return tuple(self._losses.values())

    def declare(self, batch: Batch) -> list[Batch]:
        """Keep `batch`, and take its losses off the record; returns what had to make room."""
        if self._add(batch):
            strike(self._losses, batch.losses)
        return self._make_room(())

    def close(self) -> None:
        """Nothing to let go of."""

    def _add(self, batch: Batch) -> bool:
        if (batch.stream, batch.n) in self._kept:
            return False
        self._kept[batch.stream, batch.n] = batch
        self._points += batch.count
        return True

    def _make_room(self, spared: Iterable[Batch]) -> list[Batch]:
        evicted: list[Batch] = []
        if self._points > self._max_points:
            names = {(batch.stream, batch.n) for batch in spared}
            for name, oldest in self._kept.items():
                if self._points <= self._max_points:
                    break
                if oldest.count:
                    self._points -= oldest.count
                    evicted.append(oldest)
                    if name not in names:
                        enter(self._losses, lost_with(oldest))
            for batch in evicted:
                del self._kept[batch.stream, batch.n]
        return evicted

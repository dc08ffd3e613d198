"""The device's disk: what was flushed stays through a kill and a power cut, what was not may come back or be gone.

A release costs no flush: it is on disk with the next change that does, and until then a kill may forget it. A fault
fails the call and leaves what was kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence

import attrs

from plexus.adapters.buffer.lossbook import enter, lost_with, strike
from plexus.domain.errors import BufferFault
from plexus.domain.loss import Loss
from plexus.protocol.batch import Batch
from tests.simulation.world import Broken

Key = tuple[str, int]
Row = tuple[int, Batch]

NAME = "/spool/drone-01.db"
MOST_READS = 5_000


@attrs.define(eq=False)
class Disk:
    """What is on the platter. `gone` are rows whose release is not flushed yet."""

    max_points: int
    rows: dict[Key, Row] = attrs.field(factory=dict)
    gone: dict[Key, Row] = attrs.field(factory=dict)
    losses: dict[str, Loss] = attrs.field(factory=dict)
    ids: int = 0
    is_full: bool = False
    is_unreadable: bool = False

    def open(self, flush: Callable[[], None]) -> DiskBuffer:
        """The buffer, as a process finds it."""
        return DiskBuffer(self, flush)

    def clone(self) -> Disk | None:
        """A copy of the card as it is now; None while it holds what two machines would stamp differently."""
        if any(batch.unsynced is not None for _, batch in self.rows.values()):
            return None
        return copy.copy(self).taken_apart()

    def taken_apart(self) -> Disk:
        """Shares nothing that changes with what it was copied from."""
        self.rows, self.gone, self.losses = dict(self.rows), dict(self.gone), dict(self.losses)
        return self

    def cut(self, kept: Callable[[], bool]) -> None:
        """The process is gone: releases that were not flushed are forgotten, from one of them on."""
        names = list(self.gone)
        forgotten = 0
        while names and kept():
            names.pop()
            forgotten += 1
        back = {key: self.gone[key] for key in list(self.gone)[len(names) :]}
        self.rows = dict(sorted({**self.rows, **back}.items(), key=lambda item: item[1][0]))
        self.gone.clear()

    @property
    def points(self) -> int:
        """What a process finds."""
        return sum(batch.count for _, batch in self.rows.values())


class DiskBuffer:
    """The buffer port over a disk. `flush` is called for each change that is flushed: it takes time, and may kill."""

    def __init__(self, disk: Disk, flush: Callable[[], None]) -> None:
        self.disk = disk
        self.closed = False
        self.reads = 0
        """Since the step began."""
        self._flush = flush
        self._points = disk.points

    @property
    def durable(self) -> bool:
        return True

    @property
    def points(self) -> int:
        return self._points

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        self._begin()
        for batch in batches:
            self._put(batch)
        return self._make_room({(batch.stream, batch.n) for batch in spared})

    def oldest(self, skip: int, count: int) -> list[Batch]:
        self._check(writes=False)
        self.reads += 1
        if self.reads > MOST_READS:
            raise Broken(f"{NAME} spins: it was read {self.reads} times in one step")
        if not skip and count == 1:
            return [next(iter(self.disk.rows.values()))[1]] if self.disk.rows else []
        return [batch for _, batch in list(self.disk.rows.values())[skip : skip + count]]

    def rewrite(self, batches: Iterable[Batch]) -> None:
        self._begin()
        for batch in batches:
            key = (batch.stream, batch.n)
            if key in self.disk.rows:
                number, old = self.disk.rows[key]
                self.disk.rows[key] = (number, batch)
                self._points += batch.count - old.count

    def replace(self, old: Iterable[Batch], new: Iterable[Batch]) -> list[Batch]:
        self._begin()
        for batch in old:
            self._take(batch)
        for batch in new:
            self._put(batch)
        return self._make_room(set())

    def release(self, batches: Iterable[Batch]) -> None:
        self._check(writes=True)
        for batch in batches:
            row = self._take(batch)
            if row is not None:
                self.disk.gone[batch.stream, batch.n] = row

    def lose(self, losses: Iterable[Loss]) -> None:
        self._begin()
        enter(self.disk.losses, losses)

    def found(self, losses: Iterable[Loss]) -> None:
        self._begin()
        strike(self.disk.losses, losses)

    def losses(self) -> Sequence[Loss]:
        self._check(writes=False)
        return list(self.disk.losses.values())

    def declare(self, batch: Batch) -> list[Batch]:
        self._begin()
        if self._put(batch):
            strike(self.disk.losses, batch.losses)
        return self._make_room(set())

    def close(self) -> None:
        self.closed = True

    # --- inside ---------------------------------------------------------------------------------------------

    def _check(self, *, writes: bool) -> None:
        if self.closed:
            raise BufferFault(f"{NAME} is closed")
        if self.disk.is_unreadable:
            raise BufferFault(f"{NAME}: disk I/O error")
        if writes and self.disk.is_full:
            raise BufferFault(f"{NAME} cannot grow: the disk is full")

    def _begin(self) -> None:
        """A change that is flushed, with all that was released before it."""
        self._check(writes=True)
        self._flush()
        self.disk.gone.clear()

    def _put(self, batch: Batch) -> bool:
        key = (batch.stream, batch.n)
        if key in self.disk.rows:
            return False
        self.disk.ids += 1
        self.disk.rows[key] = (self.disk.ids, batch)
        self._points += batch.count
        return True

    def _take(self, batch: Batch) -> Row | None:
        row = self.disk.rows.pop((batch.stream, batch.n), None)
        if row is not None:
            self._points -= row[1].count
        return row

    def _make_room(self, spared: set[Key]) -> list[Batch]:
        evicted: list[Batch] = []
        while self._points > self.disk.max_points:
            # One without points, which declares losses, would make no room by leaving.
            oldest = next(batch for _, batch in self.disk.rows.values() if batch.count)
            self._take(oldest)
            evicted.append(oldest)
            if (oldest.stream, oldest.n) not in spared:
                enter(self.disk.losses, lost_with(oldest))
        return evicted

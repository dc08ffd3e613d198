"""What is held in memory, between the one that commits and those that ask.

A committed record waits in a queue, and that is all the commit does: 0.3 µs a point are left to who asks, or never
spent, when the points are sealed before anyone does. Who asks empties the queue first, so every answer holds all that
was committed before it was asked. The newest records wait as they came; older ones give up their columns and wait as
the bytes that were written, at 10 bytes a point. When the queue is full, each commit takes as much from it as it adds.
A question that is at the queue never holds a commit up.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterator

import attrs

from plexus.adapters.store.embedded.catalogue import Catalogue
from plexus.adapters.store.embedded.hot import ROW_GROUP, HotTable, Rows
from plexus.adapters.store.embedded.record import Block, Lost, Record, unpack
from plexus.domain.errors import StoreError

MAX_QUEUED = 1_000_000
"""Points; the next question spends up to half a second on them."""

MAX_FRESH = 100_000
"""Points of the queue that are held as columns, ready to use, at 150 bytes each."""

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class _Queued:
    """A record that waits: `blocks` while it is fresh, its bytes always."""

    body: bytes
    points: int
    blocks: list[Block] | None

    def take(self) -> list[Block]:
        """Its blocks, once."""
        blocks, self.blocks = self.blocks, None
        return unpack(self.body).blocks if blocks is None else blocks


class Newest:
    """`add` by the one that commits, everything else by anyone. Raises StoreError."""

    def __init__(self, max_queued: int = MAX_QUEUED, max_fresh: int = MAX_FRESH) -> None:
        self.hot = HotTable()
        self._max_queued = max_queued
        self._max_fresh = max_fresh
        self._queue: deque[_Queued] = deque()
        self._fresh: deque[_Queued] = deque()
        self._fresh_points = 0
        self._lost: deque[Lost] = deque()
        self._added = 0
        self._absorbed = 0
        self._catalogue = Catalogue()
        self._rows = Rows()
        self._looking = threading.RLock()  # over what a question looks at: catalogue, rows and the queue's old end
        self._closed = False

    def add(self, record: Record, body: bytes) -> None:
        """Show a committed record to the questions from now on. Never raises StoreError: it is committed."""
        for lost in record.lost:
            self._lost.append(lost)
        if not record.blocks:
            return
        queued = _Queued(body, record.points, record.blocks)
        self._queue.append(queued)
        self._added += queued.points
        self._keep_fresh(queued)
        if self._added - self._absorbed > self._max_queued and self._looking.acquire(blocking=False):
            try:
                self._absorb(self._max_queued)
            except StoreError as exc:
                # The points are durable and still wait: whoever asks next tries again and is told.
                _log.error("%s", exc)
            finally:
                self._looking.release()

    @contextlib.contextmanager
    def catalogue(self) -> Iterator[Catalogue]:
        """The catalogue, up to date."""
        with self._looking:
            if self._closed:
                raise StoreError("the store is closed")
            self._absorb(0)
            while self._lost:
                self._catalogue.note_loss(self._lost.popleft())
            yield self._catalogue

    @contextlib.contextmanager
    def fed(self) -> Iterator[Catalogue]:
        """The same, and the hot table is up to date with it."""
        with self.catalogue() as catalogue:
            self._feed()
            yield catalogue

    def close(self) -> None:
        """Let go of the memory; closing twice is fine."""
        with self._looking:
            self._closed = True
            self.hot.close()

    def _keep_fresh(self, queued: _Queued) -> None:
        self._fresh.append(queued)
        self._fresh_points += queued.points
        while self._fresh_points > self._max_fresh:
            oldest = self._fresh.popleft()
            self._fresh_points -= oldest.points
            oldest.blocks = None

    def _absorb(self, remain: int) -> None:
        """Take from the queue until at most `remain` points are left in it."""
        while self._queue and self._added - self._absorbed > remain:
            queued = self._queue.popleft()
            for block in queued.take():
                self._rows.add(*self._catalogue.absorb(block))
            self._absorbed += queued.points
            if self._rows.count >= ROW_GROUP:
                self._feed()

    def _feed(self) -> None:
        """Put the rows into the hot table; when that fails they stay."""
        if self._rows.count:
            self.hot.insert(self._rows)
            self._rows = Rows()

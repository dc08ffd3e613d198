"""What is held in memory, between the one that commits, those that ask, and what becomes history.

A committed record waits in a queue, and that is all the commit does: 0.3 µs a point are left to who asks or who tends
the store. Who asks empties the queue first, so every answer holds all that was committed before it was asked. The
newest records wait as they came; older ones give up their columns and wait as the bytes that were written, at 10 bytes
a point. When the queue is full, each commit takes as much from it as it adds, or twice as much until it is not.

Points that leave the queue lie in stretches of the journal, each with a segment of the hot tables. The last stretch
grows; those before it wait to be sealed. A question that is at the queue never holds a commit up.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import ChainMap, deque
from collections.abc import Iterator, Sequence

import attrs

from plexus.adapters.store.embedded.arrow import Extra, Tables, tables_of
from plexus.adapters.store.embedded.catalogue import Catalogue
from plexus.adapters.store.embedded.hot import HotTables, Segment
from plexus.adapters.store.embedded.manifest import Rename
from plexus.adapters.store.embedded.parts import Part
from plexus.adapters.store.embedded.queries import Cut
from plexus.adapters.store.embedded.record import Block, DamagedRecord, Lost, Record, unpack
from plexus.adapters.store.embedded.renaming import in_item, renamed
from plexus.adapters.store.embedded.shelf import Shelf
from plexus.domain.errors import StoreError

MAX_QUEUED = 50_000
"""Points; the next question spends some 10 ms on them."""

MAX_FRESH = 150_000
"""Points of the queue that are held as columns, ready to use, at 150 bytes each: more than wait, but for the time in
which somebody looks for long. What has to be read again from its bytes costs twice as much."""

STRETCH_POINTS = 1_000_000
"""Points that are sealed together: 50 MB in the hot tables, and 10 MB in the journal."""

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class _Queued:
    """A record that waits: `blocks` while it is fresh, its bytes always."""

    seq: int
    body: bytes
    points: int
    lost: Sequence[Lost]
    blocks: list[Block] | None


@attrs.define(eq=False)
class Stretch:
    """Rows of the journal up to `last_seq`, from the last stretch's end on, with their points in a segment.

    `lost` is what they declare. A closed one does not grow any more.
    """

    segment: Segment
    first_seq: int
    last_seq: int = 0
    points: int = 0
    lost: list[Lost] = attrs.field(factory=list)
    closed: bool = False


class Newest:
    """`add` by the one that commits, everything else by anyone. Raises StoreError."""

    def __init__(
        self,
        catalogue: Catalogue,
        hot: HotTables,
        shelf: Shelf,
        *,
        cut: int = 0,
        renames: Sequence[Rename] = (),
        max_queued: int = MAX_QUEUED,
        max_fresh: int = MAX_FRESH,
        stretch_points: int = STRETCH_POINTS,
    ) -> None:
        self.hot = hot
        self._shelf = shelf
        self._max_queued = max_queued
        self._max_fresh = max_fresh
        self._stretch_points = stretch_points
        self._queue: deque[_Queued] = deque()
        self._fresh: deque[_Queued] = deque()
        self._fresh_points = 0
        self._added = 0
        self._absorbed = 0
        self._sealed = 0
        self._catalogue = catalogue
        self._renames = renames
        self._last_seq = cut
        self._stretches: deque[Stretch] = deque()
        self._segments = 0
        # Over what a question looks at: catalogue, stretches, files and the queue's old end.
        self._looking = threading.RLock()
        self._closed = False

    @property
    def added(self) -> int:
        """Points that were ever added."""
        return self._added

    @property
    def queued(self) -> int:
        """Points that nobody took from the queue yet."""
        return self._added - self._absorbed

    @property
    def unsealed(self) -> int:
        """Points that are in no file yet."""
        return self._added - self._sealed

    def add(self, seq: int, record: Record, body: bytes) -> None:
        """Show a committed record to the questions from now on. Never raises StoreError: it is committed."""
        queued = _Queued(seq, body, record.points, record.lost, record.blocks)
        self._queue.append(queued)
        self._added += queued.points
        self._keep_fresh(queued)
        if self.queued > self._max_queued and self._looking.acquire(blocking=False):
            try:
                # Twice what came, not all at once: after somebody looked for long that would hold this commit up.
                self._absorb(max(self._max_queued, self.queued - 2 * queued.points))
            finally:
                self._looking.release()

    @contextlib.contextmanager
    def catalogue(self) -> Iterator[Catalogue]:
        """The catalogue, up to date, and nobody changes anything that a question sees meanwhile."""
        with self._looking:
            if self._closed:
                raise StoreError("the store is closed")
            self._absorb(0)
            yield self._catalogue

    @contextlib.contextmanager
    def fed(self) -> Iterator[Catalogue]:
        """The same, and the hot tables are up to date with it."""
        with self.catalogue() as catalogue:
            for stretch in self._stretches:
                stretch.segment.feed()
            yield catalogue

    @contextlib.contextmanager
    def cut(self) -> Iterator[Cut]:
        """Files and hot tables that hold every point once, whatever is sealed meanwhile; taken inside of `fed`."""
        with contextlib.ExitStack() as stack:
            with self._looking:
                segments = [stretch.segment for stretch in self._stretches]
                files = stack.enter_context(self._shelf.look())
                cursor = stack.enter_context(self.hot.cut())
            extras: ChainMap[int, Extra] = ChainMap(*(segment.extras.pairs for segment in segments))
            yield Cut(files, cursor, [segment.number for segment in segments], extras)

    # --- what becomes history ------------------------------------------------------------------------------------

    def absorb_some(self, points: int) -> None:
        """Take a part of the queue: about so many points."""
        with self._looking:
            if not self._closed:
                self._absorb(max(1, self.queued - points) if self.queued > points else 0)

    def oldest(self, *, anyway: bool) -> Stretch | None:
        """The stretch that is to be sealed next: one that is full, or `anyway` what there is."""
        with self._looking:
            if not self._stretches or self._closed:
                return None
            stretch = self._stretches[0]
            if anyway:
                stretch.closed = True
            return stretch if stretch.closed else None

    def tables(self, stretch: Stretch) -> Tables:
        """All points of a closed stretch, in the order of commit."""
        with contextlib.ExitStack() as stack:
            with self._looking:
                if not stretch.segment.exists:
                    return tables_of(stretch.segment.rows)
                stretch.segment.feed()
                cursor = stack.enter_context(self.hot.cut())
            return stretch.segment.tables(cursor)

    @contextlib.contextmanager
    def still(self) -> Iterator[Catalogue]:
        """While files are swapped: no question begins, and none of what it would see moves."""
        with self._looking:
            yield self._catalogue

    def lowest_ns(self) -> int | None:
        """The lowest time of what is not sealed, None for nothing; inside of `fed`."""
        lowest = [
            self.hot.ask(f"SELECT min(t_ns) FROM {kind}_{stretch.segment.number:d}")[0][0]  # noqa: S608 - ours
            for stretch in self._stretches
            for kind in ("points", "events")
        ]
        return min((t_ns for t_ns in lowest if t_ns is not None), default=None)

    def drop(self, stretch: Stretch) -> None:
        """The oldest stretch is in files, which are swapped in already; inside of `still`."""
        assert self._stretches[0] is stretch
        self._stretches.popleft()
        self._sealed += stretch.points
        self.hot.drop(stretch.segment)

    def rename(self, rename: Rename) -> None:
        """A source has another name, also in what is sealed from now on; inside of `still`, with an empty queue."""
        self._catalogue.rename(rename.org, rename.source_id, rename.new)
        for stretch in self._stretches:
            for lost in stretch.lost:
                in_item(lost, rename)

    def close(self) -> None:
        """Let go of the memory; closing twice is fine."""
        with self._looking:
            self._closed = True
            self.hot.close()

    # --- inside --------------------------------------------------------------------------------------------------

    def _keep_fresh(self, queued: _Queued) -> None:
        self._fresh.append(queued)
        self._fresh_points += queued.points
        while self._fresh_points > self._max_fresh:
            oldest = self._fresh.popleft()
            self._fresh_points -= oldest.points
            oldest.blocks = None

    def _absorb(self, remain: int) -> None:
        """Take from the queue until at most `remain` points are left in it; for 0 also records without any."""
        while self._queue and (remain == 0 or self.queued > remain):
            stretch = self._growing()
            queued = self._queue.popleft()
            for block in self._blocks(queued):
                stretch.segment.rows.add(self._parts(queued.seq, block))
            for lost in queued.lost:
                self._catalogue.note_loss(lost)
            stretch.lost += queued.lost
            stretch.last_seq = self._last_seq = queued.seq
            stretch.points += queued.points
            self._absorbed += queued.points
            stretch.closed = stretch.points >= self._stretch_points
            stretch.segment.rows.gather()

    def _growing(self) -> Stretch:
        if not self._stretches or self._stretches[-1].closed:
            self._segments += 1
            self._stretches.append(Stretch(self.hot.open(self._segments), self._last_seq + 1))
        return self._stretches[-1]

    def _blocks(self, queued: _Queued) -> list[Block]:
        """Its blocks, once."""
        blocks, queued.blocks = queued.blocks, None
        if blocks is not None:
            return blocks
        return renamed(unpack(queued.body), queued.seq, self._renames).blocks

    def _parts(self, seq: int, block: Block) -> list[Part]:
        try:
            return self._catalogue.absorb(block)
        except DamagedRecord as exc:
            _log.error("journal row %d cannot be read: %s; its points are lost, all others are here", seq, exc)
            return []

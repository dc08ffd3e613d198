"""The backlog: batches that wait for better times, oldest first, on shelves of which at least one is on disk.

    own      what this client keeps; what it finds in it at the start is an earlier process's
    adopted  buffers that other processes left behind, drained and closed
    spare    memory, for as long as the own one takes nothing in (a full disk, a card that died)

Invariants:
- a batch is on one shelf, until it is settled;
- batches of one stream are sent in order: the spare one is emptied before the own one is used again;
- a loss is on the record of one shelf until a batch on that shelf declares it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from plexus.device import counters
from plexus.device.counters import Counters, SpoolState
from plexus.device.lanes import Key, key_of
from plexus.device.shelf import Shelf
from plexus.domain.errors import BufferFault
from plexus.domain.loss import Loss
from plexus.ports.buffer import Buffer
from plexus.protocol.batch import Batch


class Backlog:
    """All shelves as one. `spare` makes a buffer in memory; `report` is told of every fault that changes something."""

    def __init__(
        self,
        own: Buffer,
        adopted: Sequence[Buffer],
        spare: Callable[[], Buffer],
        tally: Counters,
        report: Callable[[BufferFault], None],
    ) -> None:
        self._own = Shelf(own, tally)
        self._durable = own.durable
        self._spare: Shelf | None = None
        self._make_spare = spare
        self._counters = tally
        self._report = report
        self._offered = self._own
        self.oldest_ms: float | None = None
        """The lowest timestamp of the oldest batch, milliseconds since 1970 UTC, as of the last `look`."""
        # Replaced, never changed: other threads sum up what is on them.
        self._shelves: tuple[Shelf, ...] = (*(Shelf(buffer, tally) for buffer in adopted), self._own)

    @property
    def points(self) -> int:
        """Points that are kept, with those that are on their way."""
        return sum(shelf.points for shelf in self._shelves)

    @property
    def waiting(self) -> int:
        """Points that are not on their way."""
        return sum(shelf.waiting for shelf in self._shelves)

    @property
    def durable(self) -> bool:
        """Whether what is kept was meant to outlive the process."""
        return self._durable

    @property
    def state(self) -> SpoolState:
        """Where what is kept now goes."""
        if not self._durable:
            return "memory"
        spare = self._spare
        return "failing" if spare is not None and (spare.points or spare is self._own) else "disk"

    def is_safe(self) -> bool:
        """Whether all that is kept would outlive the process."""
        return all(shelf.is_safe for shelf in self._shelves)

    def in_flight(self) -> int:
        """How many batches are on their way."""
        return sum(shelf.count_in_flight() for shelf in self._shelves)

    def look(self) -> None:
        """Find out how old the oldest batch is."""
        self.oldest_ms = min((ms for ms in map(self._oldest_on, self._shelves) if ms is not None), default=None)

    # --- in -------------------------------------------------------------------------------------------------

    def keep(self, batches: Sequence[Batch], sent: Collection[Key] = ()) -> None:
        """Take these in, at the young end; those in `sent` are on their way already."""
        self._take_in(lambda shelf: shelf.keep(batches, sent))

    def lose(self, losses: Sequence[Loss]) -> None:
        """Put these on the record."""
        self._take_in(lambda shelf: shelf.buffer.lose(losses))

    def declare(self, make: Callable[[Sequence[Loss]], Batch]) -> bool:
        """Put what is on the record into batches, which `make` seals; whether there is anything on it."""
        found = False
        for shelf in self._shelves:
            try:
                losses = shelf.losses()
                if losses:
                    found = True
                    shelf.declare(make(losses))
            except BufferFault as exc:
                counters.log.warning("%s; what was lost is declared later", exc)
        return found

    def is_anything_to_declare(self) -> bool:
        """Whether a loss is on the record and in no batch."""
        return any(self._losses_on(shelf) for shelf in self._shelves)

    # --- out ------------------------------------------------------------------------------------------------

    def next(self, *, declarations: bool = True) -> Batch | None:
        """The oldest batch that may be sent; `declarations`: whether the link takes those."""
        found = self._next(declarations)
        self._close_drained()
        return found

    def ahead(self) -> list[Batch]:
        """The batches from `next` on, as many as are looked at together; [] when they cannot be read."""
        return self._looked(self._offered.ahead)

    def run(self, points: int, size: int) -> list[Batch]:
        """`next` and those behind it that may be put together with it; see `Shelf.run`."""
        return self._looked(lambda: self._offered.run(points, size))

    def sent(self, batch: Batch) -> None:
        """It is on its way; it was `next` just now, or took the place of what was."""
        self._offered.sent(batch)

    def settle(self, batches: Sequence[Batch]) -> None:
        """Delivered or given up: they leave their buffers."""
        for shelf in self._shelves:
            mine = [batch for batch in batches if key_of(batch) in shelf] if len(self._shelves) > 1 else batches
            self._settle_on(shelf, mine)
        self._close_drained()

    def discard(self, batch: Batch) -> None:
        """Given up without being sent; it was `next` just now."""
        self._settle_on(self._offered, [batch])

    def unsend(self, batches: Sequence[Batch]) -> None:
        """These are not on their way any more."""
        for batch in batches:
            for shelf in self._shelves:
                if key_of(batch) in shelf:
                    shelf.unsend(batch)

    def rename(self, old: Batch, new: Batch) -> None:
        """Keep `new`, durably, and then forget `old`, which is on its way."""
        self._keep_tried(new)
        self.settle([old])

    def rewrite(self, batches: Sequence[Batch]) -> bool:
        """Put these in the place of those of the same names, on the shelf of `next`; False if that failed."""
        return self._change(lambda: self._offered.rewrite(batches))

    def replace(self, old: Sequence[Batch], new: Batch) -> bool:
        """Keep `new` in the place of `old`, which `run` gave; False if that failed, and all is as before."""
        return self._change(lambda: self._offered.replace(old, new))

    def hold(self, stream: str) -> None:
        """Pass over the batches of this stream until `try_again`."""
        for shelf in self._shelves:
            shelf.hold(stream)

    def try_again(self) -> None:
        """Something changed: what was passed over may be sent now."""
        for shelf in self._shelves:
            shelf.try_again()

    def first_n(self, stream: str) -> int | None:
        """The lowest `n` of a stream that is on its way."""
        found = (shelf.first_n(stream) for shelf in self._shelves)
        return min((n for n in found if n is not None), default=None)

    def close(self) -> int:
        """Let go of the buffers; how many points end with the process."""
        lost = 0
        for shelf in self._shelves:
            lost += 0 if shelf.buffer.durable else shelf.points
            self._close(shelf)
        return lost

    # --- inside ---------------------------------------------------------------------------------------------

    def _next(self, declarations: bool) -> Batch | None:
        for shelf in self._shelves:
            try:
                found = shelf.next(declarations=declarations)
            except BufferFault as exc:
                self._set_aside(shelf, exc)
            else:
                if found is not None:
                    self._offered = shelf
                    return found
        return None

    def _keep_tried(self, batch: Batch) -> None:
        self._take_in(lambda shelf: shelf.keep_tried(batch))

    def _take_in(self, put: Callable[[Shelf], None]) -> None:
        """Into the own buffer; in memory while that fails, until memory is empty again."""
        spare = self._spare
        if spare is not None and spare.points:
            put(spare)
            return
        try:
            put(self._own)
        except BufferFault as exc:
            if self._own is spare:
                raise
            self._report(BufferFault(f"{exc}; going on in memory"))
            put(self._use_spare())

    def _looked(self, look: Callable[[], Iterable[Batch]]) -> list[Batch]:
        try:
            return list(look())
        except BufferFault as exc:
            counters.log.warning("%s", exc)
            return []

    def _change(self, change: Callable[[], None]) -> bool:
        try:
            change()
        except BufferFault as exc:
            counters.log.warning("%s; it stays as it was", exc)
            return False
        return True

    def _oldest_on(self, shelf: Shelf) -> float | None:
        found = self._looked(lambda: shelf.buffer.oldest(0, 1)) if shelf.points else []
        return found[0].first_ms if found else None

    def _losses_on(self, shelf: Shelf) -> Sequence[Loss]:
        try:
            return shelf.losses()
        except BufferFault as exc:
            counters.log.warning("%s", exc)
            return ()

    def _settle_on(self, shelf: Shelf, batches: Sequence[Batch]) -> None:
        try:
            if batches:
                shelf.settle(batches)
        except BufferFault as exc:
            # Known to the gateway by their names: at worst they are sent again at the next start, and stored once.
            counters.log.warning("%s; %d delivered batches stay in the spool for now", exc, len(batches))

    def _close_drained(self) -> None:
        for shelf in self._shelves:
            if shelf not in (self._own, self._spare) and self._is_drained(shelf):
                self._shelves = tuple(other for other in self._shelves if other is not shelf)
                self._close(shelf)

    def _is_drained(self, shelf: Shelf) -> bool:
        try:
            return shelf.is_drained()
        except BufferFault:
            # Found out again, and told, by `next`.
            return False

    def _close(self, shelf: Shelf) -> None:
        try:
            shelf.buffer.close()
        except BufferFault as exc:
            counters.log.warning("%s", exc)

    def _use_spare(self) -> Shelf:
        if self._spare is None:
            self._spare = Shelf(self._make_spare(), self._counters)
            self._shelves = (*self._shelves, self._spare)
        return self._spare

    def _set_aside(self, shelf: Shelf, fault: BufferFault) -> None:
        """It cannot be read: what is on its way goes on from memory, the rest stays there until the next start."""
        self._shelves = tuple(other for other in self._shelves if other is not shelf)
        left = shelf.waiting
        self._report(BufferFault(f"{fault}; going on in memory, {left} points stay there until the next start"))
        # Counted, and not declared to the gateway: whoever opens the file next sends what can be read, and declares the
        # rest.
        self._counters.drop(counters.SPOOL_FAULT, left, str(fault), recorded=True)
        spare = self._use_spare()
        flight = shelf.in_flight()
        if flight:
            spare.keep(flight, {key_of(batch) for batch in flight})
        if shelf is self._own:
            self._own = spare
        self._close(shelf)

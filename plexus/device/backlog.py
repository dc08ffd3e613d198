"""The backlog: batches that wait for better times, oldest first, in buffers of which at least one is on disk.

    own      what this client keeps; what it finds in it at the start is an earlier process's
    adopted  buffers that other processes left behind, drained and closed
    spare    memory, for as long as the own one takes nothing in (a full disk, a card that died)

Invariants:
- a batch is in one buffer, until it is settled;
- batches of one stream are sent in order: the spare one is emptied before the own one is used again;
- what had to make room in a buffer is counted as dropped, unless it is on its way: then the link's word decides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence

from plexus.device import counters
from plexus.device.counters import Counters
from plexus.device.lanes import Key, key_of
from plexus.domain.errors import BufferFault
from plexus.ports.buffer import Buffer
from plexus.protocol.batch import Batch


class Shelf:
    """One buffer, and which of its batches are on their way. A fault of the buffer passes through."""

    def __init__(self, buffer: Buffer, tally: Counters) -> None:
        self.buffer = buffer
        self._counters = tally
        self._flight: OrderedDict[Key, Batch] = OrderedDict()
        self._flight_points = 0
        # What is at the front of the buffer and on its way: the next batch to send is found by passing over these.
        self._front: OrderedDict[Key, None] = OrderedDict()
        # On their way, and no longer in the buffer, because it was full.
        self._orphans: set[Key] = set()
        self._orphan_points = 0
        # Settled, and still in the buffer, because it failed to let them go.
        self._stuck: dict[Key, Batch] = {}
        self._stuck_points = 0

    @property
    def points(self) -> int:
        """Points that are kept, with those that are on their way."""
        return self.buffer.points + self._orphan_points - self._stuck_points

    @property
    def waiting(self) -> int:
        """Points that are not on their way."""
        return self.buffer.points - self._flight_points - self._stuck_points

    def __contains__(self, key: Key) -> bool:
        """Whether a batch of this name is on its way."""
        return key in self._flight

    def in_flight(self) -> list[Batch]:
        """Batches that are on their way and in the buffer."""
        return [batch for key, batch in self._flight.items() if key not in self._orphans]

    def count_in_flight(self) -> int:
        """How many batches are on their way."""
        return len(self._flight)

    def keep(self, batches: Sequence[Batch], sent: Collection[Key]) -> None:
        """Take these in, at the young end; those in `sent` are on their way already."""
        evicted = self.buffer.append(batches)
        for batch in batches:
            if key_of(batch) in sent:
                self._launch(batch)
        for batch in evicted:
            self._evicted(batch)

    def next(self) -> Batch | None:
        """The oldest batch that is not on its way."""
        while self.waiting > 0:
            found = self.buffer.oldest(len(self._front), 1)
            if not found:
                return None
            key = key_of(found[0])
            if key not in self._flight and key not in self._stuck:
                return found[0]
            self._front[key] = None
        return None

    def sent(self, batch: Batch) -> None:
        """It is on its way; it was `next` just now."""
        self._launch(batch)
        self._front[key_of(batch)] = None

    def settle(self, batches: Sequence[Batch]) -> None:
        """Delivered or given up: they leave the buffer."""
        for batch in batches:
            if not self._land(batch):
                self._stuck[key_of(batch)] = batch
                self._stuck_points += batch.count
        self.buffer.release(self._stuck.values())
        for key in self._stuck:
            self._front.pop(key, None)
        self._stuck.clear()
        self._stuck_points = 0

    def unsend(self, batch: Batch) -> None:
        """It is not on its way any more."""
        # A hole: what is on its way behind it is not the front any more; `next` passes over it again.
        key = key_of(batch)
        if key in self._front:
            names = list(self._front)
            for name in names[names.index(key) :]:
                del self._front[name]
        if self._land(batch):
            self._counters.drop(counters.BUFFER_FULL, batch.count, "max_buffer_size was reached")

    def first_n(self, stream: str) -> int | None:
        """The lowest `n` of a stream that is on its way."""
        return min((n for name, n in self._flight if name == stream), default=None)

    def _launch(self, batch: Batch) -> None:
        if key_of(batch) not in self._flight:
            self._flight[key_of(batch)] = batch
            self._flight_points += batch.count

    def _land(self, batch: Batch) -> bool:
        """It is not on its way; whether it was an orphan."""
        key = key_of(batch)
        flew = self._flight.pop(key, None) is not None
        if key in self._orphans:
            self._orphans.discard(key)
            self._orphan_points -= batch.count
            return True
        if flew:
            self._flight_points -= batch.count
        return False

    def _evicted(self, batch: Batch) -> None:
        key = key_of(batch)
        self._front.pop(key, None)
        if self._stuck.pop(key, None) is not None:
            self._stuck_points -= batch.count
        elif key in self._flight:
            self._orphans.add(key)
            self._orphan_points += batch.count
            self._flight_points -= batch.count
        else:
            self._counters.drop(counters.BUFFER_FULL, batch.count, "max_buffer_size was reached")


class Backlog:
    """All shelves as one. `spare` makes a buffer in memory; `report` is told, in a sentence, when it is needed."""

    def __init__(
        self,
        own: Buffer,
        adopted: Sequence[Buffer],
        spare: Callable[[], Buffer],
        tally: Counters,
        report: Callable[[str], None],
    ) -> None:
        self._own = Shelf(own, tally)
        self._spare: Shelf | None = None
        self._make_spare = spare
        self._counters = tally
        self._report = report
        self._offered = self._own
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

    def in_flight(self) -> int:
        """How many batches are on their way."""
        return sum(shelf.count_in_flight() for shelf in self._shelves)

    def keep(self, batches: Sequence[Batch], sent: Collection[Key] = ()) -> None:
        """Take these in, at the young end; those in `sent` are on their way already."""
        spare = self._spare
        if spare is not None and spare.points:
            spare.keep(batches, sent)
            return
        try:
            self._own.keep(batches, sent)
        except BufferFault as exc:
            self._report(f"{exc}; going on in memory")
            self._use_spare().keep(batches, sent)

    def next(self) -> Batch | None:
        """The oldest batch that is not on its way."""
        for shelf in self._shelves:
            try:
                found = shelf.next()
            except BufferFault as exc:
                self._set_aside(shelf, exc)
            else:
                if found is not None:
                    self._offered = shelf
                    return found
        return None

    def sent(self, batch: Batch) -> None:
        """It is on its way; it was `next` just now."""
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

    def first_n(self, stream: str) -> int | None:
        """The lowest `n` of a stream that is on its way."""
        found = (shelf.first_n(stream) for shelf in self._shelves)
        return min((n for n in found if n is not None), default=None)

    def replace(self, old: Batch, new: Batch) -> None:
        """Keep `new`, durably, and then forget `old`, which is on its way."""
        self.keep([new])
        self.settle([old])

    def close(self) -> int:
        """Let go of the buffers; how many points end with the process."""
        lost = 0
        for shelf in self._shelves:
            lost += 0 if shelf.buffer.durable else shelf.points
            self._close(shelf)
        return lost

    # --- inside ---------------------------------------------------------------------------------------------

    def _settle_on(self, shelf: Shelf, batches: Sequence[Batch]) -> None:
        try:
            if batches:
                shelf.settle(batches)
        except BufferFault as exc:
            # Known to the gateway by their names: at worst they are sent again at the next start, and stored once.
            counters.log.warning("%s; %d delivered batches stay in the spool for now", exc, len(batches))

    def _close_drained(self) -> None:
        for shelf in self._shelves:
            if shelf not in (self._own, self._spare) and not shelf.points:
                self._shelves = tuple(other for other in self._shelves if other is not shelf)
                self._close(shelf)

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
        self._report(f"{fault}; going on in memory, {left} points stay there until the next start")
        self._counters.drop(counters.SPOOL_FAULT, left, str(fault))
        spare = self._use_spare()
        flight = shelf.in_flight()
        spare.keep(flight, {key_of(batch) for batch in flight})
        if shelf is self._own:
            self._own = spare
        self._close(shelf)

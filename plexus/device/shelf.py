"""A shelf: one buffer, and which of its batches are on their way.

Invariants:
- the next batch is the oldest that may be sent: `_front` names those before it, which are on their way or held back;
- what leaves a full buffer is lost, and on the buffer's record; what is on its way is taken off the record again when
  the link says that it is delivered, and is not declared before the link has spoken;
- a batch that was ever sent keeps its name and content; only those that never were are put together (`run`), and the
  ones that an earlier process left may have been.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence

from plexus.device import counters
from plexus.device.counters import Counters
from plexus.device.lanes import Key, key_of
from plexus.domain.loss import Loss
from plexus.ports.buffer import BUFFER_FULL, Buffer
from plexus.protocol.batch import Batch

LOOK_AHEAD = 32
"""How many batches are looked at together, to be put right or put together."""


class Shelf:
    """A fault of the buffer passes through every method, and leaves what was before it."""

    def __init__(self, buffer: Buffer, tally: Counters) -> None:
        self.buffer = buffer
        self._counters = tally
        self._flight: OrderedDict[Key, Batch] = OrderedDict()
        self._flight_points = 0
        # What is at the front of the buffer and on its way or held: the next to send is found by passing over these.
        self._front: OrderedDict[Key, None] = OrderedDict()
        # On their way, and no longer in the buffer, because it was full.
        self._orphans: set[Key] = set()
        self._orphan_points = 0
        # Orphans' points that are delivered, and still on the buffer's record of losses.
        self._found_points = 0
        # Settled, and still in the buffer, because it failed to let them go.
        self._stuck: dict[Key, Batch] = {}
        self._stuck_points = 0
        # Streams that wait until something changes: the gateway does not take the size of one of their batches.
        self._held: set[str] = set()
        # Sent at least once and not settled.
        self._tried: set[Key] = set()
        # The oldest batch of this process, None when all that is here is of this process.
        self._first_own: Key | None = None
        self._has_foreign = buffer.points > 0
        # Whether something may be behind the front. Points do not tell: a batch that declares losses has none.
        self._has_more = True
        self._offered: Key | None = None

    @property
    def points(self) -> int:
        """Points that are kept, with those that are on their way."""
        return self.buffer.points + self._orphan_points - self._stuck_points

    @property
    def waiting(self) -> int:
        """Points that are not on their way."""
        return self.buffer.points - self._flight_points - self._stuck_points

    @property
    def is_safe(self) -> bool:
        """Whether all that is kept would outlive the process."""
        return not self.points or (self.buffer.durable and not self._orphans)

    def __contains__(self, key: Key) -> bool:
        """Whether a batch of this name is on its way."""
        return key in self._flight

    def in_flight(self) -> list[Batch]:
        """Batches that are on their way and in the buffer."""
        return [batch for key, batch in self._flight.items() if key not in self._orphans]

    def is_drained(self) -> bool:
        """Whether nothing is left: no point, no declaration, no loss that is to be declared."""
        left = self.points or self._has_more or self._front or self._flight or self._stuck
        return not left and not self.losses()

    def count_in_flight(self) -> int:
        """How many batches are on their way."""
        return len(self._flight)

    # --- in -------------------------------------------------------------------------------------------------

    def keep(self, batches: Sequence[Batch], sent: Collection[Key]) -> None:
        """Take these in, at the young end; those in `sent` are on their way already."""
        evicted = self.buffer.append(batches, self._stuck.values())
        if self._has_foreign and self._first_own is None:
            self._first_own = key_of(batches[0])
        self._has_more = True
        for batch in batches:
            if key_of(batch) in sent:
                self._launch(batch)
        self._made_room(evicted)

    def keep_tried(self, batch: Batch) -> None:
        """Take in one that may have been sent under this name before."""
        self.keep([batch], ())
        self._tried.add(key_of(batch))

    def losses(self) -> list[Loss]:
        """What is on the record and to be declared; not what made room while it was on its way."""
        return [loss for loss in map(self._without_orphans, self.buffer.losses()) if loss.count]

    def declare(self, batch: Batch) -> None:
        """Keep a batch that declares what is on the record."""
        evicted = self.buffer.declare(batch)
        self._has_more = True
        self._made_room(evicted)

    # --- out ------------------------------------------------------------------------------------------------

    def next(self, *, declarations: bool) -> Batch | None:
        """The oldest batch that may be sent; `declarations`: whether the link takes those."""
        while self._has_more:
            found = self.buffer.oldest(len(self._front), 1)
            if not found:
                self._has_more = False
                break
            batch = found[0]
            if self._may_go(batch) and (declarations or not batch.losses):
                self._offered = key_of(batch)
                return batch
            self._pass_over(batch)
        return None

    def ahead(self) -> list[Batch]:
        """The batches from `next` on, as many as are looked at together."""
        return list(self.buffer.oldest(len(self._front), LOOK_AHEAD))

    def run(self, points: int, size: int) -> list[Batch]:
        """`next` and those behind it that may be put together with it, up to so many points and bytes; [] if none.

        None of these was ever sent, and no stream is cut: what would stay behind could only go as a gap.
        """
        run: list[Batch] = []
        whole = 0
        own = not self._has_foreign
        for batch in self.ahead():
            if run and batch.stream != run[-1].stream:
                whole = len(run)
            own = own or key_of(batch) == self._first_own
            points, size = points - batch.count, size - len(batch.body)
            if not own or points < 0 or size < 0 or not self._is_fresh(batch):
                return run[:whole]
            run.append(batch)
        return run if len(run) < LOOK_AHEAD else run[:whole]

    def sent(self, batch: Batch) -> None:
        """It is on its way; it was `next` just now, or took the place of what was."""
        self._launch(batch)
        if key_of(batch) == self._offered:
            self._pass_over(batch)

    def settle(self, batches: Iterable[Batch]) -> None:
        """Delivered or given up: they leave the buffer."""
        for batch in batches:
            key = key_of(batch)
            self._tried.discard(key)
            if key == self._first_own:
                self._first_own = None
            if self._land(batch):
                self._found_points += batch.count
            else:
                self._stuck[key] = batch
                self._stuck_points += batch.count
        self.buffer.release(self._stuck.values())
        for key in self._stuck:
            self._front.pop(key, None)
        self._stuck.clear()
        self._stuck_points = 0
        if self.buffer.points:
            # What a buffer could not read any more is gone from it, and was passed over for nothing.
            self._has_more = True
        if self._found_points:
            self.buffer.found([Loss(BUFFER_FULL, self._found_points)])
            self._found_points = 0

    def unsend(self, batch: Batch) -> None:
        """It is not on its way any more."""
        # A hole: what is on its way behind it is not the front any more; `next` passes over it again.
        key = key_of(batch)
        if key in self._front:
            names = list(self._front)
            for name in names[names.index(key) :]:
                del self._front[name]
        self._has_more = True
        if self._land(batch):
            self._lost(batch)

    def rewrite(self, batches: Sequence[Batch]) -> None:
        """Put these in the place of those of the same names."""
        self.buffer.rewrite(batches)

    def replace(self, old: Sequence[Batch], new: Batch) -> None:
        """Keep `new` in the place of `old`, of which none was ever sent."""
        self._made_room(self.buffer.replace(old, [new]))
        self._has_more = True
        if any(key_of(batch) == self._first_own for batch in old):
            self._has_foreign, self._first_own = False, None

    def hold(self, stream: str) -> None:
        """Pass over the batches of this stream until `try_again`."""
        self._held.add(stream)

    def try_again(self) -> None:
        """Something changed: what was passed over may be sent now."""
        self._held.clear()
        self._front.clear()
        self._has_more = True

    def first_n(self, stream: str) -> int | None:
        """The lowest `n` of a stream that is on its way."""
        return min((n for name, n in self._flight if name == stream), default=None)

    # --- inside ---------------------------------------------------------------------------------------------

    def _without_orphans(self, loss: Loss) -> Loss:
        if loss.reason != BUFFER_FULL:
            return loss
        count = loss.count - self._orphan_points - self._found_points
        return Loss(loss.reason, max(0, count), loss.first_ms, loss.last_ms)

    def _may_go(self, batch: Batch) -> bool:
        key = key_of(batch)
        return key not in self._flight and key not in self._stuck and batch.stream not in self._held

    def _is_fresh(self, batch: Batch) -> bool:
        return self._may_go(batch) and key_of(batch) not in self._tried and not batch.losses and batch.unsynced is None

    def _pass_over(self, batch: Batch) -> None:
        key = key_of(batch)
        self._front[key] = None
        if key == self._first_own:
            # All that an earlier process left is before it, and is known to `_tried` by now.
            self._has_foreign, self._first_own = False, None
        elif self._has_foreign:
            self._tried.add(key)

    def _launch(self, batch: Batch) -> None:
        key = key_of(batch)
        if key not in self._flight:
            self._flight[key] = batch
            self._flight_points += batch.count
            self._tried.add(key)

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

    def _made_room(self, evicted: Sequence[Batch]) -> None:
        for batch in evicted:
            self._evicted(batch)

    def _evicted(self, batch: Batch) -> None:
        key = key_of(batch)
        self._front.pop(key, None)
        if key == self._first_own:
            self._has_foreign, self._first_own = False, None
        if self._stuck.pop(key, None) is not None:
            self._stuck_points -= batch.count
        elif key in self._flight:
            self._orphans.add(key)
            self._orphan_points += batch.count
            self._flight_points -= batch.count
        else:
            self._lost(batch)

    def _lost(self, batch: Batch) -> None:
        self._tried.discard(key_of(batch))
        self._counters.drop(
            counters.BUFFER_FULL,
            batch.count,
            "max_buffer_size was reached",
            first_ms=batch.first_ms,
            last_ms=batch.last_ms,
            recorded=True,
        )

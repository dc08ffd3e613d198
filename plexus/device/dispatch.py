"""Dispatch: which readings become a batch, which batch goes next, and where it is until it is settled.

    intake ──seal──► live lane ──submit──► link ──acknowledged──► forgotten
                        │                   │
               250 ms without it      lost, refused for now
                        └────► backlog ◄────┘  (the buffer; drains beside the live lane, oldest first)

Invariants:
- a reading that was taken is in the intake, in the live lane or in the backlog until it is settled, and settled means
  acknowledged or counted as dropped with a reason;
- a batch keeps its name and content from sealing on, whatever link carries it;
- a reading is in the buffer `SPOOL_AFTER_S` after it was taken at the latest (`REQUEST_PATIENCE_S` later on a link of
  requests that is waiting for an answer), unless it is acknowledged before;
- whatever disturbs the order of a stream (a lost link, a gap, a fork) moves the whole live lane into the backlog, and
  what is sealed after it goes under a new stream: fresh data never waits behind old.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from plexus.device import counters
from plexus.device.backlog import Backlog
from plexus.device.counters import Counters
from plexus.device.fitting import Fitter
from plexus.device.intake import Intake
from plexus.device.lanes import Key, LiveLane, key_of
from plexus.device.link import Link
from plexus.device.sealer import SEAL_POINTS, Sealer, resealed
from plexus.domain.errors import ProtocolError
from plexus.protocol.batch import Batch
from plexus.protocol.extensions import BATCH

SEAL_AFTER_S = 0.05
SPOOL_AFTER_S = 0.25
GATHER_S = 0.2
"""How long readings gather while nothing can be sent: sealed then, they are in the buffer within `SPOOL_AFTER_S`."""
REQUEST_PATIENCE_S = 2.0
"""The same on a link of requests while one is under way: more batches than answers would never catch up."""
BACKLOG_FRAMES = 16
CHUNKS_A_STEP = 16


class Dispatch:
    """Everything between the intake and a link. For the uplink's thread, but for `waiting`.

    Where a method takes a link, None stands for none that may be used now. `precise` keeps microseconds in stamps.
    """

    def __init__(self, intake: Intake, sealer: Sealer, fitter: Fitter, backlog: Backlog, tally: Counters) -> None:
        self.precise = True
        self.moved_at = float("-inf")
        """When something was sealed or sent last, monotonic seconds."""
        self._intake = intake
        self._sealer = sealer
        self._fitter = fitter
        self._backlog = backlog
        self._counters = tally
        self._live = LiveLane()
        # Points of a batch on its way that were left out, because this gateway has no form for them.
        self._lost: dict[Key, int] = {}
        self._backlogs_turn = False

    # --- what there is --------------------------------------------------------------------------------------

    def waiting(self) -> int:
        """Points that are taken and not settled. Any thread may ask."""
        return len(self._intake) + self.kept()

    def kept(self) -> int:
        """The same without those that are not sealed yet."""
        return self._live.points + self._backlog.points

    def mark(self) -> int:
        """A mark behind everything that is sealed by now, for `is_settled`."""
        return self._live.sealed

    def is_settled(self, mark: int) -> bool:
        """Whether everything before the mark is settled, and the backlog empty."""
        oldest = self._live.oldest_number()
        return not self._backlog.points and (oldest is None or oldest > mark)

    def spool_time(self) -> float | None:
        """When `spool` has something to do."""
        born = self._live.oldest_born()
        return None if born is None else born + SPOOL_AFTER_S

    # --- forward --------------------------------------------------------------------------------------------

    def advance(self, link: Link | None, now: float, *, everything: bool) -> None:
        """Seal and send what is due; `everything` does not wait for more to come."""
        self._intake.trim()
        self._send(link, now)
        for _ in range(CHUNKS_A_STEP):
            if not self.is_time_to_seal(link, everything=everything):
                break
            self._seal(now)
            self._send(link, now)
        self._spool(now)

    def is_time_to_seal(self, link: Link | None, *, everything: bool) -> bool:
        """Whether a batch is due."""
        if not len(self._intake):
            return False
        if everything:
            return True
        age = self._intake.age_s()
        if link is None:
            return age >= GATHER_S
        if self._live.next() is None and link.has_room(self._sealer.chunk):
            return not link.in_flight() or age >= SEAL_AFTER_S or len(self._intake) >= self._sealer.chunk
        return age >= (REQUEST_PATIENCE_S if link.one_at_a_time else GATHER_S)

    def close(self, now: float) -> None:
        """Nothing is on its way any more: keep all that is left, and let go of the buffers."""
        upto = self._counters.taken + len(self._intake)
        while self._counters.taken < upto:
            self._seal(now)
        self._retreat()
        self._counters.drop(counters.CLOSED, self._backlog.close(), "close() ended before they were delivered")

    # --- what became of batches -----------------------------------------------------------------------------

    def delivered(self, batches: Sequence[Batch]) -> int:
        """These are stored; returns how many points the gateway got."""
        lost = sum(self._lost.pop(key_of(batch), 0) for batch in batches)
        self._counters.drop(counters.NON_FINITE, lost, "this gateway takes no NaN or infinity")
        self._settle(batches)
        return sum(batch.count for batch in batches) - lost

    def refused(self, batches: Sequence[Batch], reason: str, detail: str) -> None:
        """These will never be stored."""
        for batch in batches:
            self._lost.pop(key_of(batch), None)
            self._counters.drop(reason, batch.count, detail)
        self._settle(batches)

    def take_back(self, batches: Sequence[Batch]) -> None:
        """These are to be sent again, and all that is fresh goes behind them."""
        self._retreat()
        self._note_retry(batches)
        self._backlog.unsend(batches)

    def rename(self, batches: Sequence[Batch]) -> None:
        """The names of these are taken by other content: they are to be sent under new ones."""
        self._retreat()
        self._note_retry(batches)
        for batch in batches:
            self._backlog.replace(batch, resealed(batch))

    def _note_retry(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self._lost.pop(key_of(batch), None)
            self._counters.retried += batch.count

    def _settle(self, batches: Sequence[Batch]) -> None:
        self._backlog.settle([batch for batch in batches if not self._live.settle(batch)])

    # --- from lane to lane ----------------------------------------------------------------------------------

    def _retreat(self) -> None:
        self._move(*self._live.all())
        self._sealer.renew()

    def _spool(self, now: float) -> None:
        born = self._live.oldest_born()
        if born is not None and born + SPOOL_AFTER_S <= now:
            batches, sent = self._live.older_than(now - SPOOL_AFTER_S)
            self._move(batches, sent)
            if len(sent) < len(batches):
                self._sealer.renew()

    def _move(self, batches: list[Batch], sent: Collection[Key]) -> None:
        if batches:
            self._backlog.keep(batches, sent)
            for batch in batches:
                self._live.settle(batch)

    # --- one batch ------------------------------------------------------------------------------------------

    def _seal(self, now: float) -> None:
        born = now - self._intake.age_s()
        for batch in self._sealer.seal(self._intake.take(self._sealer.chunk), precise=self.precise):
            self._live.add(batch, born)
        self.moved_at = now

    def _send(self, link: Link | None, now: float) -> None:
        while link is not None and link.has_room(1) and (batch := self._choose(link)) is not None:
            self._submit(link, batch, now)

    def _choose(self, link: Link) -> Batch | None:
        """Fresh data first; on a link of requests in turn with the backlog, which would else never end."""
        fresh = self._live.next()
        if fresh is not None and not link.has_room(fresh.count):
            return None
        if fresh is not None and not (link.one_at_a_time and self._backlogs_turn):
            self._backlogs_turn = True
            return fresh
        self._backlogs_turn = False
        # Room for one batch is left free, so that fresh data does not wait for an answer to old.
        has_share = self._backlog.in_flight() < BACKLOG_FRAMES and link.has_room(2 * SEAL_POINTS)
        return (self._backlog.next() if has_share else None) or fresh

    def _submit(self, link: Link, batch: Batch, now: float) -> None:
        try:
            fitted = self._fitter.fitted(batch, link.features)
        except ProtocolError as exc:
            self._give_up(batch, counters.UNREADABLE, str(exc))
            return
        if not fitted.count and BATCH not in link.features:
            self._give_up(batch, counters.NON_FINITE, "this gateway takes no NaN or infinity")
            return
        if fitted.lost:
            self._lost[key_of(batch)] = fitted.lost
        if self._live.next() is batch:
            self._live.sent(batch)
        else:
            self._backlog.sent(batch)
        link.submit(batch, self._base(batch), fitted.body, now)
        self.moved_at = now

    def _give_up(self, batch: Batch, reason: str, detail: str) -> None:
        self._counters.drop(reason, batch.count, detail)
        if not self._live.settle(batch):
            self._backlog.discard(batch)

    def _base(self, batch: Batch) -> int:
        """The lowest `n` of the batch's stream that is not settled: within a stream, what is on its way is oldest."""
        lowest = (self._backlog.first_n(batch.stream), self._live.first_n(batch.stream), batch.n)
        return min(n for n in lowest if n is not None)

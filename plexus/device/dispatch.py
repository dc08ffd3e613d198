"""Dispatch: which readings become a batch, which batch goes next, and where it is until it is settled.

    intake ──seal──► live lane ──submit──► link ──acknowledged──► forgotten
                        │                   │
               250 ms without it      lost, refused for now
                        └────► backlog ◄────┘  (the buffer; drains beside the live lane, oldest first)

Invariants:
- a reading that was taken is in the intake, in the live lane or in the backlog until it is settled, and settled means
  acknowledged, or counted as dropped with a reason and recorded as a loss;
- a batch keeps its name and content from the moment it is first sent, whatever link carries it; before that its stamps
  may be put right, and small ones of the backlog be put together, both durably where the batch is durable;
- a reading is in the buffer `SPOOL_AFTER_S` after it was taken at the latest, unless it is acknowledged before; with
  `strict` it is there before it is sent;
- whatever disturbs the order of a stream (a lost link, a gap, a fork) moves the whole live lane into the backlog, and
  what is sealed after it goes under a new stream: fresh data never waits behind old.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from plexus.device import counters
from plexus.device.backlog import Backlog
from plexus.device.burial import Burial
from plexus.device.counters import Counters, Durability, SpoolState
from plexus.device.fitting import Fitter
from plexus.device.intake import Intake
from plexus.device.lanes import Key, LiveLane, key_of
from plexus.device.link import Link
from plexus.device.losses import Losses, takes_gaps
from plexus.device.readying import Readying
from plexus.device.rework import Rework
from plexus.device.sealer import SEAL_POINTS, Sealer, resealed
from plexus.domain.errors import ProtocolError
from plexus.domain.loss import Loss
from plexus.protocol.batch import Batch
from plexus.protocol.columns import PointFault
from plexus.protocol.extensions import BATCH

SEAL_AFTER_S = 0.05
SPOOL_AFTER_S = 0.25
GATHER_S = 0.2
"""How long readings gather while nothing can be sent: sealed then, they are in the buffer within `SPOOL_AFTER_S`."""
BACKLOG_FRAMES = 16
CHUNKS_A_STEP = 16
HOLD_S = 300.0
"""How long a batch waits that is more than the gateway takes in one message."""
DISK_REST_S = 10.0
"""How long it waits when its stamps cannot be put right, because the disk fails."""
LOOK_EVERY_S = 1.0


class Dispatch:
    """Everything between the intake and a link. For the uplink's thread, but for `waiting`.

    Where a method takes a link, None stands for none that may be used now. `strict`: nothing is sent that is not
    durable.
    """

    def __init__(
        self,
        intake: Intake,
        sealer: Sealer,
        fitter: Fitter,
        backlog: Backlog,
        tally: Counters,
        *,
        rework: Rework,
        burial: Burial,
        strict: bool = False,
    ) -> None:
        self.moved_at = float("-inf")
        """When something was sealed or sent last, monotonic seconds."""
        self._intake = intake
        self._sealer = sealer
        self._fitter = fitter
        self._backlog = backlog
        self._counters = tally
        self._burial = burial
        self._strict = strict
        self._live = LiveLane()
        self._readying = Readying(self._live, backlog, rework)
        self._losses = Losses(backlog, tally, sealer)
        # Points of a batch on its way that were left out, because this gateway has no form for them.
        self._lost: dict[Key, int] = {}
        self._backlogs_turn = False
        self._held_until: float | None = None
        self._look_at = float("-inf")
        self._oldest_born: float | None = None

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
        return not self._backlog.points and self._has_left_the_lane(mark)

    def is_safe(self, mark: int) -> bool:
        """Whether everything before the mark is settled or would outlive the process."""
        return self._backlog.is_safe() and self._has_left_the_lane(mark)

    def is_done(self, link: Link | None) -> bool:
        """Whether nothing is left to be sent over this link, declarations of losses included."""
        return not self.waiting() and self._losses.is_told(link)

    def oldest_s(self, now: float, wall_ms: float) -> float:
        """Age of the oldest reading that is not settled, seconds, as of the last step. Any thread may ask."""
        born, kept_ms = self._oldest_born, self._backlog.oldest_ms
        fresh = 0.0 if born is None else now - born
        kept = 0.0 if kept_ms is None or not self._backlog.points else (wall_ms - kept_ms) / 1e3
        return max(0.0, fresh, kept)

    @property
    def durability(self) -> Durability:
        """What the client was asked for."""
        if not self._backlog.durable:
            return "memory"
        return "strict" if self._strict else "spool"

    @property
    def spool(self) -> SpoolState:
        """Where what waits is kept."""
        return self._backlog.state

    # --- when -----------------------------------------------------------------------------------------------

    def is_time_to_seal(self, link: Link | None, *, everything: bool) -> bool:
        """Whether a batch is due."""
        if not len(self._intake):
            return False
        if everything:
            return True
        age = self._intake.age_s()
        if link is not None and self._has_way(link):
            return not link.in_flight() or age >= SEAL_AFTER_S or len(self._intake) >= self._sealer.chunk
        return age >= GATHER_S

    def next_time(self, link: Link | None, now: float) -> float | None:
        """When `advance` has something to do by itself, monotonic seconds."""
        times = [self._held_until, self._losses.next_time(link, now)]
        if len(self._intake):
            gather = SEAL_AFTER_S if link is not None and self._has_way(link) else GATHER_S
            times.append(now + gather - self._intake.age_s())
        born = self._live.oldest_born()
        times.append(None if born is None else born + SPOOL_AFTER_S)
        return min((time for time in times if time is not None), default=None)

    # --- forward --------------------------------------------------------------------------------------------

    def advance(self, link: Link | None, now: float, *, everything: bool) -> None:
        """Seal and send what is due; `everything` does not wait for more to come."""
        self._intake.trim()
        if self._held_until is not None and now >= self._held_until:
            self.try_again()
        self._losses.note(now, at_once=everything)
        self._losses.declare(link, now, at_once=everything)
        self._send(link, now)
        for _ in range(CHUNKS_A_STEP):
            if not self.is_time_to_seal(link, everything=everything):
                break
            self._seal(link, now)
            self._send(link, now)
        self._spool(now)
        self._losses.note(now, at_once=everything)
        self._look(now)

    def make_safe(self) -> None:
        """Keep the whole live lane in the buffer now, where that outlives the process."""
        if not self._backlog.durable:
            return
        batches, sent = self._live.all()
        self._move(batches, sent)
        if len(sent) < len(batches):
            self._sealer.renew()

    def try_again(self) -> None:
        """A link is new, or time has passed: what this gateway did not take is worth another try."""
        self._held_until = None
        self._losses.try_again()
        self._backlog.try_again()

    def close(self, now: float) -> None:
        """Nothing is on its way any more: keep all that is left, and let go of the buffers."""
        upto = self._counters.taken + len(self._intake)
        while self._counters.taken < upto:
            self._seal(None, now)
        self._retreat()
        self._losses.record()
        self._counters.drop(counters.CLOSED, self._backlog.close(), "close() ended before they were delivered")
        self._burial.close()

    # --- what became of batches -----------------------------------------------------------------------------

    def delivered(
        self, batches: Sequence[Batch], faults: Sequence[PointFault] = (), left_out: Loss | None = None
    ) -> int:
        """These are stored, but for `faults` and `left_out` of the last; returns how many points the gateway got."""
        count = sum(batch.count for batch in batches) - len(faults)
        lost = 0
        for batch in batches:
            lost = self._lost.pop(key_of(batch), 0)
            count -= lost
            self._drop(batch, counters.NON_FINITE, "this gateway takes no NaN or infinity", lost)
            self._counters.declared += sum(loss.count for loss in batch.losses)
        if faults:
            # With points left out the gateway's index is not ours.
            self._burial.faulty(batches[-1], faults, known=not lost)
        if left_out is not None:
            count -= left_out.count
            self._drop(batches[-1], left_out.reason, "the gateway's answer says so", left_out.count)
        self._settle(batches)
        return count

    def refused(self, batches: Sequence[Batch], reason: str, detail: str) -> None:
        """These will never be stored."""
        for batch in batches:
            self._lost.pop(key_of(batch), None)
            self._burial.refused(batch, reason, detail)
            if batch.losses:
                self._losses.refused(batch.losses, detail)
        self._settle(batches)

    def take_back(self, batches: Sequence[Batch]) -> None:
        """These are to be sent again, and all that is fresh goes behind them."""
        self._retreat()
        self._note_retry(batches)
        self._backlog.unsend(batches)

    def hold(self, batches: Sequence[Batch], now: float) -> None:
        """These are more than the gateway takes in one message: their streams wait, the others go on."""
        self.take_back(batches)
        for batch in batches:
            self._wait(batch.stream, now + HOLD_S)

    def rename(self, batches: Sequence[Batch]) -> None:
        """The names of these are taken by other content: they are to be sent under new ones."""
        self._retreat()
        self._note_retry(batches)
        for batch in batches:
            self._backlog.rename(batch, resealed(batch))

    def _wait(self, stream: str, until: float) -> None:
        self._held_until = until if self._held_until is None else min(self._held_until, until)
        self._backlog.hold(stream)

    def _note_retry(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self._lost.pop(key_of(batch), None)
            self._counters.retried += batch.count

    def _settle(self, batches: Sequence[Batch]) -> None:
        self._losses.since(self._live.oldest_born())
        kept = [batch for batch in batches if not self._live.settle(batch)]
        if kept:
            # What is known of a loss must not leave the buffer before the loss is in it.
            self._losses.record()
        self._backlog.settle(kept)

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

    def _has_left_the_lane(self, mark: int) -> bool:
        oldest = self._live.oldest_number()
        return oldest is None or oldest > mark

    def _look(self, now: float) -> None:
        """Find out how old the oldest reading is; in the buffer, which has to be asked, not every time."""
        self._oldest_born = self._live.oldest_born()
        if self._oldest_born is None and len(self._intake):
            self._oldest_born = now - self._intake.age_s()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            self._backlog.look()

    # --- one batch ------------------------------------------------------------------------------------------

    def _seal(self, link: Link | None, now: float) -> None:
        born = now - self._intake.age_s()
        features = None if link is None else link.features
        for batch in self._sealer.seal(self._intake.take(self._sealer.chunk), features):
            self._live.add(batch, born)
        self.moved_at = now

    def _has_way(self, link: Link) -> bool:
        return self._live.next() is None and link.has_room(self._sealer.chunk)

    def _send(self, link: Link | None, now: float) -> None:
        while link is not None and link.has_room(1) and (batch := self._choose(link)) is not None:
            try:
                ready = self._readying.ready(batch, link)
            except ProtocolError as exc:
                self._give_up(batch, counters.UNREADABLE, str(exc))
                continue
            if ready is None:
                self._wait(batch.stream, now + DISK_REST_S)
            else:
                self._submit(link, ready, now)

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
        kept = self._backlog.next(declarations=takes_gaps(link)) if has_share else None
        return kept if kept is not None and link.has_room(kept.count) else fresh

    def _submit(self, link: Link, batch: Batch, now: float) -> None:
        try:
            fitted = self._fitter.fitted(batch, link.features)
        except ProtocolError as exc:
            self._give_up(batch, counters.UNREADABLE, str(exc))
            return
        if not fitted.count and not batch.losses and BATCH not in link.features:
            self._give_up(batch, counters.NON_FINITE, "this gateway takes no NaN or infinity")
            return
        if fitted.lost:
            self._lost[key_of(batch)] = fitted.lost
        self._launch(batch)
        link.submit(batch, self._base(batch), fitted.body, now)
        self.moved_at = now

    def _launch(self, batch: Batch) -> None:
        if self._live.next() is not batch:
            self._backlog.sent(batch)
        elif self._strict:
            self._backlog.keep([batch], {key_of(batch)})
            self._live.settle(batch)
        else:
            self._live.sent(batch)

    def _give_up(self, batch: Batch, reason: str, detail: str) -> None:
        self._drop(batch, reason, detail, batch.count)
        if not self._live.settle(batch):
            self._losses.record()
            self._backlog.discard(batch)

    def _drop(self, batch: Batch, reason: str, detail: str, count: int) -> None:
        self._counters.drop(reason, count, detail, first_ms=batch.first_ms, last_ms=batch.last_ms)

    def _base(self, batch: Batch) -> int:
        """The lowest `n` of the batch's stream that is not settled: within a stream, what is on its way is oldest."""
        lowest = (self._backlog.first_n(batch.stream), self._live.first_n(batch.stream), batch.n)
        return min(n for n in lowest if n is not None)

"""The uplink: drives one client's links and its dispatch, and says what became of it all.

Links say what happened, the dispatch moves batches; this is where the two meet, where refusals turn into pauses, and
where flushes and the end are waited for. `step` does all that is due and never waits, so a test drives it with a clock
of its own; `plexus.device.worker` is the thread around it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping

import attrs

from plexus.device import counters
from plexus.device.counters import Counters, Stats
from plexus.device.dispatch import Dispatch
from plexus.device.intake import Intake
from plexus.device.link import Link
from plexus.device.links import LinkEvent, LinkKeeper, Unreachable
from plexus.device.outbox import Outbox
from plexus.device.retrying import RetryConfig
from plexus.device.status import StatusLine
from plexus.device.video import VideoOutbox
from plexus.domain.command import CommandCall
from plexus.domain.errors import AuthenticationError
from plexus.ports.clock import Clock
from plexus.protocol.extensions import PRECISION
from plexus.protocol.messages import (
    AuthRefused,
    CommandArrived,
    Delivered,
    Ended,
    Forked,
    Notice,
    Ready,
    Refused,
    Rewound,
)

LINGER_S, IDLE_S = 0.01, 0.05
"""How often the intake is looked at, shortly after something moved and else."""
BUSY_FOR_S = 0.5
BUFFERING_AFTER_S = 1.0

_REASONS: Mapping[str, str] = {"400": "malformed", "422": "malformed"}


@attrs.define(eq=False)
class Flush:
    """A wish that the first `upto` readings of this client are delivered, and the backlog with them.

    `done` is set when that is so (`delivered`) or in vain. `mark` is the last of the batches that hold these readings.
    """

    upto: int
    done: threading.Event = attrs.field(factory=threading.Event)
    delivered: bool = False
    mark: int | None = None


@attrs.frozen
class Hooks:
    """Whom the uplink tells: of a command, and of a name that the gateway assigned."""

    on_command: Callable[[CommandCall], None]
    on_source_id: Callable[[str], None]


class Uplink:
    """Drives one client's delivery. `step` is for one thread; methods that say so may be called by any.

    `source_id` is the name that the gateway knows this device by.
    """

    def __init__(
        self,
        *,
        source_id: str,
        intake: Intake,
        dispatch: Dispatch,
        links: LinkKeeper,
        outbox: Outbox,
        video: VideoOutbox,
        tally: Counters,
        clock: Clock,
        retry: RetryConfig,
        status: StatusLine,
        hooks: Hooks,
    ) -> None:
        self.source_id = source_id
        self.finished = threading.Event()
        self._intake = intake
        self._dispatch = dispatch
        self._links = links
        self._outbox = outbox
        self._video = video
        self._counters = tally
        self._clock = clock
        self._retry = retry
        self._status = status
        self._hooks = hooks
        self._offset_ms: float | None = None
        self._offset_error_ms = 0.0
        self._refusals = 0
        self._held_until = 0.0
        self._shown_at = float("-inf")
        self._down_since: float | None = None
        self._why_down = ""
        self._wishes: deque[Flush] = deque()
        self._flushes: list[Flush] = []
        self._via = ""
        self._close_within: float | None = None
        self._close_at: float | None = None

    # --- for any thread -------------------------------------------------------------------------------------

    def waiting(self) -> int:
        """Points that are taken and not settled."""
        return self._dispatch.waiting()

    def flush(self) -> Flush:
        """Ask for everything taken so far to be delivered; wake the thread afterwards."""
        flush = Flush(self._counters.taken + len(self._intake))
        self._wishes.append(flush)
        if self.finished.is_set():
            flush.done.set()
        return flush

    def close(self, timeout: float) -> None:
        """Ask for the end: deliver for `timeout` seconds, keep the rest; wake the thread afterwards."""
        self._close_within = timeout

    def stats(self) -> Stats:
        """The numbers now; those that move together are not read at one instant."""
        link = self._links.active
        in_flight = 0 if link is None else link.in_flight()
        return Stats(
            accepted=self._counters.taken + len(self._intake),
            delivered=self._counters.delivered,
            buffered=max(0, self.waiting() - in_flight),
            in_flight=in_flight,
            retried=self._counters.retried,
            dropped=self._counters.dropped(),
            link="" if link is None else link.name,
            clock_offset_ms=self._offset_ms,
            clock_error_ms=self._offset_error_ms,
        )

    # --- the step -------------------------------------------------------------------------------------------

    def step(self, now: float) -> float:
        """Do all that is due at monotonic `now`, without waiting; returns when to be called next at the latest."""
        if self.finished.is_set():
            return now
        while self._wishes:
            self._flushes.append(self._wishes.popleft())
        self._hear(self._links.advance(now), now)
        self._post(now)
        self._dispatch.advance(self._link(now), now, everything=self._is_asked_for_all())
        self._tell_of_waiting(now)
        self._settle_flushes()
        if self._is_time_to_close(now):
            self._finish(now)
        return self._next_time(now)

    def _next_time(self, now: float) -> float:
        if self._dispatch.is_time_to_seal(self._link(now), everything=self._is_asked_for_all()):
            return now
        moved = max(self._dispatch.moved_at, self._shown_at)
        look_again = now + (LINGER_S if now < moved + BUSY_FOR_S else IDLE_S)
        times = (look_again, self._dispatch.spool_time(), self._links.next_time(), self._close_at)
        return max(now, min(time for time in times if time is not None))

    def _link(self, now: float) -> Link | None:
        """The link that batches may go to now."""
        return self._links.usable if now >= self._held_until else None

    def _is_asked_for_all(self) -> bool:
        return self._close_within is not None or any(flush.mark is None for flush in self._flushes)

    # --- what the links say ---------------------------------------------------------------------------------

    def _hear(self, events: list[LinkEvent], now: float) -> None:
        for event in events:
            self._heard(event, now)

    def _heard(self, event: LinkEvent, now: float) -> None:
        if isinstance(event, (Delivered, Refused, Rewound, Forked)):
            self._answered(event, now)
        elif isinstance(event, Ready):
            self._ready(event)
        elif isinstance(event, Ended):
            self._dispatch.take_back(event.batches)
            self._down(event.reason, now)
        elif isinstance(event, Unreachable):
            self._down(event.reason, now)
        elif isinstance(event, AuthRefused):
            self._auth_refused(event)
        elif isinstance(event, CommandArrived):
            self._hooks.on_command(event.call)
        elif isinstance(event, Notice):
            counters.log.warning("the gateway says %s: %s", event.code, event.detail)

    def _answered(self, event: Delivered | Refused | Rewound | Forked, now: float) -> None:
        if isinstance(event, Delivered):
            self._delivered(event)
        elif isinstance(event, Refused):
            self._refused(event)
        elif isinstance(event, Rewound):
            self._rewound(event, now)
        else:
            self._forked(event)

    def _ready(self, event: Ready) -> None:
        self._dispatch.precise = PRECISION in event.features
        self._via = self._links.active.name if self._links.active is not None else ""
        self._refusals, self._held_until, self._down_since = 0, 0.0, None
        self._intake.alarm = None
        if event.offset_ms is not None:
            self._offset_ms, self._offset_error_ms = event.offset_ms, event.offset_error_ms
            self._clock.correct(event.offset_ms)
        if event.source_id != self.source_id:
            self.source_id = event.source_id
            self._hooks.on_source_id(event.source_id)
        if self._links.fallen_back:
            self._status.fell_back(self._why_down)
        self._status.connected(event.source_id, self._via)

    def _delivered(self, event: Delivered) -> None:
        self._refusals = 0
        count = self._dispatch.delivered(event.batches) - event.dropped
        self._counters.delivered += count
        known = event.reason == counters.RATE_LIMITED
        self._counters.drop(counters.RATE_LIMITED if known else counters.REFUSED, event.dropped, event.reason)
        self._status.delivered(self._via, count)

    def _refused(self, event: Refused) -> None:
        reason = _REASONS.get(event.code, event.code.lower() or counters.REFUSED)
        self._dispatch.refused(event.batches, reason, event.detail)

    def _rewound(self, event: Rewound, now: float) -> None:
        self._dispatch.take_back(event.batches)
        self._refusals += 1
        if event.retry_after_s is not None:
            self._held_until = now + event.retry_after_s
            self._links.rest(self._held_until)
            return
        link = self._links.active
        if link is None:
            return
        if link.one_at_a_time and self._refusals > self._retry.max_retries:
            self._hear(self._links.give_up(event.detail, now), now)
        elif link.one_at_a_time or self._refusals > 1:
            self._held_until = now + self._retry.get_delay(self._refusals - 1)

    def _forked(self, event: Forked) -> None:
        counters.log.warning(
            "stream %s was used by another copy of this device; sending %d batches under new names",
            event.stream[:8],
            len(event.batches),
        )
        self._dispatch.rename(event.batches)

    def _down(self, reason: str, now: float) -> None:
        if self._links.active is None:
            self._why_down = reason
            if self._down_since is None:
                self._down_since = now
            self._status.disconnected(reason)

    def _auth_refused(self, event: AuthRefused) -> None:
        if event.key_at_fault:
            self._status.key_rejected(event.detail)
            self._intake.raise_once(
                AuthenticationError(
                    f"the gateway refuses the API key ({event.detail or event.code}): nothing is lost, data stays on "
                    "this machine; set PLEXUS_API_KEY or run `plexus init --force`, then start again"
                )
            )

    # --- what travels beside the points ---------------------------------------------------------------------

    def _post(self, now: float) -> None:
        link = self._links.usable
        if link is None or link.one_at_a_time:
            # Video is live or nothing: no frame waits for a socket.
            self._video.take()
            return
        if self._outbox.is_hello_due(now):
            # Nothing new goes out until all is answered: a gateway that knows no names would store it twice.
            self._held_until = max(self._held_until, now + LINGER_S)
            if not link.in_flight():
                self._hear(self._links.say_hello_again(), now)
            return
        for outcome in self._outbox.take_outcomes():
            link.answer(outcome)
        for frame in self._video.take():
            self._shown_at = now
            link.send_frame(frame)

    # --- telling, flushing, ending --------------------------------------------------------------------------

    def _tell_of_waiting(self, now: float) -> None:
        if self._down_since is not None and now >= self._down_since + BUFFERING_AFTER_S:
            self._status.buffering(self._dispatch.kept())

    def _settle_flushes(self) -> None:
        for flush in list(self._flushes):
            if flush.mark is None and self._counters.taken >= flush.upto:
                flush.mark = self._dispatch.mark()
                self._links.retry_now()
            if flush.mark is not None and self._dispatch.is_settled(flush.mark):
                self._answer(flush, delivered=True)

    def _answer(self, flush: Flush, *, delivered: bool) -> None:
        if flush in self._flushes:
            self._flushes.remove(flush)
        flush.delivered = delivered
        flush.done.set()

    def _is_time_to_close(self, now: float) -> bool:
        if self._close_within is None or self.finished.is_set():
            return False
        if self._close_at is None:
            self._close_at = now + self._close_within
        hopeless = self._links.is_hopeless_until(self._close_at)
        return now >= self._close_at or hopeless or not self.waiting()

    def _finish(self, now: float) -> None:
        self._hear(self._links.hang_up("the client was closed"), now)
        self._dispatch.close(now)
        self.finished.set()
        self._intake.shut()
        for flush in (*self._flushes, *self._wishes):
            self._answer(flush, delivered=False)

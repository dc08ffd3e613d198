"""The uplink: drives one client's links and its dispatch, and says what became of it all.

Links say what happened, the dispatch moves batches; this is where the two meet, where flushes and the end are waited
for, and where it is decided when to look again. `step` does all that is due and never waits, so a test drives it with a
clock of its own; `plexus.device.worker` is the thread around it.

When to look again:
- with a link and traffic, every `LINGER_S`: `send` wakes nobody, since that would cost its caller 70 µs;
- without a link but with traffic, often enough for the buffer to have each reading in time;
- `BUSY_FOR_S` after the last reading, only at deadlines: then the next `send` rings, which it does once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import attrs

from plexus.device import counters
from plexus.device.alarms import Alarms
from plexus.device.answers import Answers
from plexus.device.counters import Counters, Stats
from plexus.device.dispatch import Dispatch
from plexus.device.flushes import Flush, Flushes
from plexus.device.intake import Intake
from plexus.device.link import Link
from plexus.device.links import LinkEvent, LinkKeeper, Unreachable
from plexus.device.outbox import Outbox
from plexus.device.retrying import RetryConfig
from plexus.device.status import StatusLine
from plexus.device.timing import Synchroniser
from plexus.device.video import VideoOutbox
from plexus.domain.errors import PlexusError
from plexus.ports.clock import Clock
from plexus.protocol.messages import (
    AuthRefused,
    ClockSampled,
    CommandArrived,
    CommandWord,
    Delivered,
    Ended,
    Forked,
    Notice,
    Oversized,
    Ready,
    Refused,
    Rewound,
)

LINGER_S = 0.01
AWAY_S = 0.1
"""How often the intake is looked at while there is traffic: with a link, and without one."""
BUSY_FOR_S = 1.0
BUFFERING_AFTER_S = 1.0
LONGEST_SLEEP_S = 60.0
SOURCE_LIMIT = "SOURCE_LIMIT"
"""How a gateway refuses a device whose source would be one too many: the key is good, but as little helps at once."""


def _nothing(*_arguments: object) -> None:
    """For hooks that nobody asked for."""


@attrs.frozen
class Hooks:
    """Whom the uplink tells: of a command, of a name that the gateway assigned, and of what went wrong.

    `ring` is called by the thread of a `send` that finds the uplink asleep, and is to have it step. All others are
    called by the uplink's thread; what `on_error` raises is logged.
    """

    on_command: Callable[[CommandWord], None]
    on_source_id: Callable[[str], None]
    on_error: Callable[[PlexusError], None] = _nothing
    ring: Callable[[], None] = _nothing


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
        self._status = status
        self._hooks = hooks
        self._alarms = Alarms(intake, tally, hooks.on_error, hooks.ring)
        self._answers = Answers(dispatch, links, self._alarms, tally, retry, status)
        self._flushes = Flushes(tally, dispatch)
        self._time = Synchroniser(clock)
        self._stepped = (0.0, clock.tick())
        self._moved_at = float("-inf")
        self._down_since: float | None = None
        self._why_down = ""
        self._via = ""
        self._spool = dispatch.spool
        self._close_within: float | None = None
        self._close_at: float | None = None

    # --- for any thread -------------------------------------------------------------------------------------

    def waiting(self) -> int:
        """Points that are taken and not settled."""
        return self._dispatch.waiting()

    def flush(self, *, durable: bool = False) -> Flush:
        """Ask for everything taken so far to be delivered, or with `durable` to be safe; wake the thread afterwards."""
        return self._flushes.wish(self._counters.taken + len(self._intake), durable=durable)

    def close(self, timeout: float) -> None:
        """Ask for the end: deliver for `timeout` seconds, keep the rest; wake the thread afterwards.

        Asked again, what is sooner counts: SIGTERM may come in the middle of a patient `close`.
        """
        self._close_within = timeout if self._close_within is None else min(timeout, self._close_within)

    def stats(self) -> Stats:
        """The numbers now; those that move together are not read at one instant."""
        link = self._links.active
        in_flight = 0 if link is None else link.in_flight()
        stepped_at, stepped_tick = self._stepped
        tick = self._clock.tick()
        now = stepped_at + (tick - stepped_tick) / 1e9
        return Stats(
            accepted=self._counters.taken + len(self._intake),
            delivered=self._counters.delivered,
            buffered=max(0, self.waiting() - in_flight),
            in_flight=in_flight,
            retried=self._counters.retried,
            dropped=self._counters.dropped(),
            link="" if link is None else link.name,
            clock_offset_ms=self._time.offset_ms,
            clock_error_ms=self._time.error_ms,
            declared=self._counters.declared,
            dead_letters=self._counters.dead_letters,
            dead_letter_faults=self._counters.dead_letter_faults,
            oldest_unsent_s=self._dispatch.oldest_s(now, self._clock.wall_ms(tick)),
            durability=self._dispatch.durability,
            spool=self._dispatch.spool,
        )

    # --- for whoever works for the uplink, on its thread ----------------------------------------------------

    def fault(self, error: PlexusError) -> None:
        """A disk failed; delivery goes on, and the program is told."""
        self._alarms.fault(error)

    # --- the step -------------------------------------------------------------------------------------------

    def step(self, now: float) -> float:
        """Do all that is due at monotonic `now`, without waiting; returns when to be called next at the latest."""
        if self.finished.is_set():
            return now
        self._alarms.disarm()
        self._stepped = (now, self._clock.tick())
        if self._flushes.begin():
            self._links.retry_now()
        self._hear(self._links.advance(now), now)
        self._post(now)
        self._dispatch.advance(self._link(now), now, everything=self._is_asked_for_all())
        self._tell_of_waiting(now)
        self._flushes.settle()
        if self._is_time_to_close(now):
            self._finish(now)
        self._alarms.tell()
        return self._next_time(now)

    def _link(self, now: float) -> Link | None:
        """The link that batches may go to now."""
        return self._links.usable if now >= self._answers.held_until else None

    def _is_asked_for_all(self) -> bool:
        return self._close_within is not None or self._flushes.want_all()

    # --- when to look again ---------------------------------------------------------------------------------

    def _next_time(self, now: float) -> float:
        link = self._link(now)
        if self.finished.is_set() or self._dispatch.is_time_to_seal(link, everything=self._is_asked_for_all()):
            return now
        times = [
            self._look_again(link, now),
            self._dispatch.next_time(link, now),
            self._links.next_time(now),
            self._hello_at(now),
            self._answers.held_until if now < self._answers.held_until else None,
            self._close_at,
            self._buffering_at(now),
        ]
        return max(now, min(time for time in times if time is not None))

    def _look_again(self, link: Link | None, now: float) -> float:
        if len(self._intake) or now < max(self._dispatch.moved_at, self._moved_at) + BUSY_FOR_S:
            return now + (AWAY_S if link is None else LINGER_S)
        self._alarms.arm()
        # One that was taken just before the alarm was set rang nobody.
        return now if len(self._intake) else now + LONGEST_SLEEP_S

    def _hello_at(self, now: float) -> float | None:
        at = self._outbox.next_time()
        return at if at is not None and at > now else None

    def _buffering_at(self, now: float) -> float | None:
        at = None if self._down_since is None else self._down_since + BUFFERING_AFTER_S
        return at if at is not None and at > now else None

    # --- what the links say ---------------------------------------------------------------------------------

    def _hear(self, events: list[LinkEvent], now: float) -> None:
        for event in events:
            self._heard(event, now)

    def _heard(self, event: LinkEvent, now: float) -> None:
        if isinstance(event, (Delivered, Refused, Rewound, Forked, Oversized)):
            self._hear(self._answers.heard(event, self._via, now), now)
        elif isinstance(event, Ready):
            self._ready(event)
        elif isinstance(event, ClockSampled):
            self._time.heard(event.sample)
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

    def _ready(self, event: Ready) -> None:
        self._via = self._links.active.name if self._links.active is not None else ""
        self._down_since = None
        self._answers.new_link()
        self._alarms.key_accepted()
        if event.clock is not None:
            self._time.heard(event.clock)
        if event.source_id != self.source_id:
            self.source_id = event.source_id
            self._hooks.on_source_id(event.source_id)
        if self._links.fallen_back:
            self._status.fell_back(self._why_down)
        self._status.connected(event.source_id, self._via)

    def _down(self, reason: str, now: float) -> None:
        if self._links.active is None:
            self._why_down = reason
            if self._down_since is None:
                self._down_since = now
            self._status.disconnected(reason)

    def _auth_refused(self, event: AuthRefused) -> None:
        if not event.key_at_fault:
            return
        if event.code == SOURCE_LIMIT:
            self._status.source_refused(event.detail)
            self._alarms.source_refused(event.detail or event.code)
        else:
            self._status.key_rejected(event.detail)
            self._alarms.key_refused(event.detail or event.code)
        self._flushes.refused()  # last: who waited looks for the reason

    # --- what travels beside the points ---------------------------------------------------------------------

    def _post(self, now: float) -> None:
        link = self._links.usable
        if link is None or link.one_at_a_time:
            # Video is live or nothing: no frame waits for a socket.
            self._video.take()
            return
        if self._outbox.is_hello_due(now):
            # Nothing new goes out until all is answered: a gateway that knows no names would store it twice.
            self._answers.hold(now + LINGER_S)
            if not link.in_flight():
                self._hear(self._links.say_hello_again(), now)
            return
        for outcome in self._outbox.take_outcomes():
            link.answer(outcome)
        for frame in [] if link.is_clogged() else self._video.take():
            self._moved_at = now
            link.send_frame(frame)

    # --- telling and ending ---------------------------------------------------------------------------------

    def _tell_of_waiting(self, now: float) -> None:
        if self._down_since is not None and now >= self._down_since + BUFFERING_AFTER_S:
            self._status.buffering(self._dispatch.kept())
        spool = self._dispatch.spool
        if spool != self._spool:
            self._spool = spool
            self._status.spool(failing=spool == "failing")

    def _is_time_to_close(self, now: float) -> bool:
        if self._close_within is None or self.finished.is_set():
            return False
        within = now + self._close_within
        self._close_at = within if self._close_at is None else min(within, self._close_at)
        hopeless = self._links.is_hopeless_until(self._close_at)
        return now >= self._close_at or hopeless or self._dispatch.is_done(self._links.active)

    def _finish(self, now: float) -> None:
        self._hear(self._links.hang_up("the client was closed"), now)
        self._flushes.settle()
        self._dispatch.close(now)
        self.finished.set()
        self._intake.shut()
        self._flushes.end()

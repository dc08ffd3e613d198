"""The core of a stream of one source's points or events: what it does next, and what it delivers. No I/O.

What it keeps, over every loss of the connection:
- `cursor`, the place after what was delivered last, where the gateway gives cursors. It asks to go on there.
- `owed`, from when on the history is still to be delivered that `since` asked for.
- `away`, that something was stored while nobody listened and no cursor brought it: the history is asked for it.
- a `Seam` while what comes from the history may also come live, and a few seconds longer.

A gateway that knows cursors says `ready` first: from there on nothing is missed. Of one that does not say so nobody can
tell when it began to listen for us; so the history is asked twice, at once and when the first frame came.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import attrs

from plexus.api.requests import Request
from plexus.api.streams.clocks import Clocks
from plexus.api.streams.kinds import Kind, Page
from plexus.api.streams.mending import Mender
from plexus.api.streams.seams import Pager, Recent, Seam
from plexus.api.streams.steps import Ask, Complain, Connect, Deliver, HangUp, Pause, Receive, Steps, Tell
from plexus.domain.errors import ApiError, NotFoundError, ProtocolError, RateLimitedError, TransportError
from plexus.domain.live import StreamNotice
from plexus.protocol import live

T = TypeVar("T")

READY_S = 1.0
"""How long a gateway has for saying that it is ready, before it is taken for one that never says so."""

SETTLE_S = 5.0
"""When no frame came by then, such a gateway listens for us, or never will."""

OVERLAP_S = 5.0
"""What was stored before the history answered has come live by so much later, if the stream was read dry since."""

MOST_BEHIND = 100_000
"""Or so many items later where it never is: more than sockets and the gateway's queue hold for a reader."""

AHEAD_MS = 86_400_000.0
"""How far the history is asked into the future, lest a device whose clock is ahead has something kept back."""


@attrs.define
class _Deadline:
    """A moment of the monotonic clock."""

    at: float

    def left(self, now: float) -> float:
        """Seconds until then, at least 0."""
        return max(self.at - now, 0.0)


class Follower(Generic[T]):
    """One source's stream. `since_ms`: from when on (milliseconds since 1970 UTC), None for from now on. `lossless`:
    what the gateway dropped because the reader was slow is fetched again, and not only counted."""

    def __init__(
        self, kind: Kind[T], source_id: str, *, since_ms: float | None, lossless: bool, clocks: Clocks
    ) -> None:
        self._kind = kind
        self._source_id = source_id
        self._lossless = lossless
        self._clocks = clocks
        self._mender = Mender(clocks.random)
        self._cursor: str | None = None
        self._owed = since_ms
        self._away = False
        self._began_ms = clocks.wall_ms()
        self._recent = Recent(kind)
        self._seam: Seam[T] | None = None
        self._overlap = _Deadline(0.0)
        self._behind = 0
        self._second_look: _Deadline | None = None

    def steps(self) -> Steps[None]:
        """For ever, until it is closed. Raises TransportError when the first connection cannot be made, and
        AuthenticationError or ApiError when the server refuses the stream."""
        connected = False
        while True:
            try:
                yield Connect(self._request())
                connected = True
                yield Tell(StreamNotice("connected"))
                yield from self._listen()
                yield HangUp()
            except TransportError as exc:
                yield HangUp()
                if not connected:
                    raise
                notice = self._mender.lost(exc)
                self._lost()
                yield Tell(notice)
                yield Pause(notice.delay_s)

    def _request(self) -> Request:
        request = self._kind.request(self._source_id)
        return attrs.evolve(request, params=(*request.params, ("cursor", self._cursor or "")))

    def _lost(self) -> None:
        self._away = True
        self._second_look = None

    # --- one connection -------------------------------------------------------------------------------------

    def _listen(self) -> Steps[None]:
        """Hear the socket until it ends (TransportError), or is to be made again at once (returns)."""
        yield from self._begin()
        while True:
            message = yield Receive(self._patience_s())
            if message is None:
                yield from self._time_is_up()
            elif (yield from self._heard(message)):
                return

    def _begin(self) -> Steps[None]:
        """Bring what is owed from the history; a cursor that goes on needs none of it."""
        if self._owed is None and not self._away:
            return
        message = yield Receive(READY_S)
        frame = yield from self._parsed(message)
        if frame is not None:
            self._mender.well()
        if isinstance(frame, live.Ready) and frame.resumed:
            self._away = False
        if self._owed is not None or self._away:
            self._seam = self._seam or Seam(self._kind, self._recent.items())
            yield from self._fill()
            if not isinstance(frame, (live.Ready, live.LivePoints, live.LiveEvent)):
                self._second_look = _Deadline(self._clocks.monotonic() + SETTLE_S)
        if frame is not None:
            yield from self._took(frame)

    def _patience_s(self) -> float | None:
        now = self._clocks.monotonic()
        if self._second_look is not None:
            return self._second_look.left(now)
        return None if self._seam is None else self._overlap.left(now)

    def _time_is_up(self) -> Steps[None]:
        """Nothing came for as long as something was waited for."""
        if self._second_look is not None:
            yield from self._look_again()
        else:
            self._seam = None

    def _look_again(self) -> Steps[None]:
        self._second_look = None
        self._away = True
        yield from self._fill()

    def _heard(self, message: str | bytes) -> Steps[bool]:
        """Whether the connection is to be made again at once."""
        frame = yield from self._parsed(message)
        if frame is None:
            return False
        self._mender.well()
        if self._second_look is not None and isinstance(frame, (live.LivePoints, live.LiveEvent)):
            # What was stored before the gateway listened for us is older than this frame.
            yield from self._look_again()
        return (yield from self._took(frame))

    def _parsed(self, message: str | bytes | None) -> Steps[live.LiveFrame | None]:
        if message is None:
            return None
        try:
            return live.parse(message)
        except ProtocolError as exc:
            yield Complain(exc)
            return None

    def _took(self, frame: live.LiveFrame) -> Steps[bool]:
        if isinstance(frame, (live.Ready, live.Place)):
            self._cursor = frame.cursor
        elif isinstance(frame, live.Reconnecting):
            yield Tell(StreamNotice("gateway_reconnecting", "", frame.attempt, frame.delay_s))
        elif isinstance(frame, live.Missed):
            return (yield from self._missed(frame.count))
        elif isinstance(frame, (live.LivePoints, live.LiveEvent)):
            items = self._kind.pick(frame, self._source_id)
            yield from self._deliver(items if self._seam is None else self._joined(items), keep=self._lossless)
            self._cursor = frame.cursor or self._cursor
        return False

    def _joined(self, items: Sequence[T]) -> Sequence[T]:
        """Of a frame in the seam, what did not come from the history."""
        assert self._seam is not None
        fresh = self._seam.live(items)
        if not self._overlap.left(self._clocks.monotonic()):
            self._behind += len(items)
            if self._behind > MOST_BEHIND and self._second_look is None:
                self._seam = None
        return fresh

    def _missed(self, count: int) -> Steps[bool]:
        """The gateway dropped so many before the next frame. Whether to go back to the cursor for them."""
        if not self._lossless and self._seam is None:
            yield Tell(StreamNotice("missed", "the reader was too slow for the gateway", count=count))
            return False
        self._away = True
        if self._cursor is not None:
            return True
        self._seam = self._seam or Seam(self._kind, self._recent.items())
        yield from self._fill()
        return False

    def _deliver(self, items: Sequence[T], *, keep: bool) -> Steps[None]:
        if items:
            yield Deliver(items, keep)
            self._recent.add(items, self._clocks.wall_ms())

    # --- the history ----------------------------------------------------------------------------------------

    def _fill(self) -> Steps[None]:
        """Deliver what is stored and was not delivered yet, in the order of time."""
        assert self._seam is not None
        now, count = self._clocks.wall_ms(), 0
        gap, start = self._away, self._from_ms()
        for pager in (Pager(start, max(now, start)), Pager(max(now, start), max(now, start) + AHEAD_MS)):
            while pager.window is not None:
                page = yield from self._page(*pager.window)
                if not page.whole:
                    if pager.narrow():
                        continue
                    yield Tell(StreamNotice("missed", "more is stored of one microsecond than an answer holds"))
                fresh = self._seam.stored(page.items)
                yield from self._deliver(fresh, keep=True)
                count += len(fresh)
                pager.advance(len(page.items))
                if self._owed is not None and pager.window is not None:
                    self._owed = pager.window[0]
        self._owed, self._away = None, False
        self._overlap, self._behind = _Deadline(self._clocks.monotonic() + OVERLAP_S), 0
        if count and gap:
            yield Tell(StreamNotice("filled", "what was stored meanwhile came from the history", count=count))

    def _from_ms(self) -> float:
        floor = self._recent.floor_ms
        starts = [] if self._owed is None else [self._owed]
        if self._away or not starts:
            starts.append(self._began_ms if floor is None else floor)
        return min(starts)

    def _page(self, start_ms: float, end_ms: float) -> Steps[Page[T]]:
        """One answer of the history. A failure that may pass ends the connection, and all is tried again."""
        try:
            page: Page[T] = yield Ask(self._kind.history(self._source_id, start_ms, end_ms))
        except NotFoundError:
            return Page((), whole=True)
        except (RateLimitedError, ApiError) as exc:
            if isinstance(exc, ApiError) and exc.status < 500:
                raise
            raise TransportError(str(exc)) from exc
        return page

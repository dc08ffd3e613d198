"""Live streams (protocol page, section 7): context managers that iterate, and connect again when the network fails.

    with api.metrics.stream("drone-01", ["battery.voltage"]) as stream:
        for point in stream:
            print(point.timestamp_ms, point.value)

The first connection fails at once, so that a wrong address is seen; a later loss is mended with growing pauses for as
long as the stream is open. What was sent while the stream was away is in the history, not in the stream: `reconnects`
counts the times. A key that is refused ends the stream with AuthenticationError.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from plexus.api.livesocket import LiveSocket
from plexus.domain.errors import ApiError, AuthenticationError, PlexusError, TransportClosed, TransportError
from plexus.domain.event import Event
from plexus.domain.live import LivePoint, StreamNotice
from plexus.protocol import live
from plexus.protocol.backoff import backoff_s

T = TypeVar("T")

LONGEST_PAUSE_S = 10.0
"""Someone is looking at a live view: a minute between tries would feel like for ever."""

GOING_AWAY = frozenset({1001, 1012})
"""The server leaves and another takes its place: come back within half a second, spread at random."""

_ENDINGS: Mapping[int, str] = {
    live.UNAUTHORIZED: "the API key is not known or was revoked: sign in with `plexus init`, or set PLEXUS_API_KEY",
    live.PLAN: "access is off for this organisation: check its plan",
    1008: "the key may not read this source, or the server does not take this client",
}
_STATUS: Mapping[int, int] = {live.UNAUTHORIZED: 401, live.PLAN: 402, 1008: 403}


class Stream(Generic[T]):
    """A live stream of points or events. One thread iterates; `close` may be called by any.

    `connect` makes an unopened socket, `hello` is the first message, `pick` takes what the stream delivers out of a
    frame, `on_notice` is told (on the iterating thread) when the connection comes, goes or is in doubt. `pause` waits
    so many seconds, or less when the event is set; `rng` gives numbers from 0 up to 1, for the spread of the pauses;
    `monotonic` is a clock in seconds.
    """

    def __init__(
        self,
        connect: Callable[[], LiveSocket],
        hello: str,
        pick: Callable[[live.LiveFrame], Iterable[T]],
        *,
        on_notice: Callable[[StreamNotice], None] | None = None,
        pause: Callable[[threading.Event, float], object] = threading.Event.wait,
        rng: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._hello = hello
        self._pick = pick
        self._on_notice = on_notice
        self._pause = pause
        self._random = rng
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._socket: LiveSocket | None = None
        self._ready: deque[T] = deque()
        self._attempt = 0
        self._retry_at: float | None = None
        self._reconnects = 0

    @property
    def reconnects(self) -> int:
        """How many times the connection was lost and made again; what was sent in between is in the history."""
        return self._reconnects

    def __enter__(self) -> Stream[T]:
        self._open()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        item = self.receive()
        if item is None:
            raise StopIteration
        return item

    def receive(self, timeout: float | None = None) -> T | None:
        """The next item; None when none came within `timeout` seconds, or when the stream was closed.

        Raises AuthenticationError or ApiError when the server refuses the stream, TransportError when the first
        connection cannot be made, ProtocolError for one frame that breaks the contract (the next call goes on after
        it). Losses are mended inside; a try to connect may take the client's own timeout on top.
        """
        end = None if timeout is None else self._monotonic() + timeout
        while not self._ready and not self._closed.is_set():
            left = None if end is None else max(end - self._monotonic(), 0.0)
            if not (self._connected(left) and self._took(left)):
                return None
        return self._ready.popleft() if self._ready else None

    def close(self) -> None:
        """End the stream; a thread that iterates stops. Never raises; closing twice is fine."""
        self._closed.set()
        with self._lock:
            socket = self._socket
        if socket is not None:
            socket.close()

    def _took(self, timeout: float | None) -> bool:
        """Wait for a message and keep what it holds; False when the time was up. A lost connection is no reason to."""
        assert self._socket is not None
        try:
            message = self._socket.receive(timeout)
        except TransportError as exc:
            self._lost(exc)
            return True
        if message is None:
            return False
        frame = live.parse(message)
        self._attempt = 0
        if isinstance(frame, live.Reconnecting):
            self._notice(StreamNotice("gateway_reconnecting", "", frame.attempt, frame.delay_s))
        else:
            self._ready.extend(self._pick(frame))
        return True

    # --- the connection -------------------------------------------------------------------------------------

    def _connected(self, timeout: float | None) -> bool:
        """See to it that there is a connection; False when the time was up, or the stream closed, before."""
        while self._socket is None and self._retry_at is not None:
            wait = max(self._retry_at - self._monotonic(), 0.0)
            if timeout is not None and timeout < wait:
                self._pause(self._closed, timeout)
                return False
            self._pause(self._closed, wait)
            if self._closed.is_set():
                return False
            try:
                self._open()
            except TransportError as exc:
                self._lost(exc)
            else:
                self._reconnects += 1
        if self._socket is None:
            self._open()
        return True

    def _open(self) -> None:
        """Connect once; raises TransportError."""
        socket = self._connect()
        with self._lock:
            self._socket = socket
        if self._closed.is_set():
            socket.close()
        try:
            socket.open(self._hello)
        except TransportError:
            self._let_go()
            raise
        self._retry_at = None
        self._notice(StreamNotice("connected"))

    def _lost(self, exc: TransportError) -> None:
        """The connection is gone: say when it is tried again, or raise what the server's refusal means."""
        self._let_go()
        if self._closed.is_set():
            return
        if isinstance(exc, TransportClosed) and (exc.code in _ENDINGS or 4000 <= exc.code < 5000):
            self._closed.set()
            raise _refusal(exc) from exc
        delay = self._delay_s(exc)
        self._attempt += 1
        self._retry_at = self._monotonic() + delay
        self._notice(StreamNotice("lost", str(exc), self._attempt, delay))

    def _let_go(self) -> None:
        with self._lock:
            socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def _delay_s(self, exc: TransportError) -> float:
        if self._attempt == 0 and isinstance(exc, TransportClosed) and exc.code in GOING_AWAY:
            return 0.1 + 0.4 * self._random()
        return min(LONGEST_PAUSE_S, backoff_s(self._attempt, self._random))

    def _notice(self, notice: StreamNotice) -> None:
        if self._on_notice is not None:
            self._on_notice(notice)


def _refusal(exc: TransportClosed) -> PlexusError:
    text = f"{exc}: {_ENDINGS.get(exc.code, 'the server refuses this stream')}"
    if exc.code == live.UNAUTHORIZED:
        return AuthenticationError(text)
    return ApiError(text, status=_STATUS.get(exc.code, 0))


def pick_points(frame: live.LiveFrame) -> Iterable[LivePoint]:
    """The points of a frame of a metric stream."""
    return frame.points if isinstance(frame, live.LivePoints) else ()


def pick_events(frame: live.LiveFrame) -> Iterable[Event]:
    """The event of a frame of an event stream."""
    return (frame.event,) if isinstance(frame, live.LiveEvent) else ()

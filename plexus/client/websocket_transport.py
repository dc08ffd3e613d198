"""`WebSocketTransport`, public since 0.5.2: one socket to a gateway, for programs that keep and batch by themselves.

It delivers what `send_points` is given and keeps nothing: whoever wants that uses `Plexus`.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from plexus._version import __version__
from plexus.adapters.clock.system import SystemClock
from plexus.adapters.transport.websocket import SocketTransport
from plexus.client.assembly import PLATFORM, on_thread
from plexus.device.commands import CommandDesk, Handler
from plexus.device.counters import log
from plexus.device.link import Link
from plexus.device.links import LinkEvent, LinkKeeper, Unreachable
from plexus.device.outbox import Outbox
from plexus.device.timing import Synchroniser
from plexus.domain.errors import ProtocolError, UnsupportedValueError
from plexus.ports.transport import Transport
from plexus.protocol import jsontext
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.device import DeviceSession, Hello
from plexus.protocol.frames import ClockState
from plexus.protocol.messages import (
    ClockSampled,
    CommandArrived,
    Delivered,
    Ended,
    Forked,
    Ready,
    Refused,
    Rewound,
)

ROOM_S = 10.0
"""How long `send_points` waits for its turn when much is under way."""
LOOK_S = 0.05


@attrs.define(eq=False)
class _Job:
    batch: Batch
    give_up_at: float
    delivered: bool = False
    done: threading.Event = attrs.field(factory=threading.Event)

    def end(self, *, delivered: bool) -> None:
        self.delivered = delivered
        self.done.set()


class WebSocketTransport:
    """One WebSocket to `/ws/device`, kept up by a thread of its own from `start` to `stop`.

    Args:
        api_key, source_id, ws_url: whom to be, and where; `ws_url` may or may not end in `/ws/device`.
        install_id: with it the gateway gives the same name back at every connection.
        agent_version, platform: what the gateway is told about this program.
        auto_reconnect: whether a connection that ends is made again.
        on_source_id_assigned: called with the name, when the gateway assigns another than `source_id`.
        on_clock_synced: called with the offset in milliseconds, at every connection.
        transport: another `plexus.ports.transport.Transport` of the dialect "socket".

    The two callbacks run on the socket's thread and must return soon.
    """

    def __init__(
        self,
        api_key: str,
        source_id: str,
        ws_url: str,
        *,
        install_id: str = "",
        agent_version: str = __version__,
        platform: str = PLATFORM,
        auto_reconnect: bool = True,
        on_source_id_assigned: Callable[[str], None] | None = None,
        on_clock_synced: Callable[[float], None] | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._outbox = Outbox()
        self._desk = CommandDesk(self._answer, on_thread("plexus-command"))
        told = (api_key, source_id, install_id, agent_version, platform)
        self._hello = Hello(*told, self._declarations, clock=self._clock_state)
        self._auto_reconnect = auto_reconnect
        self._on_source_id_assigned = on_source_id_assigned
        self._on_clock_synced = on_clock_synced
        self._clock = SystemClock()
        self._time = Synchroniser(self._clock)
        self._link = Link(
            "ws",
            transport or SocketTransport(ws_url),
            lambda: DeviceSession(self._hello, self._clock.tick),
            timeout_s=ROOM_S,
            run=on_thread("plexus-dial"),
            rang=self._wake,
        )
        self._keeper = LinkKeeper(self._link, None, random.random)
        self._stream, self._n = os.urandom(16).hex(), 0
        self._naming = threading.Lock()
        self._asked: deque[_Job] = deque()
        self._flight: dict[int, _Job] = {}
        self._authenticated = threading.Event()
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # --- what 0.5.2 has -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, in the background; starting twice is fine."""
        if self._thread is None or not self._thread.is_alive():
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="plexus-socket", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Close the connection, waiting at most `timeout` seconds; what is under way then counts as not delivered."""
        self._stopping.set()
        self._wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def wait_authenticated(self, timeout: float | None = None) -> bool:
        """Wait until the gateway has let this device in; whether it has, within `timeout` seconds."""
        return self._authenticated.wait(timeout)

    @property
    def is_authenticated(self) -> bool:
        """Whether there is a connection and the gateway has let this device in."""
        return self._authenticated.is_set()

    @property
    def clock_offset_ms(self) -> float:
        """How far the gateway's clock is ahead of this machine's; 0 before the first connection."""
        return self._time.offset_ms or 0.0

    @property
    def source_id(self) -> str:
        """The name that the gateway knows this device by."""
        return self._hello.source_id

    def send_points(self, points: Sequence[Mapping[str, Any]]) -> bool:
        """Send points in the form of the wire, as one message; waits for the gateway's word.

        True: they are stored (or written, where the gateway has no acknowledgements). False: they are not, or nobody
        knows; keep them and send them again. Raises UnsupportedValueError for what JSON cannot say.
        """
        try:
            body = jsontext.dumps([dict(point) for point in points]).encode()
        except (ProtocolError, UnicodeEncodeError) as exc:
            raise UnsupportedValueError(f"these points cannot be sent: {exc}") from exc
        if not self.is_authenticated:
            return False
        with self._naming:
            self._n += 1
            batch = Batch(self._stream, self._n, len(points), body, digest_of(body))
            job = _Job(batch, time.monotonic() + ROOM_S)
            self._asked.append(job)
        self._wake()
        # The thread ends every job: by its answer, with its link, or for want of room.
        while not job.done.wait(1.0):
            if self._thread is None or not self._thread.is_alive():
                return job.delivered
        return job.delivered

    def register_command(
        self,
        name: str,
        handler: Handler,
        *,
        description: str | None = None,
        params: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Call `handler(name, params)` when this command comes; the gateway learns of it by a new greeting."""
        self._desk.register(name, handler, description=description, params=params)
        self._outbox.want_hello()
        self._wake()

    # --- the thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            now = time.monotonic()
            for event in self._keeper.advance(now):
                self._heard(event)
            self._post(now)
            self._wait(now)
        for event in self._keeper.hang_up("the transport was stopped"):
            self._heard(event)
        self._fail_all()

    def _wait(self, now: float) -> None:
        due = self._keeper.next_time(now)
        seconds = max(0.0, min(LOOK_S, LOOK_S if due is None else due - now))
        if self._bell.is_set() or not self._keeper.wait(seconds, time.monotonic):
            self._bell.wait(seconds)
            self._bell.clear()

    def _wake(self) -> None:
        self._bell.set()
        self._link.wake()

    def _heard(self, event: LinkEvent) -> None:
        if isinstance(event, Ready):
            self._ready(event)
        elif isinstance(event, Delivered):
            self._settle(event.batches, delivered=True)
        elif isinstance(event, (Refused, Rewound, Forked)):
            self._settle(event.batches, delivered=False)
        elif isinstance(event, ClockSampled):
            self._time.heard(event.sample)
        elif isinstance(event, CommandArrived):
            self._desk.handle(event.call)
        elif isinstance(event, (Ended, Unreachable)):
            log.info("the socket is not connected: %s", event.reason)
            self._authenticated.clear()
            self._fail_all()
            if not self._auto_reconnect:
                self._stopping.set()

    def _ready(self, event: Ready) -> None:
        if event.clock is not None:
            self._time.heard(event.clock)
        assigned = event.source_id != self._hello.source_id
        self._hello = attrs.evolve(self._hello, source_id=event.source_id)
        self._authenticated.set()
        if assigned and self._on_source_id_assigned is not None:
            _call(self._on_source_id_assigned, event.source_id)
        if self._on_clock_synced is not None:
            _call(self._on_clock_synced, self.clock_offset_ms)

    def _post(self, now: float) -> None:
        if not self._authenticated.is_set():
            self._fail_all()
            return
        if self._outbox.is_hello_due(now) and not self._flight:
            for event in self._keeper.say_hello_again():
                self._heard(event)
            return
        for outcome in self._outbox.take_outcomes():
            self._link.answer(outcome)
        while self._asked and not self._outbox.is_hello_due(now):
            job = self._asked[0]
            if self._link.has_room(job.batch.count):
                self._flight[job.batch.n] = self._asked.popleft()
                self._link.submit(job.batch, min(self._flight), job.batch.body, now)
            elif now >= job.give_up_at:
                self._asked.popleft().end(delivered=False)
            else:
                return

    def _settle(self, batches: Sequence[Batch], *, delivered: bool) -> None:
        for batch in batches:
            job = self._flight.pop(batch.n, None)
            if job is not None:
                job.end(delivered=delivered)

    def _fail_all(self) -> None:
        for job in [*self._flight.values(), *(self._asked.popleft() for _ in range(len(self._asked)))]:
            job.end(delivered=False)
        self._flight.clear()

    def _answer(self, outcome: Any) -> None:
        self._outbox.answer(outcome)
        self._wake()

    def _clock_state(self) -> ClockState | None:
        offset_ms = self._time.offset_ms
        return None if offset_ms is None else ClockState(offset_ms, self._time.error_ms)

    def _declarations(self) -> tuple[Mapping[str, Any], ...]:
        self._outbox.greeted()
        return self._desk.declarations()


def _call(callback: Callable[[Any], None], told: Any) -> None:
    try:
        callback(told)
    except Exception:  # noqa: BLE001 - the program's own fault must not end its connection
        log.exception("a callback of WebSocketTransport failed")

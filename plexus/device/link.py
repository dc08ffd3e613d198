"""One link: a transport and the session that speaks over it, opened beside the uplink so that nothing waits for a dial."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from plexus.domain.command import CommandOutcome
from plexus.domain.errors import PlexusError, TransportClosed, TransportError
from plexus.ports.transport import Transport
from plexus.protocol.batch import Batch
from plexus.protocol.extensions import NO_FEATURES, Features
from plexus.protocol.messages import DeviceEvent, Ended, Message, Ready, UplinkSession

GOING_AWAY = frozenset({1000, 1001, 1012, 1013})
"""Close codes by which a gateway leaves on purpose."""

Run = Callable[[Callable[[], None]], None]
"""How a dial is run: on a thread of its own in a client, at once in a test."""


class _Phase(Enum):
    CLOSED = "closed"
    DIALLING = "dialling"
    OPEN = "open"


class Link:
    """Opens, pumps and closes one transport. All methods are called by the uplink's thread."""

    def __init__(
        self,
        name: str,
        transport: Transport,
        make_session: Callable[[], UplinkSession],
        *,
        timeout_s: float,
        run: Run,
        rang: Callable[[], None],
    ) -> None:
        self.name = name
        self.transport = transport
        self.features: Features = NO_FEATURES
        self._make_session = make_session
        self._timeout_s = timeout_s
        self._run = run
        self._rang = rang
        self._phase = _Phase.CLOSED
        self._session = make_session()
        self._dialled: list[TransportError | None] = []

    def dial(self) -> None:
        """Begin to connect; `poll` tells how it went."""
        self._session = self._make_session()
        self._dialled = []
        self._phase = _Phase.DIALLING
        self._run(self._dial)

    def poll(self, now: float) -> list[DeviceEvent]:
        """What happened since the last call; sends what is due."""
        if self._phase is _Phase.DIALLING:
            self._finish_dial(now)
        if self._phase is _Phase.OPEN:
            self._session.tick(now)
            self._flush()
        return self._events()

    def wait(self, seconds: float, now: Callable[[], float]) -> None:
        """Take in messages: wait for the first, then take what is there already."""
        if self._phase is not _Phase.OPEN:
            return
        try:
            message = self.transport.receive(seconds)
            while message is not None:
                self._session.receive(message, now())
                message = self.transport.receive(0.0)
        except TransportClosed as exc:
            self._end(str(exc), goodbye=exc.code in GOING_AWAY)
        except TransportError as exc:
            self._end(str(exc))

    @property
    def open(self) -> bool:
        """Whether the transport is connected."""
        return self._phase is _Phase.OPEN

    def has_room(self, count: int) -> bool:
        """Whether a batch of `count` points may be submitted."""
        return self._phase is _Phase.OPEN and self._session.has_room(count)

    def in_flight(self) -> int:
        """Points sent and not settled."""
        return self._session.in_flight()

    def submit(self, batch: Batch, base: int, body: bytes, now: float) -> None:
        """Send one batch."""
        self._session.submit(batch, base, body, now)
        self._flush()

    def answer(self, outcome: CommandOutcome) -> None:
        """Send what became of a command."""
        self._session.answer(outcome)

    def send_frame(self, message: bytes) -> None:
        """Send one binary frame, past the session: video asks for no acknowledgement."""
        self._write([message])

    def next_deadline(self) -> float | None:
        """When `poll` has something to do by itself."""
        return self._session.next_deadline() if self._phase is _Phase.OPEN else None

    def hang_up(self, reason: str) -> list[DeviceEvent]:
        """Close the link; what was in flight comes back in an `Ended`."""
        self._end(reason)
        return self._events()

    def _dial(self) -> None:
        try:
            self.transport.open(self._timeout_s)
        except TransportError as exc:
            self._dialled.append(exc)
        except PlexusError as exc:
            self._dialled.append(TransportError(str(exc)))
        else:
            self._dialled.append(None)
        self._rang()

    def _finish_dial(self, now: float) -> None:
        if not self._dialled:
            return
        failure = self._dialled.pop()
        if failure is not None:
            self._end(str(failure))
            return
        self._phase = _Phase.OPEN
        self._session.opened(now)

    def _flush(self) -> None:
        if self._write(self._session.take_messages()):
            self._session.written()

    def _write(self, messages: list[Message] | list[bytes]) -> bool:
        try:
            for message in messages:
                self.transport.send(message)
        except TransportError as exc:
            self._end(str(exc))
            return False
        return bool(messages)

    def _end(self, reason: str, *, goodbye: bool = False) -> None:
        self._phase = _Phase.CLOSED
        self._session.ended(reason, goodbye=goodbye)
        self.transport.close()

    def _events(self) -> list[DeviceEvent]:
        events = self._session.take_events()
        for event in events:
            if isinstance(event, Ready):
                self.features = event.features
            elif isinstance(event, Ended) and self._phase is not _Phase.CLOSED:
                # The session gave up by itself (silence, a refused greeting): let the transport go too.
                self._phase = _Phase.CLOSED
                self.transport.close()
        return events

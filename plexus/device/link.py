"""One link: a transport and the session that speaks over it, dialled beside the uplink so that nothing waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from plexus.domain.command import CommandOutcome
from plexus.domain.errors import PlexusError, ProtocolError, TransportClosed, TransportError
from plexus.ports.transport import Transport
from plexus.protocol.batch import Batch
from plexus.protocol.extensions import NO_FEATURES, Features
from plexus.protocol.messages import DeviceEvent, Ended, Message, Ready, UplinkSession

GOING_AWAY = frozenset({1000, 1001, 1012, 1013})
"""Close codes by which a gateway leaves on purpose."""

MAX_PENDING_BYTES = 1024 * 1024
"""What a link may hold that the network has not taken; beyond it nothing more is handed over."""

CLOGGED_BYTES = 128 * 1024
"""From here on a live picture would be late: it waits, and gives way to a newer one."""

Run = Callable[[Callable[[], None]], None]
"""How a dial is run: on a thread of its own in a client, at once in a test."""


class _Phase(Enum):
    CLOSED = "closed"
    DIALLING = "dialling"
    OPEN = "open"


class Link:
    """Opens, pumps and closes one transport. All methods but `wake` are for the uplink's thread.

    `rang` is called when a dial is over, by the thread that `run` ran it on.
    """

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
        self.features: Features = NO_FEATURES
        self._transport = transport
        self._make_session = make_session
        self._timeout_s = timeout_s
        self._run = run
        self._rang = rang
        self._phase = _Phase.CLOSED
        self._session = make_session()
        self._dialled: list[TransportError | None] = []
        self._has_unconfirmed = False
        self._now = 0.0

    @property
    def open(self) -> bool:
        """Whether the transport is connected."""
        return self._phase is _Phase.OPEN

    @property
    def one_at_a_time(self) -> bool:
        """Whether a batch must be answered before the next can go, as over plain HTTP."""
        return self._transport.dialect == "request"

    def dial(self) -> None:
        """Begin to connect; `poll` tells how it went."""
        outcome: list[TransportError | None] = []
        self._session = self._make_session()
        self._dialled = outcome
        self._has_unconfirmed = False
        self._phase = _Phase.DIALLING
        try:
            self._run(lambda: self._dial(outcome))
        except RuntimeError as exc:
            # The system gives no more threads, or the interpreter is going down.
            outcome.append(TransportError(f"no connection can be made now: {exc}"))

    def poll(self, now: float) -> list[DeviceEvent]:
        """Take in what has come, send what is due; what happened since the last call."""
        self._now = now
        if self._phase is _Phase.DIALLING:
            self._finish_dial(now)
        self.wait(0.0, lambda: now)
        if self._phase is _Phase.OPEN:
            self._session.tick(now)
            self._flush()
        return self._events()

    def wait(self, seconds: float, now: Callable[[], float]) -> None:
        """Take in messages: wait for the first, then take what is there already."""
        if self._phase is not _Phase.OPEN:
            return
        try:
            message = self._receive(seconds)
            while message is not None:
                self._now = now()
                self._session.receive(message, self._now)
                message = self._receive(0.0)
        except TransportError as exc:
            self._broken(exc)

    def wake(self) -> None:
        """Make a `wait` return now; any thread may call it."""
        self._transport.wake()

    def has_room(self, count: int) -> bool:
        """Whether a batch of `count` points may be submitted."""
        if self._phase is not _Phase.OPEN or not self._session.has_room(count):
            return False
        return self._transport.pending < MAX_PENDING_BYTES

    def is_clogged(self) -> bool:
        """Whether the network takes what it is given only slowly."""
        return self._transport.pending >= CLOGGED_BYTES

    def in_flight(self) -> int:
        """Points sent and not settled."""
        return self._session.in_flight()

    def submit(self, batch: Batch, base: int, body: bytes, now: float) -> None:
        """Send one batch."""
        self._now = now
        self._session.submit(batch, base, body, now)
        self._flush()

    def answer(self, outcome: CommandOutcome) -> None:
        """Send what became of a command; what no frame can say is answered with an error in its place."""
        try:
            self._session.answer(outcome)
        except ProtocolError as exc:
            said = f"the result cannot be sent: {exc}"
            self._session.answer(CommandOutcome(outcome.call_id, outcome.command, "error", error=said))
        self._flush()

    def send_frame(self, message: bytes) -> None:
        """Send one binary frame, past the session: video asks for no acknowledgement."""
        if self._phase is _Phase.OPEN:
            self._write([message])

    def next_deadline(self) -> float | None:
        """When `poll` has something to do by itself; a time that is past when a dial is over."""
        if self._phase is _Phase.OPEN:
            return self._session.next_deadline()
        return 0.0 if self._dialled else None

    def hang_up(self, reason: str) -> list[DeviceEvent]:
        """Close the link; what was in flight comes back in an `Ended`."""
        self._end(reason)
        return self._events()

    # --- inside ---------------------------------------------------------------------------------------------

    def _dial(self, outcome: list[TransportError | None]) -> None:
        try:
            self._transport.open(self._timeout_s)
        except Exception as exc:  # noqa: BLE001 - a transport of the program's own may raise anything
            outcome.append(_translated(exc))
        else:
            outcome.append(None)
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
        self._flush()

    def _flush(self) -> None:
        messages = self._session.take_messages()
        if messages and self._write(messages):
            self._has_unconfirmed = True
        if self._has_unconfirmed and self._phase is _Phase.OPEN and not self._transport.pending:
            self._has_unconfirmed = False
            self._session.written()

    def _write(self, messages: Sequence[Message]) -> bool:
        try:
            for message in messages:
                self._transport.send(message)
        except Exception as exc:  # noqa: BLE001 - see `_dial`
            self._hear_out(_translated(exc))
            return False
        return True

    def _receive(self, seconds: float) -> Message | None:
        try:
            return self._transport.receive(seconds)
        except Exception as exc:  # noqa: BLE001 - see `_dial`
            failure = _translated(exc)
        raise failure

    def _hear_out(self, failure: TransportError) -> None:
        """A write failed: what the gateway had said before still counts, and whether it left on purpose."""
        try:
            while (message := self._receive(0.0)) is not None:
                self._session.receive(message, self._now)
        except TransportError as exc:
            failure = exc
        self._broken(failure)

    def _broken(self, failure: TransportError) -> None:
        goodbye = isinstance(failure, TransportClosed) and failure.code in GOING_AWAY
        self._end(str(failure), goodbye=goodbye)

    def _end(self, reason: str, *, goodbye: bool = False) -> None:
        self._phase = _Phase.CLOSED
        self._session.ended(reason, goodbye=goodbye)
        self._transport.close()

    def _events(self) -> list[DeviceEvent]:
        events = self._session.take_events()
        for event in events:
            if isinstance(event, Ready):
                self.features = event.features
            elif isinstance(event, Ended) and self._phase is not _Phase.CLOSED:
                # The session gave up by itself (silence, a refused greeting): let the transport go too.
                self._phase = _Phase.CLOSED
                self._transport.close()
        return events


def _translated(exc: Exception) -> TransportError:
    if isinstance(exc, TransportError):
        return exc
    words = str(exc) if isinstance(exc, PlexusError) else f"the transport failed with {type(exc).__name__}: {exc}"
    failure = TransportError(words)
    failure.__cause__ = exc
    return failure

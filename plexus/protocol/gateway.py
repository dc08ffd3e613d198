"""The gateway's end of `/ws/device`, without I/O: the mirror of `protocol.device`.

    AWAITING_AUTH ──device_auth──► CHECKING ──accept──► READY ──goodbye / violation──► CLOSED
          └──10 s, or anything else──────────refuse──────────────────────────────────────┘

The session decides nothing about keys, names or storage: it asks (`AuthRequested`, `TelemetryReceived`) and is told
(`accept`, `refuse`, `settle`). Answers to telemetry leave in the order in which it arrived, so an error that releases
a frame never overtakes the commit of a lower one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from enum import Enum
from typing import Union

import attrs

from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.errors import ProtocolError
from plexus.protocol import extensions, frames
from plexus.protocol.ackwindow import AckWindow
from plexus.protocol.batch import BatchName
from plexus.protocol.columns import Decoded, PointFault
from plexus.protocol.ledger import Verdict

AUTH_TIMEOUT_S = 10.0
MALFORMED = "MALFORMED"

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_POLICY = 1008
CLOSE_TRY_LATER = 1013


class State(Enum):
    """Where the conversation is."""

    AWAITING_AUTH = "awaiting_auth"
    CHECKING = "checking"
    READY = "ready"
    CLOSED = "closed"


@attrs.frozen
class Settlement:
    """What became of one telemetry frame. `refused` is set when it is neither stored nor a repeat of what is."""

    verdict: Verdict
    upto: int = 0
    refused: str = ""
    detail: str = ""


@attrs.frozen
class AuthRequested:
    """A device asks in: answer with `accept` or `refuse`."""

    auth: frames.DeviceAuth


@attrs.frozen
class TelemetryReceived:
    """Points to store: answer with `settle(ticket, …)`. A frame of faults only is to be settled too."""

    ticket: int
    decoded: Decoded
    batch: BatchName | None


@attrs.frozen
class HeartbeatReceived:
    """The device is there."""


@attrs.frozen
class CommandAnswered:
    """The device said something of a command."""

    outcome: CommandOutcome


@attrs.frozen
class BinaryReceived:
    """A binary frame (video); READY only."""

    payload: bytes


@attrs.frozen
class FrameRefused:
    """A frame that broke the contract was answered with an error; for the gateway's counters."""

    detail: str


GatewayEvent = Union[AuthRequested, TelemetryReceived, HeartbeatReceived, CommandAnswered, BinaryReceived, FrameRefused]


@attrs.define
class _Pending:
    seq: int | None
    batch: BatchName | None
    faults: tuple[PointFault, ...]
    settlement: Settlement | None = None


class GatewaySession:
    """One connection. `decoder` reads text messages; `now` is monotonic seconds throughout."""

    def __init__(self, now: float, decoder: frames.Decoder = frames.parse) -> None:
        self._decoder = decoder
        self._state = State.AWAITING_AUTH
        self._opened_at = now
        self._source_id = ""
        self._acks = False
        self._auth: frames.DeviceAuth | None = None
        self._tickets = 0
        self._pending: OrderedDict[int, _Pending] = OrderedDict()
        self._window = AckWindow()
        self._messages: list[str] = []
        self._events: list[GatewayEvent] = []
        self._close: tuple[int, str] | None = None

    @property
    def state(self) -> State:
        """Where the conversation is."""
        return self._state

    @property
    def close(self) -> tuple[int, str] | None:
        """Code and reason to close the socket with, after the messages are sent; None while it stays open."""
        return self._close

    @property
    def unsettled(self) -> int:
        """How many telemetry frames wait for `settle`."""
        return len(self._pending)

    # --- in -------------------------------------------------------------------------------------------------

    def receive(self, message: str | bytes, now: float, arrival_ns: int) -> None:
        """A message came at monotonic `now`, wall clock `arrival_ns` (ns since 1970 UTC)."""
        if self._state is State.CLOSED:
            return
        if isinstance(message, bytes):
            self._binary(message)
            return
        try:
            frame = self._decoder(message, frames.Envelope(self._source_id, arrival_ns))
        except ProtocolError as exc:
            self._unreadable(exc)
            return
        if self._state is State.AWAITING_AUTH:
            self._first(frame)
        elif self._state is State.READY:
            self._conversed(frame)

    def tick(self, now: float) -> None:
        """The time went on: a silent client is closed, an ack that waited for a hole goes out."""
        if self._state is State.AWAITING_AUTH and now >= self._opened_at + AUTH_TIMEOUT_S:
            self._refuse("auth_timeout", f"no device_auth within {AUTH_TIMEOUT_S:g} s", CLOSE_POLICY)
        elif self._state is State.READY:
            self._ack(self._window.tick(now))

    def accept(self, source_id: str, server_time_ms: float, offers: Mapping[str, int] | None = None) -> None:
        """Let the device in under `source_id`; `offers` are the extensions this gateway has."""
        auth = self._auth
        if auth is None:
            raise ProtocolError("accept() before a device_auth came")
        agreed = extensions.agree(auth.ext, extensions.GATEWAY_OFFERS if offers is None else offers)
        self._state = State.READY
        self._source_id = source_id
        self._acks = auth.acks
        self._say(frames.Authenticated(source_id, server_time_ms, acks=auth.acks, ext=agreed))

    def refuse(self, code: str, detail: str, close_code: int = CLOSE_POLICY) -> None:
        """Do not let the device in: one error frame, then a close."""
        self._refuse(code, detail, close_code)

    def settle(self, ticket: int, settlement: Settlement, now: float) -> None:
        """Telemetry `ticket` is stored, known, or refused; the answer leaves once all before it are settled."""
        if ticket in self._pending:
            self._pending[ticket].settlement = settlement
        while self._pending:
            first = next(iter(self._pending))
            pending = self._pending[first]
            if pending.settlement is None:
                return
            del self._pending[first]
            self._answer(pending, pending.settlement, now)

    def call(self, call: CommandCall) -> None:
        """Send a command to the device."""
        self._say(frames.TypedCommand(call.call_id, call.command, call.params))

    def say_goodbye(self, code: int = CLOSE_GOING_AWAY, reason: str = "gateway is shutting down") -> None:
        """Close on purpose; call it once `unsettled` is 0, or what is unsettled will be sent again."""
        if self._state is not State.CLOSED:
            self._state = State.CLOSED
            self._close = (code, reason)

    # --- out ------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        if self._state is State.AWAITING_AUTH:
            return self._opened_at + AUTH_TIMEOUT_S
        return self._window.deadline if self._state is State.READY else None

    def take_messages(self) -> list[str]:
        """Text messages to send, in order."""
        taken, self._messages = self._messages, []
        return taken

    def take_events(self) -> list[GatewayEvent]:
        """What happened, in order."""
        taken, self._events = self._events, []
        return taken

    # --- the conversation -----------------------------------------------------------------------------------

    def _first(self, frame: frames.Frame) -> None:
        if not isinstance(frame, frames.DeviceAuth):
            self._refuse("auth_required", "the first frame must be device_auth", CLOSE_POLICY)
            return
        self._auth = frame
        self._state = State.CHECKING
        self._events.append(AuthRequested(frame))

    def _conversed(self, frame: frames.Frame) -> None:
        if isinstance(frame, frames.Telemetry):
            self._tickets += 1
            self._pending[self._tickets] = _Pending(frame.seq, frame.batch, frame.decoded.faults)
            self._events.append(TelemetryReceived(self._tickets, frame.decoded, frame.batch))
        elif isinstance(frame, frames.Heartbeat):
            self._events.append(HeartbeatReceived())
        elif isinstance(frame, frames.CommandResult):
            outcome = CommandOutcome(frame.id, frame.command, frame.event, frame.result, frame.error)
            self._events.append(CommandAnswered(outcome))

    def _binary(self, payload: bytes) -> None:
        if self._state is State.AWAITING_AUTH:
            self._refuse("auth_required", "the first frame must be device_auth", CLOSE_POLICY)
        elif self._state is State.READY:
            self._events.append(BinaryReceived(payload))

    def _unreadable(self, exc: ProtocolError) -> None:
        if self._state is State.AWAITING_AUTH:
            self._refuse("malformed", str(exc), CLOSE_POLICY)
        elif self._state is State.READY:
            # Without a readable `seq` the error can name none; the socket stays, what is good after it counts.
            self._say(frames.ErrorFrame(MALFORMED, str(exc)))
            self._events.append(FrameRefused(str(exc)))

    def _refuse(self, code: str, detail: str, close_code: int) -> None:
        self._state = State.CLOSED
        self._say(frames.ErrorFrame(code, detail))
        self._close = (close_code, detail[:100])

    # --- answers to telemetry -------------------------------------------------------------------------------

    def _answer(self, pending: _Pending, settlement: Settlement, now: float) -> None:
        batch = pending.batch
        if batch is not None:
            self._answer_batch(batch, pending, settlement)
        elif settlement.refused:
            self._say(frames.ErrorFrame(settlement.refused, settlement.detail, pending.seq))
            if pending.seq is not None:
                self._window.settle(pending.seq, now)
        elif pending.seq is not None and self._acks:
            self._ack(self._window.settle(pending.seq, now))

    def _answer_batch(self, batch: BatchName, pending: _Pending, settlement: Settlement) -> None:
        if settlement.verdict == "gap":
            self._say(frames.BatchNack(batch.stream, settlement.upto + 1))
        elif settlement.verdict == "fork":
            self._say(frames.BatchFork(batch.stream))
        else:
            self._say(frames.BatchAck(batch.stream, max(settlement.upto, batch.n), pending.faults))

    def _ack(self, seq: int | None) -> None:
        if seq is not None and self._acks:
            self._say(frames.TelemetryAck(seq))

    def _say(self, frame: frames.Frame) -> None:
        self._messages.append(frames.dump(frame))

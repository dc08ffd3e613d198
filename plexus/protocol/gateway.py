"""The gateway's end of `/ws/device`, without I/O: the mirror of `protocol.device`.

    AWAITING_AUTH ──device_auth──► CHECKING ──accept──► READY ──goodbye / try later──► CLOSED
          └──10 s, or anything else──────────refuse──────────────────────────────────────┘

The session decides nothing about keys, names or storage: it asks (`AuthRequested`, `TelemetryReceived`) and is told
(`accept`, `refuse`, `settle`). Answers to telemetry leave in the order in which it arrived, and those with a `seq` in
the order of `seq`, so an error that releases a frame never overtakes the commit of a lower one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from enum import Enum

import attrs

from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.declaration import Declaration
from plexus.domain.errors import ProtocolError
from plexus.protocol import binaryframe, extensions, frames
from plexus.protocol.ackwindow import AckWindow
from plexus.protocol.batch import BatchName
from plexus.protocol.binaryframe import Decoder
from plexus.protocol.declarations import read_declarations
from plexus.protocol.gatewayevents import (
    AuthRequested,
    BinaryReceived,
    CommandAnswered,
    FrameRefused,
    GatewayEvent,
    HeartbeatReceived,
    Settlement,
    TelemetryReceived,
)
from plexus.protocol.pending import Pending

AUTH_TIMEOUT_S = 10.0
MAX_HELD_BYTES = 256 * 1024
"""What a device may send between its `device_auth` and the answer."""

PROTOCOL = 1  # typed commands, answered to a device that offers them
CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_POLICY = 1008
CLOSE_TRY_LATER = 1013
MAX_CLOSE_REASON_BYTES = 123


class State(Enum):
    """Where the conversation is."""

    AWAITING_AUTH = "awaiting_auth"
    CHECKING = "checking"
    READY = "ready"
    CLOSED = "closed"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.AWAITING_AUTH: frozenset({State.CHECKING, State.CLOSED}),
    State.CHECKING: frozenset({State.READY, State.CLOSED}),
    State.READY: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}
"""Where each state may lead; nothing else happens."""


class GatewaySession:
    """One connection. `decoder` reads text and binary telemetry; `now` is monotonic seconds throughout."""

    def __init__(self, now: float, decoder: Decoder = binaryframe.parse) -> None:
        self._decoder = decoder
        self._state = State.AWAITING_AUTH
        self._opened_at = now
        self._source_id = ""
        self._acks = False
        self._names = False
        self._tells_time = False
        self.declared: Mapping[str, Declaration] = {}
        self._auth: frames.DeviceAuth | None = None
        self._held: list[tuple[str | bytes, float, int]] = []
        self._tickets = 0
        self._pending: OrderedDict[int, Pending] = OrderedDict()
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
    def names_batches(self) -> bool:
        """Whether batch names are agreed: then nothing is dropped for its rate, the socket is slowed down instead."""
        return self._names

    @property
    def unsettled(self) -> int:
        """How many telemetry frames wait for `settle`, or behind one that does."""
        return len(self._pending)

    # --- in -------------------------------------------------------------------------------------------------

    def receive(self, message: str | bytes, now: float, arrival_ns: int) -> None:
        """A message came at monotonic `now`, wall clock `arrival_ns` (ns since 1970 UTC)."""
        if self._state is State.CHECKING:
            self._hold(message, now, arrival_ns)
            return
        if self._state is State.CLOSED:
            return
        if isinstance(message, bytes) and not self._is_telemetry(message):
            self._binary(message)
            return
        try:
            frame = self._decoder(message, frames.Envelope(self._source_id, arrival_ns))
        except ProtocolError as exc:
            self._unreadable(exc, message, now)
            return
        if self._state is State.AWAITING_AUTH:
            self._first(frame)
        else:
            self._conversed(frame, arrival_ns)

    def telemetry(self, frame: frames.Telemetry) -> TelemetryReceived:
        """A frame that is decoded already came, in the state READY: as `receive`, without a message and an event."""
        batch = frame.batch if self._names else None
        ticket = self._admit(Pending(frame.seq, batch, len(frame.decoded.columns), frame.decoded.faults))
        return TelemetryReceived(ticket, frame.decoded, batch, frame.gaps)

    def tick(self, now: float) -> None:
        """The time went on: a silent client is closed, an ack that waited for a hole goes out."""
        if self._state is State.AWAITING_AUTH and now >= self._opened_at + AUTH_TIMEOUT_S:
            self.refuse("auth_timeout", f"no device_auth within {AUTH_TIMEOUT_S:g} s")
        elif self._state is State.READY:
            self._say_all(self._window.tick(now))

    def accept(
        self,
        source_id: str,
        server_time_ms: float,
        offers: Mapping[str, int] | None = None,
        *,
        may_declare: bool = True,
        max_frame_bytes: int | None = None,
    ) -> None:
        """Let the device in under `source_id`; `offers` are the extensions this gateway has.

        Its typed commands are in `declared` then; it hears of each that cannot be, or of all without `may_declare`.

        What the device sent before it had this answer is looked at now, so take the events afterwards. Passed over
        when the conversation ended meanwhile.
        """
        if self._state is State.CLOSED:
            return
        self._enter(State.READY)
        auth = self._auth
        assert auth is not None  # CHECKING is entered with a device_auth only
        agreed = extensions.agree(auth.ext, extensions.GATEWAY_OFFERS if offers is None else offers)
        self._source_id = source_id
        self._acks = auth.acks
        self._names = extensions.BATCH in agreed
        self._tells_time = extensions.CLOCK in agreed
        answer = frames.Authenticated(source_id, server_time_ms, acks=auth.acks, ext=agreed)
        if auth.protocol:
            answer = attrs.evolve(answer, protocol=PROTOCOL, max_frame_bytes=max_frame_bytes)
        self._say(answer)
        self.declared, faults = read_declarations(auth, permitted=may_declare)
        self._say_all(faults)
        held, self._held = self._held, []
        for message, now, arrival_ns in held:
            self.receive(message, now, arrival_ns)

    def refuse(self, code: str, detail: str, close_code: int = CLOSE_POLICY) -> None:
        """Do not let the device in, or not any longer: one error frame, then a close. See `try_later` too."""
        if self._state is not State.CLOSED:
            self._say(frames.ErrorFrame(code, detail))
            self.say_goodbye(close_code, detail)

    def try_later(self, detail: str) -> None:
        """The gateway cannot store just now: nothing that is unsettled is released, the device comes back later."""
        self.refuse(frames.UNAVAILABLE, detail, CLOSE_TRY_LATER)

    def settle(self, ticket: int, settlement: Settlement, now: float) -> None:
        """Telemetry `ticket` is stored, known, or refused; the answer leaves once all before it are settled."""
        if ticket in self._pending:
            self._pending[ticket].settlement = settlement
            self._answer_settled(now)

    def call(self, call: CommandCall | frames.CommandRun | frames.CommandStatusAck) -> bool:
        """Send a command, or what was heard of a run, to the device; False when there is no conversation for it."""
        if self._state is not State.READY:
            return False
        frame = frames.TypedCommand(call.call_id, call.command, call.params) if isinstance(call, CommandCall) else call
        self._say(frame)
        return True

    def say_goodbye(self, code: int = CLOSE_GOING_AWAY, reason: str = "gateway is shutting down") -> None:
        """Close on purpose; call it once `unsettled` is 0, or what is unsettled will be sent again."""
        if self._state is not State.CLOSED:
            self._enter(State.CLOSED)
            self._pending.clear()
            self._held.clear()
            self._close = (code, reason.encode()[:MAX_CLOSE_REASON_BYTES].decode(errors="ignore"))

    # --- out ------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        if self._state is State.AWAITING_AUTH:
            return self._opened_at + AUTH_TIMEOUT_S
        return self._window.deadline if self._state is State.READY else None

    @property
    def waits_for_a_turn(self) -> bool:
        """Whether there is something to send, to close, or to do at a time."""
        return bool(self._messages) or self._close is not None or self.next_deadline() is not None

    def take_messages(self) -> list[str]:
        """Text messages to send, in order."""
        if not self._messages:
            return []
        taken, self._messages = self._messages, []
        return taken

    def take_events(self) -> list[GatewayEvent]:
        """What happened, in order."""
        taken, self._events = self._events, []
        return taken

    # --- the conversation -----------------------------------------------------------------------------------

    def _first(self, frame: frames.Frame) -> None:
        if not isinstance(frame, frames.DeviceAuth):
            self.refuse("auth_required", "the first frame must be device_auth")
            return
        self._auth = frame
        self._enter(State.CHECKING)
        self._events.append(AuthRequested(frame))

    def _hold(self, message: str | bytes, now: float, arrival_ns: int) -> None:
        self._held.append((message, now, arrival_ns))
        if sum(len(held) for held, _, _ in self._held) > MAX_HELD_BYTES:
            self.refuse("auth_required", f"more than {MAX_HELD_BYTES} bytes before authenticated: wait for it")

    def _conversed(self, frame: frames.Frame, arrival_ns: int) -> None:
        if isinstance(frame, frames.Telemetry):
            self._events.append(self.telemetry(frame))
        elif isinstance(frame, frames.Heartbeat):
            self._events.append(HeartbeatReceived(frame.clock if self._tells_time else None))
        elif isinstance(frame, frames.ClockPing):
            self._told_time(frame, arrival_ns // 1_000)
        elif isinstance(frame, frames.CommandResult):
            outcome = CommandOutcome(frame.id, frame.command, frame.event, frame.result, frame.error)
            self._events.append(CommandAnswered(outcome))
        elif isinstance(frame, (frames.CommandStatus, frames.CommandSync)):
            self._events.append(CommandAnswered(frame))
        elif isinstance(frame, frames.VideoText):
            self._events.append(frame)

    def _told_time(self, ping: frames.ClockPing, now_us: int) -> None:
        # Answered at once, so it leaves as it came; what the way out takes longer, the device counts to the trip.
        if self._tells_time:
            self._say(frames.ClockPong(ping.t0, now_us, now_us))

    def _is_telemetry(self, message: bytes) -> bool:
        return self._state is State.READY and binaryframe.is_binary_frame(message)

    def _binary(self, payload: bytes) -> None:
        if self._state is State.AWAITING_AUTH:
            self.refuse("auth_required", "the first frame must be device_auth")
        else:
            self._events.append(BinaryReceived(payload))

    def _unreadable(self, exc: ProtocolError, message: str | bytes, now: float) -> None:
        if self._state is State.AWAITING_AUTH:
            self.refuse("malformed", str(exc))
            return
        self._events.append(FrameRefused(str(exc)))
        names = binaryframe.salvage(message)
        if names is None:
            self._say(frames.ErrorFrame(frames.MALFORMED, str(exc)))
            return
        # It waits for its turn like any telemetry, for its error releases what is below it.
        refused = Settlement("store", refused=frames.MALFORMED, detail=str(exc))
        self._admit(Pending(names.seq, names.batch if self._names else None, 0, (), refused))
        self._answer_settled(now)

    def _admit(self, pending: Pending) -> int:
        if not self._acks or pending.batch is not None:
            pending.seq = None
        if pending.seq is not None:
            self._window.arrive(pending.seq)
        self._tickets += 1
        self._pending[self._tickets] = pending
        return self._tickets

    def _enter(self, state: State) -> None:
        if state not in TRANSITIONS[self._state]:
            raise ProtocolError(f"a gateway session cannot go from {self._state.value} to {state.value}")
        self._state = state

    # --- answers to telemetry -------------------------------------------------------------------------------

    def _answer_settled(self, now: float) -> None:
        while self._pending:
            ticket, pending = next(iter(self._pending.items()))
            settlement = pending.settlement
            if settlement is None:
                return
            if settlement.refused == frames.UNAVAILABLE:
                self.try_later(settlement.detail)
                return
            del self._pending[ticket]
            if pending.batch is not None:
                self._answer_batch(pending.batch, pending, settlement)
            else:
                self._answer(pending, settlement, now)

    def _answer(self, pending: Pending, settlement: Settlement, now: float) -> None:
        code, detail = settlement.refused, settlement.detail
        if not code and pending.faults:
            code, detail = pending.faults[0].code or frames.MALFORMED, pending.describe_faults()
            if pending.good:
                # What is good is stored and acknowledged; the rest is named, and releases nothing.
                self._say(frames.ErrorFrame(code, detail))
                code = ""
        refusal = frames.ErrorFrame(code, detail, pending.seq) if code else None
        if pending.seq is not None:
            self._say_all(self._window.settle(pending.seq, now, refusal))
        elif refusal is not None:
            self._say(refusal)

    def _answer_batch(self, batch: BatchName, pending: Pending, settlement: Settlement) -> None:
        if settlement.refused:
            self._say(frames.ErrorFrame(settlement.refused, settlement.detail, batch=(batch.stream, batch.n)))
        elif settlement.verdict == "gap":
            self._say(frames.BatchNack(batch.stream, settlement.upto + 1))
        elif settlement.verdict == "fork":
            self._say(frames.BatchFork(batch.stream))
        else:
            # Never the watermark: it would release batches above that this device sent and nobody compared yet.
            self._say(frames.BatchAck(batch.stream, batch.n, pending.faults))

    def _say_all(self, answers: Sequence[frames.Frame]) -> None:
        for answer in answers:
            self._say(answer)

    def _say(self, frame: frames.Frame) -> None:
        self._messages.append(frames.dump(frame))

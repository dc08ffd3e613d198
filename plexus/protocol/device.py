"""The device's end of `/ws/device`, without I/O (protocol page, section 4 and extension `batch`).

    CONNECTING ──opened──► GREETING ──authenticated──► READY ──goodbye / lost──► ENDED
                              └────────error──────────────────────────────────────┘

What is in flight is kept in the order of sending. Three dialects are spoken, decided by `authenticated`:
batch names (`batch_ack`), sequence numbers (`telemetry_ack`, 0.16.0), and neither (0.5.2), where a batch counts as
delivered once it is written, because that gateway says no more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import attrs

from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.errors import ProtocolError
from plexus.protocol import binaryframe, extensions, frames
from plexus.protocol.batch import Batch
from plexus.protocol.commandruns import RunReports
from plexus.protocol.extensions import NO_FEATURES, Features
from plexus.protocol.messages import (
    AuthRefused,
    ClockSample,
    ClockSampled,
    CommandArrived,
    Delivered,
    DeviceEvent,
    Ended,
    Forked,
    Message,
    Notice,
    Ready,
    Refused,
    Rewound,
)
from plexus.protocol.probing import GREETING_PINGS, HEARTBEAT_PINGS, ClockProbe, halfway

HEARTBEAT_S = 30.0
ACK_TIMEOUT_S = 30.0
GREETING_TIMEOUT_S = 10.0
WINDOW_FRAMES = 32
WINDOW_POINTS = 10_000
WINDOW_BYTES = 4 * 1024 * 1024
"""The window of a gateway that knows batch names: bytes, since a high-rate batch has many points and few of those."""

NOT_THE_KEY = frozenset({"streaming_requires_plan"})
"""Auth errors that refuse this kind of link, not the key: stay on HTTP and keep sending."""

RETRY_CODES = frozenset({frames.UNAVAILABLE})
"""Errors that release nothing: send it all again later."""

DECLARATION_CODES = frozenset({"invalid_command", "commands_not_permitted"})
"""Errors that refuse what was declared and nothing else."""

LATER_CODES = RETRY_CODES | {"RATE_LIMITED", "auth_timeout"}
"""Errors that refuse a greeting for now; the key is fine."""


class State(Enum):
    """Where the conversation is."""

    CONNECTING = "connecting"
    GREETING = "greeting"
    READY = "ready"
    ENDED = "ended"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.CONNECTING: frozenset({State.GREETING, State.ENDED}),
    State.GREETING: frozenset({State.READY, State.ENDED}),
    State.READY: frozenset({State.ENDED}),
    State.ENDED: frozenset(),
}
"""Where each state may lead; nothing else happens."""


@attrs.frozen
class Hello:
    """What a device says of itself; `commands` are asked for at every connection, `clock` at every heartbeat."""

    api_key: str = attrs.field(repr=False)
    source_id: str
    install_id: str
    agent_version: str
    platform: str
    commands: Callable[[], tuple[Mapping[str, Any], ...]] = tuple
    offers: Mapping[str, int] = attrs.field(factory=lambda: dict(extensions.DEVICE_OFFERS))
    runs: RunReports | None = None
    clock: Callable[[], frames.ClockState | None] = lambda: None


@attrs.define
class _InFlight:
    batch: Batch
    seq: int | None
    sent_at: float
    size: int


class DeviceSession:
    """One connection of one device. `tick` reads the device's monotonic clock, nanoseconds."""

    def __init__(self, hello: Hello, tick: Callable[[], int]) -> None:
        self._hello = hello
        self._tick = tick
        self._probe = ClockProbe(tick)
        self._state = State.CONNECTING
        self._features: Features = NO_FEATURES
        self._acks = False
        self._protocol = 0
        self._seq = 0
        self._flight: OrderedDict[int, _InFlight] = OrderedDict()
        self._flight_points = 0
        self._flight_bytes = 0
        self._rewound: dict[str, int] = {}
        self._sends = 0
        self._greeted_at = 0.0
        self._greeted_tick = 0
        self._next_heartbeat = 0.0
        self._source_id = hello.source_id
        self._messages: list[Message] = []
        self._events: list[DeviceEvent] = []

    @property
    def state(self) -> State:
        """Where the conversation is."""
        return self._state

    # --- in -------------------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The socket is open: authenticate."""
        self._enter(State.GREETING)
        self._greeted_at = now
        self._greeted_tick = self._tick()
        hello = self._hello
        commands = hello.commands()
        self._say(
            frames.DeviceAuth(
                api_key=hello.api_key,
                source_id=hello.source_id,
                install_id=hello.install_id,
                platform=hello.platform,
                agent_version=hello.agent_version,
                commands=commands,
                acks=True,
                hears_goodbye=True,
                ext=hello.offers,
                protocol=0 if hello.runs is None else hello.runs.protocol(),
            )
        )

    def has_room(self, count: int) -> bool:
        """Whether `count` more points fit the window: 32 frames, and 4 MiB or, without batch names, 10,000 points."""
        if self._state is not State.READY or len(self._flight) >= WINDOW_FRAMES:
            return False
        if extensions.BATCH in self._features:
            return self._flight_bytes < WINDOW_BYTES
        return not self._flight or self._flight_points + count <= WINDOW_POINTS

    def submit(self, batch: Batch, base: int, body: bytes, now: float) -> None:
        """Send one batch; the caller asked `has_room` first."""
        if extensions.BATCH in self._features:
            self._messages.append(binaryframe.dump_telemetry(body, batch=batch.name(base), gaps=batch.losses))
            self._keep(batch, None, now, len(body))
        elif self._acks:
            self._seq += 1
            self._messages.append(binaryframe.dump_telemetry(body, seq=self._seq))
            self._keep(batch, self._seq, now, len(body))
        else:
            self._messages.append(binaryframe.dump_telemetry(body))
            self._keep(batch, None, now, len(body))

    def written(self) -> None:
        """Where the gateway has no acknowledgements, what is written is as delivered as it will ever be known to be."""
        if self._state is State.READY and not self._confirms():
            done = self._release_all()
            if done:
                self._events.append(Delivered(done))

    def receive(self, message: Message, now: float) -> None:
        """A message came. Garbage from a gateway is noted and passed over, as unknown frames are."""
        if not isinstance(message, str) or self._state in (State.CONNECTING, State.ENDED):
            return
        try:
            frame = frames.parse(message)
        except ProtocolError as exc:
            self._events.append(Notice("unreadable_frame", str(exc)))
            return
        if self._state is State.GREETING:
            self._greeted(frame, now)
        else:
            self._conversed(frame)

    def answer(self, outcome: CommandOutcome) -> None:
        """Say what became of a command; raises ProtocolError when its result cannot be said in JSON."""
        if self._state is State.READY:
            self._say(
                frames.CommandResult(outcome.call_id, outcome.command, outcome.event, outcome.result, outcome.error)
            )

    def tick(self, now: float) -> None:
        """Heartbeats, and the end of a connection that has gone silent."""
        if self._state is State.GREETING and now >= self._greeted_at + GREETING_TIMEOUT_S:
            self.ended(f"the gateway did not answer device_auth within {GREETING_TIMEOUT_S:g} s")
        if self._state is not State.READY:
            return
        if self._flight and now >= self._oldest_sent_at() + ACK_TIMEOUT_S:
            self.ended(f"no acknowledgement for {ACK_TIMEOUT_S:g} s: the connection is dead")
        elif now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_S
            clock = self._hello.clock() if extensions.CLOCK in self._features else None
            self._say(frames.Heartbeat(self._source_id, self._hello.agent_version, clock))
            self._ask_time(HEARTBEAT_PINGS)

    def ended(self, reason: str, *, goodbye: bool = False) -> None:
        """The connection is over, whoever ended it; what was in flight goes back to the caller."""
        if self._state is State.ENDED:
            return
        self._enter(State.ENDED)
        self._messages.clear()
        self._events.append(Ended(self._release_all(), reason, goodbye))

    # --- out ------------------------------------------------------------------------------------------------

    def in_flight(self) -> int:
        """Points sent and not acknowledged."""
        return self._flight_points

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        if self._state is State.GREETING:
            return self._greeted_at + GREETING_TIMEOUT_S
        if self._state is not State.READY:
            return None
        if self._flight:
            return min(self._next_heartbeat, self._oldest_sent_at() + ACK_TIMEOUT_S)
        return self._next_heartbeat

    def take_messages(self) -> list[Message]:
        """Messages to send, in order; to be written at once, since a question for the time may be among them."""
        self._report_runs()
        ping = self._probe.ping() if self._state is State.READY else None
        if ping is not None:
            self._say(ping)
        taken, self._messages = self._messages, []
        return taken

    def take_events(self) -> list[DeviceEvent]:
        """What happened, in order."""
        taken, self._events = self._events, []
        return taken

    # --- the conversation -----------------------------------------------------------------------------------

    def _greeted(self, frame: frames.Frame, now: float) -> None:
        if isinstance(frame, frames.Authenticated):
            self._enter(State.READY)
            self._source_id = frame.source_id
            self._features = extensions.features(extensions.agree(frame.ext, self._hello.offers))
            self._acks = frame.acks
            if self._hello.runs is not None:
                self._protocol = frame.protocol
                self._hello.runs.connected(frame.protocol)
            self._next_heartbeat = now + HEARTBEAT_S
            self._ask_time(GREETING_PINGS)
            self._events.append(
                Ready(
                    source_id=frame.source_id,
                    features=self._features,
                    confirms=self._confirms(),
                    clock=self._told_time(frame.server_time_ms),
                )
            )
        elif isinstance(frame, frames.ErrorFrame):
            if frame.code not in LATER_CODES:
                self._events.append(AuthRefused(frame.code, frame.detail, frame.code not in NOT_THE_KEY))
            self.ended(f"the gateway refused the connection: {frame.detail or frame.code}")
        elif not isinstance(frame, frames.Unknown):
            self.ended(f"the gateway's first frame was {type(frame).__name__}, not authenticated")

    def _conversed(self, frame: frames.Frame) -> None:
        if isinstance(frame, frames.BatchAck):
            self._acknowledged(frame)
        elif isinstance(frame, frames.TelemetryAck):
            done = self._release(lambda item: item.seq is not None and item.seq <= frame.seq)
            if done:
                self._events.append(Delivered(done))
        elif isinstance(frame, frames.BatchNack):
            self._gap(frame)
        elif isinstance(frame, frames.BatchFork):
            forked = self._release(lambda item: item.batch.stream == frame.stream)
            if forked:
                self._events.append(Forked(frame.stream, forked))
        elif isinstance(frame, frames.ErrorFrame):
            self._refused(frame)
        else:
            self._told(frame)

    def _told(self, frame: frames.Frame) -> None:
        """What is not about telemetry."""
        if isinstance(frame, frames.TypedCommand):
            self._events.append(CommandArrived(CommandCall(frame.id, frame.command, frame.params)))
        elif isinstance(frame, (frames.CommandRun, frames.CommandStatusAck)):
            self._events.append(CommandArrived(frame))
        elif isinstance(frame, frames.ClockPong):
            sample = self._probe.heard(frame)
            if sample is not None:
                self._events.append(ClockSampled(sample))

    def _report_runs(self) -> None:
        runs = self._hello.runs
        if runs is not None and self._protocol and self._state is State.READY:
            for said in runs.take():
                self._say(said)

    def _ask_time(self, pings: int) -> None:
        if extensions.CLOCK in self._features:
            self._probe.begin(pings)

    def _told_time(self, server_time_ms: float | None) -> ClockSample | None:
        return None if server_time_ms is None else halfway(self._greeted_tick, self._tick(), server_time_ms)

    def _gap(self, frame: frames.BatchNack) -> None:
        # Every frame behind a gap is refused, so the same answer comes many times; what was sent again since the
        # first of them has an answer of its own to come.
        if self._rewound.get(frame.stream) == frame.expected:
            return
        self._rewound[frame.stream] = frame.expected
        again = self._release(lambda item: item.batch.stream == frame.stream)
        if again:
            detail = f"the gateway expects batch {frame.expected} of stream {frame.stream[:8]}"
            self._events.append(Rewound(again, detail))

    def _acknowledged(self, frame: frames.BatchAck) -> None:
        done = self._release(lambda item: item.batch.stream == frame.stream and item.batch.n <= frame.upto)
        if done:
            reason = frame.faults[0].error if frame.faults else ""
            self._events.append(Delivered(done, len(frame.faults), reason, frame.faults))

    def _refused(self, frame: frames.ErrorFrame) -> None:
        seq, batch = frame.seq, frame.batch
        if frame.code in DECLARATION_CODES:
            self._events.append(CommandArrived(frame))
        elif frame.code in RETRY_CODES or (seq is None and batch is None):
            self._events.append(Notice(frame.code, frame.detail))
        elif batch is not None:
            self._rewound.pop(batch[0], None)
            named = self._release(lambda item: (item.batch.stream, item.batch.n) == batch)
            if named:
                self._events.append(Refused(named, frame.code, frame.detail))
        elif seq is not None:
            self._refused_upto(seq, frame)

    def _refused_upto(self, seq: int, frame: frames.ErrorFrame) -> None:
        # It covers everything up to `seq`: what is below is stored, the frame itself is not.
        stored = self._release(lambda item: item.seq is not None and item.seq < seq)
        if stored:
            self._events.append(Delivered(stored))
        refused = self._release(lambda item: item.seq == seq)
        if refused:
            self._events.append(Refused(refused, frame.code, frame.detail))

    # --- what is in flight ----------------------------------------------------------------------------------

    def _confirms(self) -> bool:
        return self._acks or extensions.BATCH in self._features

    def _keep(self, batch: Batch, seq: int | None, now: float, size: int) -> None:
        self._sends += 1
        self._flight[self._sends] = _InFlight(batch, seq, now, size)
        self._flight_points += batch.count
        self._flight_bytes += size

    def _release(self, chosen: Callable[[_InFlight], bool]) -> tuple[Batch, ...]:
        keys = [key for key, item in self._flight.items() if chosen(item)]
        items = [self._flight.pop(key) for key in keys]
        self._flight_points -= sum(item.batch.count for item in items)
        self._flight_bytes -= sum(item.size for item in items)
        return tuple(item.batch for item in items)

    def _release_all(self) -> tuple[Batch, ...]:
        return self._release(lambda _item: True)

    def _oldest_sent_at(self) -> float:
        return next(iter(self._flight.values())).sent_at

    def _enter(self, state: State) -> None:
        if state not in TRANSITIONS[self._state]:
            raise ProtocolError(f"a device session cannot go from {self._state.value} to {state.value}")
        self._state = state

    def _say(self, frame: frames.Frame) -> None:
        self._messages.append(frames.dump(frame))

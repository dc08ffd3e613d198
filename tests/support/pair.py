"""A device session and a gateway session wired in memory, with a store that keeps what the contract says.

The network between them hands over one message at a time and the store settles when told, so a test chooses every
interleaving. `exchange` does both until nothing moves.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from plexus.domain.command import CommandCall
from plexus.protocol import binaryframe
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.device import DeviceSession, Hello
from plexus.protocol.gateway import GatewaySession
from plexus.protocol.gatewayevents import GatewayEvent, Settlement, TelemetryReceived
from plexus.protocol.ledger import Draft, StreamState
from plexus.protocol.messages import DeviceEvent

STREAM = "a" * 32
START_NS = 1_746_100_800_000_000_000
START_MS = START_NS / 1e6

V0160 = ("ext",)
V052 = ("ext", "acks", "hears_goodbye")
"""What the gateways of these releases pass over in a greeting."""

_E = TypeVar("_E")


def batch_of(n: int, stream: str = STREAM, points: int = 1) -> Batch:
    """Batch `n` of a stream, with values that no other batch has."""
    body = json.dumps(
        [{"class": "metric", "metric": f"m.{stream[0]}.{n}", "value": i, "timestamp": 1e12 + n} for i in range(points)]
    ).encode()
    return Batch(stream, n, points, body, digest_of(body), first_ms=1e12 + n, last_ms=1e12 + n)


def with_body(n: int, body: bytes, points: int) -> Batch:
    """Batch `n` of the stream, with a body that a test chooses."""
    return Batch(STREAM, n, points, body, digest_of(body))


def other_content(n: int) -> Batch:
    """Batch `n` of the stream as a cloned device has it."""
    return with_body(n, b'[{"metric":"of.a.clone","value":1}]', 1)


def hello(**changes: Any) -> Hello:
    """A device that introduces itself."""
    told: dict[str, Any] = {
        "api_key": "plx_secret",
        "source_id": "drone-01",
        "install_id": "c9f2",
        "agent_version": "1.0",
        "platform": "python-sdk",
        **changes,
    }
    return Hello(**told)


@attrs.define
class Shelf:
    """What a store keeps: names of metrics in the order of commit, and the streams' watermarks."""

    metrics: list[str] = attrs.field(factory=list)
    streams: dict[str, StreamState] = attrs.field(factory=dict)

    def commit(self, received: TelemetryReceived) -> Settlement:
        """Keep the points of one frame, unless their batch says that they are known, too early or of another."""
        name = received.batch
        if name is None:
            self.metrics += received.decoded.columns.metric
            return Settlement("store")
        state = self.streams.setdefault(name.stream, StreamState("drone-01"))
        draft = Draft(state)
        verdict = draft.judge(name)
        draft.settle()
        if verdict == "store":
            self.metrics += received.decoded.columns.metric
        return Settlement(verdict, state.watermark)


class ConnectionPair:
    """Both ends of one connection.

    `old` names the fields that the older side of the two does not have: "ext" (0.16.0), or "acks" and "ext" (0.5.2).
    They are taken out of the greeting on its way, as a peer that has never heard of a field passes it over.
    """

    def __init__(
        self,
        *,
        old: tuple[str, ...] = (),
        shelf: Shelf | None = None,
        device: DeviceSession | None = None,
        auto_settle: bool = True,
    ) -> None:
        self.now = 100.0
        self.device = device or DeviceSession(hello(), self.tick)
        self.gateway = GatewaySession(self.now)
        self.shelf = shelf if shelf is not None else Shelf()
        self.old = old
        self.auto_settle = auto_settle
        self.device_events: list[DeviceEvent] = []
        self.gateway_events: list[GatewayEvent] = []
        self.to_gateway: deque[str | bytes] = deque()
        self.to_device: deque[str] = deque()
        self.said_by_device: list[dict[str, Any]] = []
        self.said_by_gateway: list[dict[str, Any]] = []
        self.unsettled: dict[int, TelemetryReceived] = {}
        self.committed: dict[int, Settlement] = {}
        """For tests that commit first and report later: what is to be reported, by ticket."""

    def tick(self) -> int:
        """The device's monotonic clock, nanoseconds."""
        return round(self.now * 1e9)

    # --- steps ----------------------------------------------------------------------------------------------

    def open(self, source_id: str = "drone-01", server_time_ms: float = START_MS) -> None:
        """Greet: device_auth, and authenticated with the name that the gateway assigns."""
        self.device.opened(self.now)
        self.pump_device()
        self.deliver_to_gateway()
        self.gateway.accept(source_id, server_time_ms)
        self.exchange()

    def send(self, *batches: Batch, base: int = 1) -> None:
        """Submit batches and let them travel as far as they get."""
        for batch in batches:
            self.device.submit(batch, base, batch.body, self.now)
        self.pump_device()
        self.exchange()

    def exchange(self) -> None:
        """Hand everything over, in both directions, until nothing moves."""
        moved = True
        while moved:
            self.pump_device()
            self.pump_gateway()
            moved = self.deliver_to_gateway() | self.deliver_to_device()
            if self.auto_settle:
                for ticket in list(self.unsettled):
                    self.settle(ticket)

    def pump_device(self) -> None:
        """Take what the device says and what happened to it."""
        messages = self.device.take_messages()
        for message in messages:
            assert isinstance(message, (str, bytes))
            if isinstance(message, bytes):
                self.said_by_device.append(dict(binaryframe.split(message).header))
                self.to_gateway.append(message)
                continue
            self.said_by_device.append(json.loads(message))
            self.to_gateway.append(self._without_old(message))
        if messages:
            self.device.written()
        self.device_events += self.device.take_events()

    def pump_gateway(self) -> None:
        """Take what the gateway says and what it asks for."""
        for message in self.gateway.take_messages():
            self.said_by_gateway.append(json.loads(message))
            self.to_device.append(message)
        for event in self.gateway.take_events():
            self.gateway_events.append(event)
            if isinstance(event, TelemetryReceived):
                self.unsettled[event.ticket] = event

    def deliver_to_gateway(self) -> bool:
        """One message arrives at the gateway."""
        if not self.to_gateway:
            return False
        self.gateway.receive(self.to_gateway.popleft(), self.now, START_NS)
        self.pump_gateway()
        return True

    def deliver_to_device(self) -> bool:
        """One message arrives at the device."""
        if not self.to_device:
            return False
        self.device.receive(self.to_device.popleft(), self.now)
        self.pump_device()
        return True

    def settle(self, ticket: int, settlement: Settlement | None = None) -> Settlement:
        """The store is done with one frame; what it says unless told otherwise."""
        received = self.unsettled.pop(ticket)
        done = settlement or self.shelf.commit(received)
        self.gateway.settle(ticket, done, self.now)
        self.pump_gateway()
        return done

    def advance(self, seconds: float) -> None:
        """The time goes on, for both."""
        self.now += seconds
        self.device.tick(self.now)
        self.gateway.tick(self.now)
        self.exchange()

    def call(self, command: str, params: Mapping[str, Any] | None = None) -> bool:
        """The gateway sends a command."""
        sent = self.gateway.call(CommandCall("call-1", command, params or {}))
        self.exchange()
        return sent

    # --- what happened --------------------------------------------------------------------------------------

    def heard(self, kind: type[_E]) -> list[_E]:
        """The device's events of one kind."""
        return [event for event in self.device_events if isinstance(event, kind)]

    def asked(self, kind: type[_E]) -> list[_E]:
        """The gateway's events of one kind."""
        return [event for event in self.gateway_events if isinstance(event, kind)]

    def answers(self, kind: str) -> list[dict[str, Any]]:
        """What the gateway said, of one type."""
        return [frame for frame in self.said_by_gateway if frame["type"] == kind]

    def _without_old(self, message: str) -> str:
        if '"device_auth"' not in message or not self.old:
            return message
        return json.dumps({name: value for name, value in json.loads(message).items() if name not in self.old})


def opened(old: tuple[str, ...] = (), *, shelf: Shelf | None = None, auto_settle: bool = True) -> ConnectionPair:
    """A pair that has greeted."""
    pair = ConnectionPair(old=old, shelf=shelf, auto_settle=auto_settle)
    pair.open()
    return pair


def states_table(transitions: Mapping[Any, frozenset[Any]], label: Callable[[Any], str] = lambda s: s.value) -> str:
    """A session's states as text, one line a state: `ready -> ended`."""
    return "\n".join(
        f"{label(state)} -> {', '.join(sorted(label(to) for to in leads)) or '(the end)'}"
        for state, leads in transitions.items()
    )

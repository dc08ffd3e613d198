"""A gateway in memory at the far end of a device's transports, moved by hand.

It speaks as our own gateway, as 0.16.0's (acks) or as 0.5.2's (neither), and keeps what it stored.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from plexus.adapters.transport.memory import MemoryTransport
from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.loss import Loss
from plexus.domain.values import Value
from plexus.protocol import binaryframe, extensions, frames, jsontext
from plexus.protocol.batch import BatchName, parse_batch_name
from plexus.protocol.columns import Decoded
from plexus.protocol.gateway import GatewaySession
from plexus.protocol.gatewayevents import AuthRequested, BinaryReceived, CommandAnswered, Settlement, TelemetryReceived
from plexus.protocol.ledger import Draft, StreamState
from plexus.protocol.messages import HttpAnswer, HttpRequest
from plexus.protocol.points import decode_points

START_MS = 1_746_969_660_000.0
KEY = "plx_test"


class HandClock:
    """Moved by the test; the wall goes with it."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000
        self.offset_ms = 0.0
        self.boot_id = "by-hand"
        self.synced = False

    @property
    def now(self) -> float:
        return self.ns / 1e9

    def tick(self) -> int:
        return self.ns

    def wall_ms(self, tick: int) -> float:
        return START_MS + tick / 1e6 + self.offset_ms

    def raw_wall_ms(self) -> float:
        return START_MS + self.ns / 1e6

    def correct(self, tick: int, wall_ms: float) -> None:
        self.offset_ms = wall_ms - START_MS - tick / 1e6
        self.synced = True

    def advance(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


@attrs.define
class Stored:
    """One stored point."""

    source_id: str
    metric: str
    value: Value
    timestamp_ms: float
    event: bool
    run_id: str | None
    tags: Mapping[str, str] | None


class Gateway:
    """Both ways into one gateway. Public attributes change how it answers.

    Without `answers` it takes in and decides nothing; while it is `mute` it stores and nobody hears of it. `strays` are
    batches that came out of order, under a taken name, or after some that were given up.
    """

    def __init__(self, dialect: str = "plexus") -> None:
        self.dialect = dialect
        self.socket = MemoryTransport("socket")
        self.http = MemoryTransport("request")
        self.stored: list[Stored] = []
        self.by_stream: dict[str, list[Value]] = {}
        self.streams: dict[str, StreamState] = {}
        self.offers: Mapping[str, int] = dict(extensions.GATEWAY_OFFERS) if dialect == "plexus" else {}
        self.duplicates = 0
        self.losses: list[Loss] = []
        self.faults: dict[int, str] = {}
        """Points that cannot be stored, of the next batch: by index, why."""
        self.refused: tuple[str, str] | None = None
        """With which code and words batches are refused for good on the socket."""
        self.strays: list[str] = []
        self.answers = True
        self.mute = False
        self.gaps = 0
        self.names = itertools.count(1)
        self.refusal: tuple[str, str] | None = None
        self.rate_limited = False
        self.status: int | None = None
        self.page: tuple[int, bytes] | None = None
        """What something in between answers in the place of the gateway."""
        self.retry_after = ""
        self.assigned: str | None = None
        self.clock_ahead_ms = 0.0
        self.auths: list[frames.DeviceAuth] = []
        self.outcomes: list[CommandOutcome] = []
        self.video: list[bytes] = []
        self.requests: list[HttpRequest] = []
        self.batches: list[BatchName] = []
        self._session: GatewaySession | None = None
        self._connection = 0
        self._unsettled: list[tuple[GatewaySession, TelemetryReceived]] = []

    # --- what a test does to it -----------------------------------------------------------------------------

    def values(self, metric: str | None = None) -> list[Value]:
        return [point.value for point in self.stored if metric is None or point.metric == metric]

    def break_links(self) -> None:
        """Cut every connection without a word; what was on its way is lost."""
        self.socket.peer.break_()
        self.http.peer.break_()
        self._session = None
        self._unsettled.clear()

    def goodbye(self, code: int = 1001) -> None:
        self.socket.peer.close(code, "going away")
        self._session = None

    def refuse_sockets(self, reason: str | None = "refused") -> None:
        self.socket.peer.refuse(reason)

    def refuse_all(self, reason: str | None = "refused") -> None:
        self.socket.peer.refuse(reason)
        self.http.peer.refuse(reason)

    def call(self, call: CommandCall) -> None:
        assert self._session is not None
        self._session.call(call)

    def pump(self, clock: HandClock, most: int = 1_000_000) -> bool:
        """Take in what has arrived, at most `most` messages, and answer; whether anything moved."""
        moved = False
        for _ in range(most):
            if not (self._pump_socket(clock) or self._pump_http()):
                break
            moved = True
        return self._settle(clock) or moved

    # --- the socket -----------------------------------------------------------------------------------------

    def _pump_socket(self, clock: HandClock) -> bool:
        peer = self.socket.peer
        if self._connection != peer.opened:
            self._connection = peer.opened
            self._session = GatewaySession(clock.now)
        message = peer.receive(0.0) if peer.connected else None
        if message is None or self._session is None:
            return False
        assert isinstance(message, (str, bytes))
        self._session.receive(message, clock.now, round((clock.raw_wall_ms() + self.clock_ahead_ms) * 1e6))
        for event in self._session.take_events():
            if isinstance(event, AuthRequested):
                self._authenticate(event.auth, clock)
            elif isinstance(event, TelemetryReceived):
                self._unsettled.append((self._session, event))
            elif isinstance(event, CommandAnswered):
                assert isinstance(event.outcome, CommandOutcome)
                self.outcomes.append(event.outcome)
            elif isinstance(event, BinaryReceived):
                self.video.append(event.payload)
        self._say()
        return True

    def _authenticate(self, auth: frames.DeviceAuth, clock: HandClock) -> None:
        session = self._session
        assert session is not None
        self.auths.append(auth)
        if self.refusal is not None:
            session.refuse(*self.refusal)
            return
        if self.dialect == "0.5.2":
            # A gateway that never heard of acknowledgements.
            session._auth = attrs.evolve(auth, acks=False)
        session.accept(self.assigned or auth.source_id, clock.raw_wall_ms() + self.clock_ahead_ms, self.offers)

    def _settle(self, clock: HandClock) -> bool:
        if not self.answers:
            return False
        waiting, self._unsettled = self._unsettled, []
        for session, event in waiting:
            if self.rate_limited and event.batch is None:
                session.settle(event.ticket, Settlement("store", refused="RATE_LIMITED", detail="slow down"), clock.now)
                continue
            if self.refused is not None and event.decoded.total:
                code, detail = self.refused
                session.settle(event.ticket, Settlement("store", refused=code, detail=detail), clock.now)
                continue
            if self.gaps:
                # As one that lost these frames between reading and committing would.
                self.gaps -= 1
                session.settle(event.ticket, Settlement("gap"), clock.now)
                continue
            verdict, upto = self._keep(event.decoded, event.batch, event.gaps)
            session.settle(event.ticket, Settlement(verdict, upto), clock.now)
        self._say(clock)
        return bool(waiting)

    def _say(self, clock: HandClock | None = None) -> None:
        if self._session is None:
            return
        if clock is not None:
            self._session.tick(clock.now)
        for text in self._session.take_messages():
            if not self.mute:
                self.socket.peer.send(text)
        if self._session.close is not None:
            self.socket.peer.close(*self._session.close)
            self._session = None

    def _keep(self, decoded: Decoded, name: BatchName | None, gaps: Sequence[Loss] = ()) -> tuple[Any, int]:
        upto = 0
        if name is not None:
            self.batches.append(name)
            draft = Draft(self.streams.setdefault(name.stream, StreamState("drone-01")))
            if name.base - 1 > draft.watermark:
                self.strays.append(f"{name} gives up what is not stored")
            verdict = draft.judge(name)
            if verdict in ("gap", "fork"):
                self.strays.append(f"{name} is a {verdict}")
            upto = draft.settle().watermark
            if verdict != "store":
                self.duplicates += verdict == "duplicate"
                return verdict, upto
        self.losses += gaps
        for point in decoded.columns.points():
            source, is_event = str(point.source_id), point.point_class == "event"
            self.stored.append(
                Stored(source, point.metric, point.value, point.timestamp_ms or 0.0, is_event, point.run_id, point.tags)
            )
            if name is not None:
                self.by_stream.setdefault(name.stream, []).append(point.value)
        return "store", upto

    # --- plain HTTP -----------------------------------------------------------------------------------------

    def _pump_http(self) -> bool:
        peer = self.http.peer
        if not self.answers or not peer.connected:
            return False
        request = peer.receive(0.0)
        if request is None:
            return False
        assert isinstance(request, HttpRequest)
        self.requests.append(request)
        answer = self._post(request) if self.page is None else HttpAnswer(self.page[0], {}, self.page[1])
        if not self.mute:
            peer.send(answer)
        return True

    def _post(self, request: HttpRequest) -> HttpAnswer:
        if request.headers["x-api-key"] != KEY:
            return _answer(401, {"error": "invalid API key"})
        if self.status is not None:
            headers = {"retry-after": self.retry_after} if self.retry_after else {}
            return _answer(self.status, {"error": f"status {self.status}"}, headers)
        packed = request.headers.get("content-encoding") == "gzip"
        raw = gzip.decompress(request.body) if packed else request.body
        headers = {extensions.HEADER: extensions.format_header(self.offers)} if self.offers else {}
        if binaryframe.is_binary_frame(raw):
            body = binaryframe.split(raw).header
            frame = binaryframe.parse_telemetry(raw, frames.Envelope(body["source_id"], 0), binaryframe.MAX_POINTS)
            decoded = frame.decoded
        else:
            body = jsontext.loads(raw)
            decoded = decode_points(body["points"], source_id=body["source_id"], arrival_ns=0)
        gaps = frames.parse_gaps(body)
        if not decoded.total and not gaps:
            return _answer(200, {"success": True, "count": 0, "dropped": 0}, headers)
        if self.rate_limited:
            return _answer(200, {"success": True, "count": 0, "dropped": decoded.total}, headers)
        if self.faults:
            errors = [{"index": index, "error": error} for index, error in self.faults.items()]
            return _answer(200, {"success": True, "dropped": len(errors), "errors": errors}, headers)
        name = parse_batch_name(body.get("batch")) if self.offers else None
        verdict, upto = self._keep(decoded, name, gaps)
        if verdict in ("gap", "fork"):
            kind = {"gap": "batch_nack", "fork": "batch_fork"}[verdict]
            return _answer(409, {"type": kind, "expected": upto + 1}, headers)
        return _answer(200, {"success": True, "count": decoded.total, "dropped": 0}, headers)


def _answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> HttpAnswer:
    return HttpAnswer(status, headers or {}, json.dumps(body).encode())


class WallClock(HandClock):
    """The machine's time, for a gateway that runs on a thread beside a real client."""

    @property
    def now(self) -> float:
        return time.monotonic()

    def tick(self) -> int:
        return time.monotonic_ns()

    def raw_wall_ms(self) -> float:
        return time.time() * 1e3


@contextlib.contextmanager
def serving(gateway: Gateway) -> Iterator[Gateway]:
    """The gateway answers from a thread of its own until the block ends."""
    clock, over = WallClock(), threading.Event()

    def serve() -> None:
        while not over.is_set():
            if not gateway.pump(clock):
                over.wait(0.002)

    thread = threading.Thread(target=serve, name="gateway")
    thread.start()
    try:
        yield gateway
    finally:
        over.set()
        thread.join(10.0)

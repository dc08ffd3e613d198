"""`/ws/device`: one connected device (protocol page, section 4), between `GatewaySession` and the committer.

The session knows the conversation, this module does what it asks for. Per socket there is one reader (the handler's own
task) and one writer. Back-pressure: the socket is not read while more of its telemetry is unsettled, more of our
answers wait for it, or more of everybody's points wait for the disk, than `Limits` and the committer allow, nor while a
device that names its batches is ahead of its rate.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from plexus.domain.command import CommandCall
from plexus.domain.errors import StoreError
from plexus.domain.source import ClockReport
from plexus.gateway import admission, logs
from plexus.gateway.asgi import Receive, Scope, Send
from plexus.gateway.commands import Order
from plexus.gateway.core import SHUTTING_DOWN, Core
from plexus.gateway.devicedecoding import TelemetryDecoder
from plexus.gateway.intake import RATE_LIMITED
from plexus.ports.keyring import KeyInfo
from plexus.ports.store import Receipt, Submission
from plexus.protocol import frames
from plexus.protocol.gateway import CLOSE_GOING_AWAY, GatewaySession, State
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

PATH = "/ws/device"
LARGER_MESSAGES = "plexus.larger_messages"
"""A scope extension of our server: call it to let an authenticated peer send messages up to this many bytes."""

WRITE_AT_ONCE = "plexus.write_at_once"
"""Another one: a function that takes a text message and sends it, or returns False when the peer is behind. An answer
then costs no turn of the event loop."""

TAKE_AT_ONCE = "plexus.take_at_once"
"""And one to be called with a function that is given each message first: it takes it, or returns False to have it come
by `receive`. Telemetry then wakes no task."""

ASIDE_OVER = 256 * 1024
"""Bytes of a message from which on it is decoded in a thread, so that no other connection waits for it."""

STORED = Settlement("store")
"""What becomes of every frame without a batch name that is not refused."""

CLOCK_MS = 100 * 366 * 86_400_000.0
"""What a device may say that its clock is wrong by: a century, for one that woke up in 1970 or was set to 2099."""

LONGEST_WAIT_S = 1.0
"""A deadline is looked at again at least so often: the session's clock is injected, the event loop's is not."""

logger = logging.getLogger("plexus.gateway")


class DeviceHandler:
    """ASGI, behind the gate."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One device from handshake to close."""
        await DeviceSocket(self._core, scope, receive, send).run()


class DeviceSocket:
    """One device's connection."""

    def __init__(self, core: Core, scope: Scope, receive: Receive, send: Send) -> None:
        self._key: KeyInfo | None = None
        self._core = core
        self._limits = core.limits
        self._scope = scope
        self._receive = receive
        self._send = send
        self._decoder = TelemetryDecoder(core)
        self._session = GatewaySession(core.monotonic(), self._decoder)
        self._source_id = ""
        self._outbox: deque[str] = deque()
        self._orders: deque[Order] = deque()
        self._write_at_once: Callable[[str], bool] | None = scope.get("extensions", {}).get(WRITE_AT_ONCE)
        self._writing = False
        self._unsettled_points = 0
        self._arrival_ns = 0
        self._listening = False
        self._rate = core.intake.connection()
        self._ahead_until = 0.0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._leaving: tuple[int, str] | None = None
        self._gone = False

    async def run(self) -> None:
        """Serve the device until either side closes."""
        await self._send({"type": "websocket.accept"})
        writer = asyncio.get_running_loop().create_task(self._write())
        try:
            await self._read()
        finally:
            self._left()
            await self._finish(writer)
            self._core.sockets.discard(self)
            if self._key is not None:
                self._core.meters.sockets.labels("device").dec()

    # --- what the gateway asks of an open socket ---------------------------------------------------------------

    @property
    def key_id(self) -> str:
        """The key that it came in with."""
        return "" if self._key is None else self._key.key_id

    def call(self, order: Order) -> bool:
        """Put a command on its way; False when the device does not take what is on its way already."""
        waiting = len(self._outbox) + len(self._orders)
        if waiting >= self._core.limits.outbox_messages or self._session.state is not State.READY:
            return False
        self._orders.append(order)
        self._wake.set()
        return True

    def expel(self) -> None:
        """The key was revoked: say so and close; what is unsettled is not answered."""
        self._session.refuse(admission.INVALID_KEY, "the API key was revoked")
        self._flush()

    @property
    def place(self) -> tuple[str, str]:
        """Organisation and source that it is about."""
        return self._org, self._source_id

    def goodbye(self, code: int = CLOSE_GOING_AWAY, reason: str = SHUTTING_DOWN) -> None:
        """Read no more; once everything that was read is settled, close."""
        self._leaving = (code, reason)
        self._flush()

    # --- the reader ------------------------------------------------------------------------------------------

    def take(self, payload: str | bytes) -> bool:
        """Take telemetry while the reader has nothing to do but wait for it; whether it was taken."""
        if not self._listening or self._leaving or self._must_wait() or len(payload) > ASIDE_OVER:
            return False
        self._arrival_ns = self._core.wall_ns()
        frame = self._decoder.telemetry(payload, frames.Envelope(self._source_id, self._arrival_ns))
        if frame is None:
            return False
        self._store(self._session.telemetry(frame))
        # Mostly there is nothing to say before the commit, and then this is all that has changed.
        if self._session.waits_for_a_turn:
            self._flush()
        else:
            self._mind_room()
        return True

    async def _read(self) -> None:
        while self._session.state is not State.CLOSED:
            if self._must_wait():
                await self._wait_for_room()
            self._listening = self._session.state is State.READY
            message = await self._receive()
            self._listening = False
            if message["type"] == "websocket.disconnect":
                return
            if message["type"] != "websocket.receive" or self._leaving:
                continue
            text = message.get("text")
            payload: str | bytes = message["bytes"] if text is None else text
            if self._must_wait():  # since the reader began to listen: what was taken meanwhile filled the room
                await self._wait_for_room()
            self._arrival_ns = self._core.wall_ns()
            if len(payload) > ASIDE_OVER and self._session.state is State.READY:
                # Meanwhile this socket is not read, so it keeps its turn.
                await self._decoder.aside(payload, frames.Envelope(self._source_id, self._arrival_ns))
            self._session.receive(payload, self._core.monotonic(), self._arrival_ns)
            while events := self._session.take_events():  # letting a device in brings out what it sent meanwhile
                for event in events:
                    await self._on(event)
            self._flush()

    def _must_wait(self) -> bool:
        return not self._room.is_set() or not self._core.committer.has_room or bool(self._ahead_until)

    async def _wait_for_room(self) -> None:
        await self._room.wait()
        await self._core.committer.room()
        # It is time that is waited for, on a clock of ours, and not anybody's event.
        while (left := self._ahead_until - self._core.monotonic()) > 0 and not self._leaving:  # noqa: ASYNC110
            await asyncio.sleep(min(left, LONGEST_WAIT_S))
        self._ahead_until = 0.0

    async def _on(self, event: GatewayEvent) -> None:
        if isinstance(event, TelemetryReceived):
            self._store(event)
        elif isinstance(event, FrameRefused):
            self._core.meters.reject("malformed")
        elif isinstance(event, AuthRequested):
            await self._authenticate(event.auth)
        elif isinstance(event, HeartbeatReceived):
            self._beaten(event)
        elif isinstance(event, CommandAnswered):
            for known in await self._core.devices.heard(self._org, self._source_id, event.outcome, self.key_id):
                self._session.call(known)
        elif isinstance(event, BinaryReceived):
            self._core.video.take_binary(self._org, self._source_id, event.payload)
        elif isinstance(event, frames.VideoText):
            self._core.video.take_text(self._org, self._source_id, event.fields, self._arrival_ns // 1_000_000)

    def _beaten(self, event: HeartbeatReceived) -> None:
        self._core.presence.met(self._org, self._source_id)
        clock = event.clock
        if clock is None:
            return
        # Neither comparison is true of NaN.
        if abs(clock.offset_ms) <= CLOCK_MS and 0 <= clock.error_ms <= CLOCK_MS:
            told = ClockReport(clock.offset_ms, clock.error_ms, self._arrival_ns / 1e6)
            self._core.committer.deliveries.told_clock(self._org, self._source_id, told)
        else:
            self._core.meters.reject("malformed")

    @property
    def _org(self) -> str:
        return "" if self._key is None else self._key.org

    async def _authenticate(self, auth: frames.DeviceAuth) -> None:
        decision = await admission.admit(self._core, auth)
        if isinstance(decision, admission.Rejected):
            logger.info("device %r refused: %s", auth.source_id, decision.detail)
            self._session.refuse(decision.code, decision.detail, decision.close_code)
            return
        self._key, self._source_id = decision.key, decision.source_id
        self._core.meters.sockets.labels("device").inc()
        self._decoder.key = decision.key
        self._session.accept(
            self._source_id,
            round(self._core.wall_ns() / 1_000_000, 3),
            may_declare=decision.key.allows("write", self._source_id),
            max_frame_bytes=self._core.limits.message_bytes,
        )
        enlarge = self._scope.get("extensions", {}).get(LARGER_MESSAGES)
        if enlarge is not None:
            enlarge(self._core.limits.message_bytes)
        offer = self._scope.get("extensions", {}).get(TAKE_AT_ONCE)
        if offer is not None:
            offer(self.take)
        self._core.presence.opened(self._org, self._source_id)
        described = () if auth.protocol else auth.commands
        self._core.devices.joined(self._org, self._source_id, self, self._session.declared, described)
        self._core.sockets.add(self)
        logs.about(org=self._org, source=self._source_id)
        logger.info("device %s connected (%s %s)", self._source_id, auth.platform, auth.agent_version)

    # --- telemetry -------------------------------------------------------------------------------------------

    def _store(self, event: TelemetryReceived) -> None:
        columns = event.decoded.columns
        core = self._core
        core.presence.heard(self._org, self._source_id)
        if core.intake.metered and not self._in_time(event):
            return
        if not len(columns) and event.batch is None:
            self._session.settle(event.ticket, STORED, core.monotonic())
            return
        submission = Submission(self._org, self._source_id, columns, self._arrival_ns, event.batch, event.gaps)
        self._unsettled_points += len(columns)
        core.committer.take(submission, functools.partial(self._committed, event))

    def _in_time(self, event: TelemetryReceived) -> bool:
        """Whether a message is taken; one that comes too soon is dropped, or taken and the next one waited with."""
        intake = self._core.intake
        named = {self._source_id, *event.decoded.columns.sources()}
        if self._session.names_batches:
            wait_s = intake.wait_s(self._org, named, self._rate)
            self._ahead_until = self._core.monotonic() + wait_s if wait_s else 0.0
            return True
        if intake.in_time(self._org, named, self._rate):
            return True
        told = Settlement("store", refused=RATE_LIMITED, detail="too many messages a second; this one is dropped")
        self._session.settle(event.ticket, told, self._core.monotonic())
        return False

    def _committed(self, event: TelemetryReceived, outcome: Receipt | StoreError) -> None:
        self._unsettled_points -= len(event.decoded.columns)
        if self._gone or self._session.state is State.CLOSED:
            return
        if isinstance(outcome, StoreError):
            detail = "the gateway could not store data; nothing after the last acknowledgement is kept, send it again"
            self._session.try_later(detail)
        else:
            settlement = Settlement(outcome.verdict, outcome.upto) if event.batch else STORED
            self._session.settle(event.ticket, settlement, self._core.monotonic())
        self._flush()

    # --- the writer ------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """After anything that moved the session: what it says goes to the writer, who also minds its deadlines."""
        self._collect()
        if self._write_at_once is not None and not self._writing:
            while self._outbox and self._write_at_once(self._outbox[0]):
                self._outbox.popleft()
        if self._outbox or self._session.close is not None or self._session.next_deadline() is not None:
            self._wake.set()

    def _collect(self) -> None:
        if self._leaving and not self._session.unsettled:
            self._session.say_goodbye(*self._leaving)
        self._outbox.extend(self._session.take_messages())
        self._mind_room()

    def _mind_room(self) -> None:
        session, outbox, limits = self._session, self._outbox, self._limits
        crowded = (
            session.unsettled >= limits.unsettled_frames
            or self._unsettled_points >= limits.unsettled_points
            or len(outbox) >= limits.outbox_messages
        )
        if crowded and session.state is not State.CLOSED:
            self._room.clear()
        elif not self._room.is_set():
            self._room.set()

    async def _write(self) -> None:
        with contextlib.suppress(OSError):  # the peer is gone: the reader hears of it too
            while True:
                await self._wait_for_work()
                self._wake.clear()
                self._session.tick(self._core.monotonic())
                self._collect()
                self._writing = True
                while self._outbox or self._take_order():
                    await self._send({"type": "websocket.send", "text": self._outbox.popleft()})
                    self._collect()
                self._writing = False
                if self._session.close is not None:
                    code, reason = self._session.close
                    await self._send({"type": "websocket.close", "code": code, "reason": reason})
                    return

    def _take_order(self) -> bool:
        """Put the next command into the empty outbox; what remains of its time is told as it is at this moment."""
        if not self._orders:
            return False
        order = self._orders.popleft()
        self._session.call(order if isinstance(order, CommandCall) else order.at(self._core.monotonic()))
        self._collect()
        return bool(self._outbox)

    async def _wait_for_work(self) -> None:
        deadline = self._session.next_deadline()
        if deadline is None:
            await self._wake.wait()
            return
        left = min(max(0.0, deadline - self._core.monotonic()), LONGEST_WAIT_S)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._wake.wait(), left)

    # --- the end -----------------------------------------------------------------------------------------------

    def _left(self) -> None:
        self._gone = True
        if self._key is None:
            return
        self._core.devices.left(self._org, self._source_id, self)
        self._core.presence.closed(self._org, self._source_id)
        self._core.video.gone(self._org, self._source_id)
        logger.info("device %s disconnected", self._source_id)

    async def _finish(self, writer: asyncio.Task[Any]) -> None:
        """Let the writer say what is still to be said (a refusal and its close), and end it when the peer is gone."""
        if self._session.close is None:
            writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writer

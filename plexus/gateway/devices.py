"""`/ws/device`: one connected device (protocol page, section 4), between `GatewaySession` and the committer.

The session knows the conversation, this module does what it asks for. Per socket there is one reader (the handler's own
task) and one writer. Back-pressure: the socket is not read while more of its telemetry is unsettled, more of our
answers wait for it, or more of everybody's points wait for the disk, than `Limits` and the committer allow.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections import deque
from typing import Any

import attrs

from plexus.domain.command import CommandCall
from plexus.domain.errors import ProtocolError
from plexus.gateway import admission, decoding
from plexus.gateway.asgi import Receive, Scope, Send
from plexus.gateway.commands import Order
from plexus.gateway.core import Core
from plexus.ports.keyring import KeyInfo
from plexus.ports.store import Receipt, Submission
from plexus.protocol import frames
from plexus.protocol.columns import Columns, Decoded, PointFault
from plexus.protocol.gateway import (
    AuthRequested,
    CommandAnswered,
    GatewayEvent,
    GatewaySession,
    HeartbeatReceived,
    Settlement,
    State,
    TelemetryReceived,
)

PATH = "/ws/device"
LARGER_MESSAGES = "plexus.larger_messages"
"""A scope extension of our server: call it to let an authenticated peer send messages up to this many bytes."""

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
        self._scope = scope
        self._receive = receive
        self._send = send
        self._session = GatewaySession(core.monotonic(), self._decode)
        self._source_id = ""
        self._outbox: deque[str] = deque()
        self._orders: deque[Order] = deque()
        self._unsettled_points = 0
        self._arrival_ns = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._leaving = False
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

    def goodbye(self) -> None:
        """Read no more; once everything that was read is settled, close with 1001."""
        self._leaving = True
        self._flush()

    # --- the reader ------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while self._session.state is not State.CLOSED:
            await self._wait_for_room()
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            if message["type"] != "websocket.receive" or self._leaving:
                continue
            text = message.get("text")
            payload: str | bytes = message["bytes"] if text is None else text
            self._arrival_ns = self._core.wall_ns()
            self._session.receive(payload, self._core.monotonic(), self._arrival_ns)
            while events := self._session.take_events():  # letting a device in brings out what it sent meanwhile
                for event in events:
                    await self._on(event)
            self._flush()

    async def _wait_for_room(self) -> None:
        await self._room.wait()
        await self._core.committer.room()

    async def _on(self, event: GatewayEvent) -> None:
        if isinstance(event, TelemetryReceived):
            self._store(event)
        elif isinstance(event, AuthRequested):
            await self._authenticate(event.auth)
        elif isinstance(event, HeartbeatReceived):
            self._core.presence.heard(self._org, self._source_id)
        elif isinstance(event, CommandAnswered):
            self._answered(event)

    def _answered(self, event: CommandAnswered) -> None:
        devices, said = self._core.devices, event.outcome
        if isinstance(said, frames.CommandStatus):
            self._session.call(devices.reported(self._org, self._source_id, said))
        elif isinstance(said, frames.CommandSync):
            for known in devices.synced(self._org, self._source_id, said):
                self._session.call(known)
        else:
            devices.answered(self._org, self._source_id, said)

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
        self._session.accept(
            self._source_id,
            round(self._core.wall_ns() / 1_000_000, 3),
            may_declare=decision.key.allows("write", self._source_id),
            max_frame_bytes=self._core.limits.message_bytes,
        )
        enlarge = self._scope.get("extensions", {}).get(LARGER_MESSAGES)
        if enlarge is not None:
            enlarge(self._core.limits.message_bytes)
        self._core.presence.opened(self._org, self._source_id)
        self._core.devices.joined(self._org, self._source_id, self, self._session.declared)
        self._core.sockets.add(self)
        logger.info("device %s connected (%s %s)", self._source_id, auth.platform, auth.agent_version)

    # --- telemetry -------------------------------------------------------------------------------------------

    def _decode(self, message: str | bytes, envelope: frames.Envelope) -> frames.Frame:
        limit = self._core.limits.message_points
        frame = decoding.parse(message, envelope, limit)
        if not isinstance(frame, frames.Telemetry):
            return frame
        if frame.decoded.total > limit:
            raise ProtocolError(f"points must be at most {limit} a message", field="points")
        if self._key is not None and self._key.source_id is not None:
            return attrs.evolve(frame, decoded=only_source(frame.decoded, self._key.source_id))
        return frame

    def _store(self, event: TelemetryReceived) -> None:
        columns = event.decoded.columns
        self._core.presence.heard(self._org, self._source_id)
        if not len(columns) and event.batch is None:
            self._session.settle(event.ticket, Settlement("store"), self._core.monotonic())
            return
        submission = Submission(self._org, self._source_id, columns, self._arrival_ns, event.batch, event.gaps)
        self._unsettled_points += len(columns)
        future = self._core.committer.enqueue(submission)
        future.add_done_callback(functools.partial(self._committed, event))

    def _committed(self, event: TelemetryReceived, future: asyncio.Future[Receipt]) -> None:
        self._unsettled_points -= len(event.decoded.columns)
        failure = future.exception()
        if self._gone or self._session.state is State.CLOSED:
            return
        if failure is not None:
            detail = "the gateway could not store data; nothing after the last acknowledgement is kept, send it again"
            self._session.try_later(detail)
        else:
            receipt = future.result()
            self._session.settle(event.ticket, Settlement(receipt.verdict, receipt.upto), self._core.monotonic())
        self._flush()

    # --- the writer ------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """After anything that moved the session: what it says goes to the writer, who also minds its deadlines."""
        self._collect()
        if self._outbox or self._session.close is not None or self._session.next_deadline() is not None:
            self._wake.set()

    def _collect(self) -> None:
        if self._leaving and not self._session.unsettled:
            self._session.say_goodbye()
        self._outbox.extend(self._session.take_messages())
        limits = self._core.limits
        crowded = (
            self._session.unsettled >= limits.unsettled_frames
            or self._unsettled_points >= limits.unsettled_points
            or len(self._outbox) >= limits.outbox_messages
        )
        if crowded and self._session.state is not State.CLOSED:
            self._room.clear()
        else:
            self._room.set()

    async def _write(self) -> None:
        with contextlib.suppress(OSError):  # the peer is gone: the reader hears of it too
            while True:
                await self._wait_for_work()
                self._wake.clear()
                self._session.tick(self._core.monotonic())
                self._collect()
                while self._outbox or self._take_order():
                    await self._send({"type": "websocket.send", "text": self._outbox.popleft()})
                    self._collect()
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
        logger.info("device %s disconnected", self._source_id)

    async def _finish(self, writer: asyncio.Task[Any]) -> None:
        """Let the writer say what is still to be said (a refusal and its close), and end it when the peer is gone."""
        if self._session.close is None:
            writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writer


def only_source(decoded: Decoded, source_id: str) -> Decoded:
    """What a key that is limited to one source may store; a point of another becomes a fault."""
    columns = decoded.columns
    if columns.source_id.count(source_id) == len(columns):
        return decoded
    faulty = {fault.index for fault in decoded.faults}
    indices = [index for index in range(decoded.total) if index not in faulty]
    kept, faults = Columns(), list(decoded.faults)
    for row, index in enumerate(indices):
        if columns.source_id[row] == source_id:
            kept.add(
                source_id,
                columns.metric[row],
                columns.t_ns[row],
                is_event=columns.is_event[row],
                value=columns.value[row],
                tags=columns.tags[row],
                run_id=columns.run_id[row],
            )
        else:
            faults.append(PointFault(index, f"source_id must be {source_id}: the key is limited to it"))
    return Decoded(kept, tuple(sorted(faults, key=lambda fault: fault.index)))

"""The HTTP and WebSocket server: uvicorn (uvloop, httptools, websockets-sansio) with our limits and our ending.

With `connections` the only module that knows uvicorn; another server that speaks ASGI could take its place. What is
added to it: a request's head has a time and a size, connections have a number, whoever was answered may not go on
sending, a WebSocket message is small until its sender is authenticated, never in endless pieces and never a trickle,
what is closed leaves no garbage, and SIGTERM is ours: stop listening, let every device's data be committed and
acknowledged, say goodbye, close.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import Callable, Generator
from typing import Any, cast

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import OPEN

from plexus.gateway import logs
from plexus.gateway.asgi import ASGIApp
from plexus.gateway.connections import LINGER_S, Config, HttpProtocol, Reject
from plexus.gateway.core import Limits, Sockets
from plexus.gateway.devices import LARGER_MESSAGES, TAKE_AT_ONCE, WRITE_AT_ONCE
from plexus.gateway.listening import BACKLOG
from plexus.gateway.pacing import Arrival
from plexus.gateway.streams.writing import PREPARED_FRAMES
from plexus.gateway.wholeframes import LONG, TEXT_FRAME, between_messages, portions, whole_text, within_message

GOODBYE_S = 3.0
REQUESTS_S = 1
PING_S = 20.0
PONG_S = 60.0
"""Longer than a commit may take: a socket that is not read, because the store is behind, does not hear its pong."""
TLS_SHUTDOWN_S = 1.0
DATE_S = 1.0


class _SocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket whose messages are small until the handler asks for more, come in few pieces, and go on once begun."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # A log that says everything would write out frames, and with them keys.
        self.conn.debug = False
        self.close_timeout = LINGER_S
        self._take: Callable[[str | bytes], bool] | None = None
        self._message_is_next = False
        self._ours = cast("Config", self.config)
        limits = self._ours.limits
        give_up = functools.partial(self._throw_out, "message_time", 1008)
        self._arrival = Arrival(limits.body_grace_s, limits.body_bytes_s, self.loop, give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # What refers to itself would wait for a look for garbage, and that look would hold everybody up.
        self._arrival.close()
        self.conn.parser.close()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self._take = None
        cast("dict[str, Any]", self.scope.get("extensions")).clear()

    def data_received(self, data: bytes) -> None:
        if self._message_is_next:
            limit = self.conn.max_message_size
            message = None if limit is None or self.conn.state is not OPEN else whole_text(data, limit)
            if message is not None:
                self.frames, self.curr_msg_data_type = [message], "text"
                self._hand_on()
                return
        for part in portions(data):
            super().data_received(part)
            if self.transport.is_closing():
                break
        self._message_is_next = between_messages(self.conn)
        if self._message_is_next or not within_message(self.conn):
            self._arrival.end()
        else:
            self._arrival.came(len(data), held=self.read_paused)

    async def receive(self) -> Any:
        message = await super().receive()
        if not self.read_paused:
            self._arrival.go_on()
        return message

    def keepalive_timeout(self) -> None:
        if self._arrival.under_way:
            # No pong comes in the middle of a frame, and over a slow line that takes minutes. That it comes is seen to.
            self.pong_timer = self.loop.call_later(PONG_S, self.keepalive_timeout)
        else:
            super().keepalive_timeout()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            # The handler's task is made, but runs only after this.
            offered = cast("dict[str, Any]", self.scope.get("extensions"))
            offered[LARGER_MESSAGES] = self._larger_messages
            offered[PREPARED_FRAMES] = self
            offered[WRITE_AT_ONCE] = self._write_at_once
            offered[TAKE_AT_ONCE] = self._let_take

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            # Refused, which is an end of the handshake too; uvicorn logs an error about each else.
            self.handshake_complete = True

    def handle_cont(self, event: Frame) -> None:
        limit = self._ours.limits.message_fragments
        if self.close_sent or len(self.frames) < limit:
            super().handle_cont(event)
            return
        # Pieces may be empty: their bytes say nothing about the memory that they take.
        self._throw_out("fragments", 1009, f"a message may have {limit} fragments")

    def send_receive_event_to_app(self) -> None:
        """A message that the parser made is whole."""
        self._arrival.end()  # what comes behind it in the same read is another one
        self._hand_on()

    def _throw_out(self, why: str, code: int, reason: str) -> None:
        if self._is_gone():
            return
        self._ours.reject(why)
        self.frames = []
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def _hand_on(self) -> None:
        """Hand a message on: at once where the handler takes it, in its turn where not or where others wait already."""
        if self._take is None or self.read_paused or self.close_sent or len(self.frames) != 1:
            super().send_receive_event_to_app()
            return
        message: str | bytes = self.frames[0]
        if self.curr_msg_data_type == "text":
            try:
                message = self.frames[0].decode()
            except UnicodeDecodeError:
                super().send_receive_event_to_app()
                return
        if self._take(message):
            self.frames = []
        else:
            super().send_receive_event_to_app()

    def _let_take(self, take: Callable[[str | bytes], bool]) -> None:
        self._take = take

    def _write_at_once(self, text: str) -> bool:
        if self.close_sent or self.disconnected or not self.writable.is_set():
            return False
        payload = text.encode()
        if len(payload) < LONG:
            # What the library would make of it in four times the time: an acknowledgement, mostly.
            self.transport.write(bytes((TEXT_FRAME, len(payload))) + payload)
        else:
            self.conn.send_text(payload)
            self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def write_prepared(self, frame: bytes) -> bool:
        """Write a whole WebSocket frame, unless the peer is gone or the transport's buffer is full."""
        if not self.writable.is_set() or self._is_gone():
            return False
        self.transport.write(frame)
        return True

    async def room(self) -> None:
        """Return when the transport takes more; raises ConnectionResetError when the peer is gone."""
        await self.writable.wait()
        if self._is_gone():
            raise ConnectionResetError("the peer is gone")

    def _is_gone(self) -> bool:
        return self.close_sent or self.disconnected or self.transport.is_closing()

    def _larger_messages(self, limit: int) -> None:
        self.conn.max_message_size = limit


class Server(uvicorn.Server):
    """uvicorn without its signals, and with a goodbye before it closes what is open."""

    def __init__(
        self, app: ASGIApp, sockets: Sockets, limits: Limits, reject: Reject, tls: ssl.SSLContext | None = None
    ) -> None:
        logs.hush()
        config = Config(
            app,
            http=HttpProtocol,
            ws=_SocketProtocol,
            ws_max_size=limits.greeting_bytes,
            ws_per_message_deflate=False,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PONG_S,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.keep_alive_s,
            timeout_graceful_shutdown=REQUESTS_S,
        )
        config.limits, config.reject = limits, reject
        super().__init__(config)
        self._sockets = sockets
        self._tls = tls
        self._loop: asyncio.AbstractEventLoop | None = None
        self.leaving = asyncio.Event()
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to whoever runs the gateway."""
        yield

    def leave(self) -> None:
        """Begin to shut down; from any thread or signal handler. A second time: do not wait for anybody."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self.call(self.leaving.set)

    def call(self, function: Callable[[], object]) -> None:
        """Call on the server's event loop, from any thread or signal handler; not at all when it is not running."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it left already
                self._loop.call_soon_threadsafe(function)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's over sockets that listen, with time-outs for TLS; and says when it is done."""
        loop = self._loop = asyncio.get_running_loop()
        protocol = functools.partial(
            HttpProtocol, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        limits = cast("Config", self.config).limits
        tls: dict[str, Any] = {}
        if self._tls is not None:
            tls = {"ssl_handshake_timeout": limits.head_s, "ssl_shutdown_timeout": TLS_SHUTDOWN_S}
        self.servers = [
            await loop.create_server(protocol, sock=listener, ssl=self._tls, backlog=BACKLOG, **tls)
            for listener in sockets or []
        ]
        self.started = True
        self.ready.set()

    async def main_loop(self) -> None:
        """Keep the date of the answers, once a second, until it is time to leave."""
        while not await self.on_tick(0):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.leaving.wait(), DATE_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let nobody new in; what was read is committed and acknowledged; goodbye; then uvicorn closes what is left."""
        for server in self.servers:
            server.close()
        self._sockets.goodbye()
        await self._sockets.gone(GOODBYE_S)
        await self._end_requests()
        for listener in sockets or []:
            listener.close()
        if self.server_state.connections or self.server_state.tasks:  # else it would wait for 0.1 s for nobody
            await super().shutdown()

    async def _end_requests(self) -> None:
        """Let requests be answered for a moment, and end the others here: uvicorn would call that an error."""
        if not self.server_state.tasks or self.force_exit:
            return
        _, late = await asyncio.wait(set(self.server_state.tasks), timeout=REQUESTS_S)
        for connection in list(self.server_state.connections):
            if isinstance(connection, HttpProtocol) and connection.is_half_answered:
                connection.transport.abort()
        await asyncio.sleep(0)  # what was cut is told so before it is ended
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=REQUESTS_S)

"""The HTTP and WebSocket server: uvicorn (uvloop, httptools, websockets-sansio) with our limits and our ending.

The only module that knows uvicorn; another server that speaks ASGI could take its place. What is added to it:
a request's head has a time and a size, a WebSocket message is small until its sender is authenticated, and SIGTERM is
ours: stop listening, let every device's data be committed and acknowledged, say goodbye, close.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import sys
from collections.abc import Generator
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from plexus.domain.errors import ConfigurationError
from plexus.gateway.asgi import ASGIApp
from plexus.gateway.core import Limits, Sockets
from plexus.gateway.devices import LARGER_MESSAGES

HEAD_TIMEOUT_S = 10.0
HEAD_BYTES = 64 * 1024
GOODBYE_S = 3.0
REQUESTS_S = 1
PING_S = 20.0
PONG_S = 60.0
"""Longer than a commit may take: a socket that is not read, because the store is behind, does not hear its pong."""
BACKLOG = 2048
DATE_S = 1.0


class _HttpProtocol(HttpToolsProtocol):
    """HTTP whose head must come within 10 s and 64 KiB."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_timer is None:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._head_came()
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def _expect_head(self) -> None:
        self._head_came()
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def _head_came(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _SocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket whose messages are small until the handler asks for more."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            # The handler's task is made, but runs only after this.
            offered = cast("dict[str, Any]", self.scope.get("extensions"))
            offered[LARGER_MESSAGES] = self._larger_messages

    def _larger_messages(self, limit: int) -> None:
        self.conn.max_message_size = limit


class Server(uvicorn.Server):
    """uvicorn without its signals, and with a goodbye before it closes what is open."""

    def __init__(self, app: ASGIApp, sockets: Sockets, limits: Limits) -> None:
        _hush()
        super().__init__(
            uvicorn.Config(
                app,
                http=_HttpProtocol,
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
                timeout_graceful_shutdown=REQUESTS_S,
            )
        )
        self._sockets = sockets
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaving = asyncio.Event()
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to whoever runs the gateway."""
        yield

    def leave(self) -> None:
        """Begin to shut down; from any thread or signal handler. A second time: do not wait for anybody."""
        self.force_exit = self.should_exit
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it left already
                self._loop.call_soon_threadsafe(self._leaving.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, and says when it is done."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Keep the date of the answers, once a second, until it is time to leave."""
        while not await self.on_tick(0):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), DATE_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let nobody new in; what was read is committed and acknowledged; goodbye; then uvicorn closes what is left."""
        for server in self.servers:
            server.close()
        self._sockets.goodbye()
        await self._sockets.gone(GOODBYE_S)
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises ConfigurationError when the address cannot be had."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as exc:
        raise ConfigurationError(f"the host {host!r} cannot be resolved: {exc.strerror or exc}") from exc
    sock = socket.socket(family, kind, proto)
    try:
        if sys.platform != "win32":  # there it would let two gateways share the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as exc:
        sock.close()
        raise ConfigurationError(f"port {port} on {host} cannot be used: {_why_not(exc)}") from exc
    sock.setblocking(False)  # noqa: FBT003 - the only way to call it
    return sock


def _why_not(exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return "another program, perhaps another gateway, holds it; stop that one or choose another with --port"
    if exc.errno == errno.EACCES:
        return "ports under 1024 are the system's; choose another with --port, and a proxy in front of it"
    if exc.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address; choose one of its own with --host, or 0.0.0.0 for all of them"
    return f"{exc.strerror or exc}; choose another with --host and --port"


def _hush() -> None:
    """Keep the server's log from writing out frames (and with them keys) when a program logs everything."""
    log = logging.getLogger("uvicorn.error")
    if log.level == logging.NOTSET:
        log.setLevel(logging.WARNING)

"""Connections that speak HTTP: uvicorn's, with a time and a size for a head, and an end for whoever was answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from plexus.gateway.core import Limits

PIPELINED = 64
"""Requests that may wait behind the one that is being answered: each takes many times the bytes that it came in."""
LINGER_S = 2.0
"""How long whoever was answered before its body was complete, or was told that its socket closes, may stay: it is to
read that first."""

_FULL = b'{"error":"the gateway has all the connections that it may have; try again"}'
TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-type: application/json\r\n"
    b"x-content-type-options: nosniff\r\ncontent-length: %d\r\n\r\n%s" % (len(_FULL), _FULL)
)
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n"

Reject = Callable[[str], None]
"""Told why somebody was turned away, in a word."""


class Config(uvicorn.Config):
    """uvicorn's, with what our protocols need to know."""

    limits: Limits
    reject: Reject


class HttpProtocol(HttpToolsProtocol):
    """HTTP whose head must come in time and within its size, as must what stands between the pieces of a body and
    behind it, and whose body is not taken after its answer.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _linger: asyncio.TimerHandle | None = None
    _head_bytes = 0
    """Of a head; after it, of what came since the parser last made something of it."""

    @property
    def _ours(self) -> Config:
        return cast("Config", self.config)

    @property
    def is_half_answered(self) -> bool:
        """Whether an answer is under way."""
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody connected: there may be too many, and a head is to come."""
        super().connection_made(transport)
        if len(self.connections) > self._ours.limits.connections:
            self._ours.reject("connections")
            transport.write(TOO_MANY)
            transport.close()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._head_came()
        if self._linger is not None:
            self._linger.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """From here on the connection is a WebSocket's."""
        super().handle_websocket_upgrade()
        del self.parser  # it refers to us, and nobody needs either any more

    def on_message_begin(self) -> None:
        """Another request."""
        if len(self.pipeline) >= PIPELINED:
            self._ours.reject("pipelined")
            raise OverflowError("too many requests at once")  # it ends the parser: 400, and the connection is closed
        super().on_message_begin()
        if self._head_timer is None:  # the first head's time began with the connection, and no byte begins it anew
            self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of a head."""
        if self._head_timer is None:
            # A trailer: nobody reads those, and kept they would grow without end.
            self._head_bytes = 0
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is here."""
        self._head_came()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is here."""
        super().on_message_complete()
        if self._linger is not None:
            # It came in time after all: what is asked for next on this connection is not to be cut.
            self._linger.cancel()
            self._linger = None

    def on_response_complete(self) -> None:
        """It is answered."""
        super().on_response_complete()
        if self.cycle.more_body and self._linger is None:
            # Refused before its body was complete. The keep-alive timer does not end it: every byte stops that one.
            self._linger = self.loop.call_later(LINGER_S, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        if self.transport.is_closing():
            return
        if self._head_timer is None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None:
            self._head_bytes += len(data)
        if self._head_bytes > self._ours.limits.head_bytes:
            self._head_came()
            self._ours.reject("head_size")
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def _expect_head(self) -> None:
        self._head_came()
        self._head_timer = self.loop.call_later(self._ours.limits.head_s, self._give_up)

    def _give_up(self) -> None:
        self._ours.reject("head_time")
        self.transport.close()

    def _head_came(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

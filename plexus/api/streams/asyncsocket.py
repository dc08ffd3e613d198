"""One WebSocket of an awaited stream, over `websockets` (the extra `async`), which is loaded when one is opened.

Pings are ours: the library's own would close the connection of a consumer that is slow, since it reads no answer then.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from plexus._version import __version__
from plexus.adapters.transport.addresses import is_loopback
from plexus.adapters.transport.faults import explain, status_hint
from plexus.adapters.transport.tls import trust
from plexus.api.livesocket import FAREWELL_S, MAX_MESSAGE_BYTES, PING_EVERY_S
from plexus.api.streams.within import within
from plexus.domain.errors import ConfigurationError, TransportClosed, TransportError

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

BROKEN = 1006
LEAST_WAIT_S = 0.001
MAX_QUEUE = 4
"""Messages that the library reads ahead: what a slow consumer has not taken is the gateway's to keep."""


class AsyncSocket:
    """A WebSocket to `url` (ws or wss). `timeout` in seconds bounds connecting, not waiting for data."""

    def __init__(self, url: str, timeout: float, *, ping_every_s: float = PING_EVERY_S) -> None:
        self._url = url
        self._host = urlsplit(url).netloc
        self._timeout = timeout
        self._ping_every_s = ping_every_s
        self._connection: ClientConnection | None = None
        self._heard_at = 0.0
        self._waiting = False
        self._silent = False
        self._timer: asyncio.TimerHandle | None = None
        self._ping: asyncio.Future[None] | None = None

    async def open(self, hello: str) -> None:
        """Connect and say `hello` as the first message; raises TransportError, ConfigurationError without the extra."""
        try:
            from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
        except ImportError as exc:
            raise ConfigurationError(
                "AsyncPlexusAPI needs websockets for its live streams: pip install 'plexus-python[async]'"
            ) from exc
        try:
            self._connection = await asyncio.wait_for(self._connect(), self._timeout)
            await self._connection.send(hello)
            self._heard_at = asyncio.get_running_loop().time()
            self._watch(self._ping_every_s)
        except InvalidStatus as exc:
            status = exc.response.status_code
            raise TransportError(f"{self._host} answered {status} to the upgrade: {status_hint(status)}") from exc
        except InvalidHandshake as exc:
            raise TransportError(f"{self._host} does not speak WebSocket: {exc}; check the address") from exc
        except (asyncio.TimeoutError, TimeoutError) as exc:
            raise TransportError(explain(TimeoutError(), self._host, self._timeout)) from exc
        except (OSError, WebSocketException, EOFError) as exc:
            raise TransportError(explain(exc, self._host, self._timeout)) from exc

    async def receive(self, timeout: float | None) -> str | bytes | None:
        """The next message; None when none came within `timeout` seconds (None: wait for it).

        Raises TransportClosed with the close code when the server closed, TransportError for any other end.
        """
        self._waiting = True
        try:
            return await self._received(timeout)
        finally:
            self._waiting = False

    async def close(self) -> None:
        """Say goodbye and let go. Never raises."""
        connection, self._connection = self._connection, None
        if self._timer is not None:
            self._timer.cancel()
        if self._ping is not None:
            self._ping.cancel()
        if connection is None:
            return
        # What does not hear the goodbye is not waited for, and what is wrong with it matters no more: it is cut next.
        with contextlib.suppress(Exception):
            await asyncio.wait_for(connection.close(), FAREWELL_S)
        connection.transport.abort()

    async def _connect(self) -> ClientConnection:
        from websockets.asyncio.client import connect

        class Connect(connect):
            # A redirect is not followed, so that no key goes astray.
            def process_redirect(self, exc: Exception) -> Exception | str:
                return exc

        scheme, host = urlsplit(self._url).scheme, urlsplit(self._url).hostname or ""
        return await Connect(
            self._url,
            ssl=trust() if scheme == "wss" else None,
            # This machine is never reached through a proxy: at the proxy, "localhost" is another machine.
            proxy=None if is_loopback(host) else True,
            compression=None,
            user_agent_header=f"plexus-python/{__version__}",
            max_size=MAX_MESSAGE_BYTES,
            max_queue=MAX_QUEUE,
            open_timeout=None,
            ping_interval=None,
            close_timeout=FAREWELL_S,
        )

    async def _received(self, timeout: float | None) -> str | bytes | None:
        from websockets.exceptions import ConnectionClosed

        if self._connection is None:
            raise TransportError(f"the stream from {self._host} was closed on this side")
        try:
            if timeout is None:
                message = await self._connection.recv()
            else:
                # Without any time at all nothing would be looked at, not even what is there.
                message = await within(self._connection.recv(), max(timeout, LEAST_WAIT_S))
        except (asyncio.TimeoutError, TimeoutError):
            return None
        except ConnectionClosed as exc:
            raise self._end(exc) from exc
        self._heard_at = asyncio.get_running_loop().time()
        return message

    def _end(self, exc: Any) -> TransportError:
        """What the library's end of a connection means."""
        if self._silent:
            return TransportError(f"nothing was heard from {self._host} for {2 * self._ping_every_s:g} s")
        closing = exc.rcvd
        if closing is None or closing.code == BROKEN:
            return TransportError(explain(ConnectionResetError(), self._host, self._timeout))
        words = f": {closing.reason}" if closing.reason else ""
        return TransportClosed(f"{self._host} closed the stream ({closing.code}{words})", code=closing.code)

    # --- whether the server is still there ------------------------------------------------------------------

    def _watch(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """A server that says nothing is asked; one that was asked and still says nothing is gone."""
        quiet = asyncio.get_running_loop().time() - self._heard_at
        if not self._waiting or quiet < self._ping_every_s:
            # Who does not read hears no answer either; that says nothing about the server.
            self._watch(max(self._ping_every_s - quiet, self._ping_every_s / 4))
        elif self._ping is None:
            self._ping = asyncio.ensure_future(self._asked())
            self._watch(self._ping_every_s)
        elif self._connection is not None:
            self._silent = True
            self._connection.transport.abort()

    async def _asked(self) -> None:
        # It fails with the connection, which whoever receives is told anyway.
        with contextlib.suppress(Exception):
            assert self._connection is not None
            await (await self._connection.ping())
            self._heard_at = asyncio.get_running_loop().time()
            self._ping = None

"""A whole gateway in memory: devices, store and readers in one process, without a socket, a file or an account.

    with MemoryHouse() as house:
        with house.device("drone-01") as px:
            px.send("battery.voltage", 12.4)
            px.flush_buffer()
        assert house.reader().metrics.latest("drone-01") == {"battery.voltage": 12.4}

Everything between the two is the real thing: the device's uplink, both protocol sessions, the gateway's gate, commits
and routes. Only the wires are memory. Needs the extra `gateway`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import MutableMapping
from concurrent.futures import Future
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import httpx

from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.transport.memory import MemoryPeer, MemoryTransport
from plexus.api.asynchronous import AsyncPlexusAPI
from plexus.api.sync import PlexusAPI
from plexus.client import Plexus
from plexus.gateway import assembly
from plexus.gateway.asgi import ASGIApp
from plexus.gateway.core import Core
from plexus.ports.store import Store
from plexus.protocol.messages import Message

KEY = "plx_memory-house-key-that-opens-nothing-else"
URL = "http://127.0.0.1"
MAX_BUFFERED = 100_000
LOOK_S = 0.02


class MemoryHouse:
    """A gateway in memory for the length of a `with`. `store` takes the place of the memory store; its owner closes it.

    `key` has every scope. All devices and readers that are made here are closed with it, but for awaited ones.
    """

    def __init__(self, store: Store | None = None) -> None:
        self.key = KEY
        self._store = store
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="plexus-memory-house", daemon=True)
        self._closing = threading.Event()
        self._pumps: list[threading.Thread] = []
        self._guests: list[Plexus | PlexusAPI] = []
        self._core, self._app = self._build()

    def __enter__(self) -> MemoryHouse:
        self._thread.start()
        self._loop.call_soon_threadsafe(self._core.committer.start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for guest in self._guests:
            guest.close()
        self._closing.set()
        for pump in self._pumps:
            pump.join()
        asyncio.run_coroutine_threadsafe(self._wind_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- who comes in ---------------------------------------------------------------------------------------

    def transport(self) -> MemoryTransport:
        """A link of one device to this gateway; `transport.peer.break_()` cuts it."""
        transport = MemoryTransport("socket")
        pump = threading.Thread(target=self._pump, args=(transport.peer,), name="plexus-memory-link", daemon=True)
        self._pumps.append(pump)
        pump.start()
        return transport

    def device(self, source_id: str, **arguments: Any) -> Plexus:
        """A device that keeps its backlog in memory, unless `arguments` of Plexus say otherwise."""
        defaults = {"transport": self.transport(), "buffer": MemoryBuffer(MAX_BUFFERED)}
        px = Plexus(self.key, source_id=source_id, **{**defaults, **arguments})
        self._guests.append(px)
        return px

    def reader(self, key: str | None = None) -> PlexusAPI:
        """A reader of this gateway. Live streams need a socket and so a `Gateway`."""
        api = PlexusAPI(key or self.key, URL, transport=_InProcess(self._app, self._loop))
        self._guests.append(api)
        return api

    def async_reader(self, key: str | None = None) -> AsyncPlexusAPI:
        """The same to be awaited, in whatever loop it is used first; close it there, by `async with` or `close`."""
        return AsyncPlexusAPI(key or self.key, URL, transport=_AcrossLoops(self._app, self._loop))

    # --- inside ---------------------------------------------------------------------------------------------

    def _build(self) -> tuple[Core, ASGIApp]:
        stack = self._stack = ExitStack()
        ports = assembly.open_ports(None, stack, store=self._store)
        assembly.first_key(ports.keyring, ports.audit, self.key)
        core = assembly.build_core(ports)
        return core, assembly.build_app(core)

    async def _wind_up(self) -> None:
        await self._core.committer.stop()
        self._stack.close()
        await self._loop.shutdown_default_executor()

    def _pump(self, peer: MemoryPeer) -> None:
        """Carry one device's messages into the gateway, link after link."""
        seen, link = 0, None
        while not self._closing.is_set():
            # Once a link has ended, `receive` answers at once: the next one is waited for instead.
            message = None
            if link is not None or peer.opened != seen:
                message = peer.receive(LOOK_S)
            else:
                self._closing.wait(LOOK_S)
            if peer.opened != seen:
                _leave(link)
                seen, link = peer.opened, _Link(peer, self._app, self._loop)
            if link is not None and message is not None:
                link.feed(message)
            elif link is not None and not peer.connected:
                _leave(link)
                link = None
        _leave(link)


class _Link:
    """One WebSocket of the ASGI app, its other end a memory peer."""

    def __init__(self, peer: MemoryPeer, app: ASGIApp, loop: asyncio.AbstractEventLoop) -> None:
        self._peer = peer
        self._loop = loop
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": "/ws/device", "headers": [], "query_string": b"", "state": {}}
        self._done: Future[None] = asyncio.run_coroutine_threadsafe(self._run(app, scope), loop)

    def feed(self, message: Message) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        self._loop.call_soon_threadsafe(self._inbox.put_nowait, {"type": "websocket.receive", kind: message})

    def leave(self) -> None:
        self._loop.call_soon_threadsafe(self._inbox.put_nowait, {"type": "websocket.disconnect", "code": 1006})
        self._done.result()

    async def _run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        await app(scope, self._inbox.get, self._send)

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "websocket.send":
            text = message.get("text")
            self._peer.send(message["bytes"] if text is None else text)
        elif message["type"] == "websocket.close":
            self._peer.close(message.get("code", 1000), message.get("reason") or "")


def _leave(link: _Link | None) -> None:
    if link is not None:
        link.leave()


class _InProcess(httpx.BaseTransport):
    """Requests of a blocking client, answered by an ASGI app on a loop in another thread."""

    def __init__(self, app: ASGIApp, loop: asyncio.AbstractEventLoop) -> None:
        self._asgi = httpx.ASGITransport(app)
        self._loop = loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return asyncio.run_coroutine_threadsafe(_asked(self._asgi, request), self._loop).result()


class _AcrossLoops(httpx.AsyncBaseTransport):
    """Requests of an awaited client, answered by an ASGI app on a loop in another thread."""

    def __init__(self, app: ASGIApp, loop: asyncio.AbstractEventLoop) -> None:
        self._asgi = httpx.ASGITransport(app)
        self._loop = loop

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        asked = asyncio.run_coroutine_threadsafe(_asked(self._asgi, request), self._loop)
        return await asyncio.wrap_future(asked)


async def _asked(asgi: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
    """The answer to a request whose body was read, whole: its stream belongs to this loop."""
    answer = await asgi.handle_async_request(
        httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
    )
    return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

"""A live stream's reader without a network: the gateway's socket on a wire that takes frames when the test lets it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import attrs

from plexus.adapters.bus.memory import MemoryBus
from plexus.gateway.asgi import Message, Scope
from plexus.gateway.core import Core
from plexus.gateway.streams import StreamHandler
from plexus.gateway.streams.channels import Channels
from plexus.gateway.streams.writing import PREPARED_FRAMES
from plexus.ports.store import Store, Submission
from plexus.protocol import live
from plexus.protocol.columns import Columns
from tests.support.gateway import KEY, core_of

METRICS = "/v1/sources/rig-01/metrics/stream"
EVENTS = "/v1/sources/rig-01/events/stream"


class House:
    """A gateway's inside over one store, committed to by hand; `restart` gives it another life over the same store."""

    def __init__(self, store: Store, *, keep_bytes: int = 1 << 20, queue_bytes: int = 1 << 20) -> None:
        self.store = store
        self._keep_bytes = keep_bytes
        self._queue_bytes = queue_bytes
        self.core = self._made()

    def _made(self) -> Core:
        core = core_of()
        limits = attrs.evolve(core.limits, stream_queue_bytes=self._queue_bytes)
        bus = MemoryBus()
        channels = Channels(
            self.store, bus, keep_bytes=self._keep_bytes, keep_s=60.0, alert=core.metadata.alert, meters=core.meters
        )
        return attrs.evolve(core, store=self.store, bus=bus, channels=channels, limits=limits)

    def commit(self, *values: Any, source_id: str = "rig-01", is_event: bool = False, org: str = "default") -> None:
        """Store points of one source and publish them, as the committer does."""
        columns = Columns()
        for value in values:
            columns.add(source_id, "m", 1_500_000, is_event=is_event, value=value)
        (receipt,) = self.store.commit([Submission(org, source_id, columns, 1)])
        self.core.bus.publish(receipt.seq, [(org, columns)])

    async def restart(self) -> None:
        """End and begin again."""
        await self.core.channels.close()
        self.core = self._made()

    def connect(self, query: str = "", path: str = METRICS, *, prepared: bool = True, **auth: Any) -> Connection:
        """A reader that is let in."""
        return Connection(self.core, path, query, prepared=prepared, **auth)


class Connection:
    """One reader; what it took is in `frames`. While `open` is not set it takes nothing."""

    def __init__(self, core: Core, path: str, query: str, *, prepared: bool, **auth: Any) -> None:
        self.frames: list[dict[str, Any]] = []
        self.closed: int | None = None
        self.open = asyncio.Event()
        self.open.set()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})
        self._inbox.put_nowait({"type": "websocket.receive", "text": live.auth_message(KEY, **auth)})
        scope: Scope = {"type": "websocket", "path": path, "query_string": query.encode()}
        if prepared:
            scope["extensions"] = {PREPARED_FRAMES: self}
        handler = StreamHandler(core).route(path)
        assert handler is not None
        self._task: asyncio.Task[None] = asyncio.get_running_loop().create_task(
            handler(scope, self._inbox.get, self._send)  # type: ignore[arg-type]  # it is a coroutine
        )

    async def _send(self, message: Message) -> None:
        if message["type"] == "websocket.close":
            self.closed = message["code"]
        elif message["type"] == "websocket.send":
            await self.open.wait()
            self.frames.append(json.loads(message["text"]))

    def write_prepared(self, frame: bytes) -> bool:
        """As our server's."""
        if self.open.is_set():
            self.frames.append(json.loads(frame[_head_length(frame) :]))
        return self.open.is_set()

    async def room(self) -> None:
        """As our server's."""
        await self.open.wait()

    @property
    def cursor(self) -> str:
        """The last place that it was told, "" when it was told none."""
        return next((frame["cursor"] for frame in reversed(self.frames) if "cursor" in frame), "")

    @property
    def values(self) -> list[Any]:
        """Values of the points and events that it took."""
        return [
            item["value"]
            for frame in self.frames
            for item in (frame.get("points", ()) if frame["type"] == "telemetry" else [frame])
            if "value" in item
        ]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The frames of a type."""
        return [frame for frame in self.frames if frame["type"] == kind]

    async def leave(self) -> None:
        """Go away; what it has not taken is lost with it."""
        self._inbox.put_nowait({"type": "websocket.disconnect"})
        await self._task

    async def end(self) -> None:
        """Wait for the gateway's close."""
        await asyncio.wait_for(self._task, 10.0)


async def quiet(turns: int = 30) -> None:
    """Let everything happen that happens without time."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition: Any, timeout: float = 10.0) -> None:
    """Wait for what also needs a thread."""
    end = asyncio.get_running_loop().time() + timeout
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not come"
        await asyncio.sleep(0.001)


def _head_length(frame: bytes) -> int:
    return {126: 4, 127: 10}.get(frame[1], 2)

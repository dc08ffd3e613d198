"""The awaited stream that `AsyncPlexusAPI` gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from plexus.api.streams.plans import Plan, one_source
from plexus.api.streams.shelf import Item
from plexus.api.streams.tasks import AsyncHub, AsyncPause
from plexus.domain.live import StreamNotice

if TYPE_CHECKING:
    from plexus.api.asynclink import AsyncLink

T = TypeVar("T")


class AsyncStream(Generic[T]):
    """A live stream: an async context manager that iterates, and connects again when the network fails.

        async with api.metrics.stream("drone-01", ["battery.voltage"]) as stream:
            async for point in stream:
                print(point.timestamp_ms, point.value)

    It costs a task and a socket a source, and no thread. The first connection fails at once, so that a wrong address is
    seen. A later loss is mended with growing pauses for as long as the stream is open, and what was stored meanwhile is
    delivered before what comes next. One task iterates; `on_notice` is told, in it, how the connection is doing. Needs
    the extra `async`; ConfigurationError without it.
    """

    def __init__(
        self,
        link: AsyncLink,
        plan: Plan[T],
        on_notice: Callable[[StreamNotice], None] | None = None,
        *,
        pause: AsyncPause | None = None,
    ) -> None:
        self._plan = plan
        self._on_notice = on_notice
        self._hub: AsyncHub[T] = AsyncHub(link, plan, pause)

    @property
    def reconnects(self) -> int:
        """How many times a connection was lost and made again."""
        return self._hub.reconnects

    @property
    def missed(self) -> int:
        """How many items were dropped since this reader was slow: here (`when_full="drop_oldest"`) or by the server."""
        return self._hub.shelf.missed

    def latest(self, source_id: str | None = None) -> dict[str, T]:
        """The newest item of each name (metric, event, camera) that has come in, taken or not.

        `source_id` may be left out when the stream follows one source; else QueryError.
        """
        return self._hub.shelf.newest(one_source(self._plan, source_id))

    async def __aenter__(self) -> AsyncStream[T]:
        try:
            await self._hub.begin()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        found = await self._next(None)
        if found is None:
            raise StopAsyncIteration
        return found.what

    async def receive(self, timeout: float | None = None) -> T | None:
        """The next item; None when none came within `timeout` seconds, or when the stream is over.

        Raises AuthenticationError or ApiError when the server refuses the stream, TransportError when the first
        connection cannot be made, ProtocolError for one frame that breaks the contract (the next call goes on after
        it). Losses are mended inside. A first call without an `async with` connects, and may take the client's timeout
        for it.
        """
        found = await self._next(timeout)
        return None if found is None else found.what

    async def close(self) -> None:
        """End the stream; a task that iterates stops. Never raises; closing twice is fine."""
        await self._hub.close()

    async def _next(self, timeout: float | None) -> Item[T] | None:
        hub, loop = self._hub, asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while True:
            # Most items are there already, in a frame with others: no turn of the loop for each.
            entry = hub.ready()
            if entry is None:
                await hub.begin()
                entry = await hub.take(None if end is None else max(end - loop.time(), 0.0))
            if entry is None or isinstance(entry, Item):
                return entry
            if isinstance(entry, Exception):
                raise entry
            if self._on_notice is not None:
                self._on_notice(entry)

"""The blocking stream that `PlexusAPI` gives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from plexus.api.streams.plans import Plan, one_source
from plexus.api.streams.shelf import Item
from plexus.api.streams.threads import Hub, Pause
from plexus.domain.live import StreamNotice

if TYPE_CHECKING:
    from plexus.api.link import Link

T = TypeVar("T")


class Stream(Generic[T]):
    """A live stream: a context manager that iterates, and connects again when the network fails.

        with api.metrics.stream("drone-01", ["battery.voltage"]) as stream:
            for point in stream:
                print(point.timestamp_ms, point.value)

    The first connection fails at once, so that a wrong address is seen. A later loss is mended with growing pauses for
    as long as the stream is open, and what was stored meanwhile is delivered before what comes next. One thread
    iterates; `close` may be called by any. `on_notice` is told, on the iterating thread, how the connection is doing.
    """

    def __init__(
        self,
        link: Link,
        plan: Plan[T],
        on_notice: Callable[[StreamNotice], None] | None = None,
        *,
        pause: Pause = threading.Event.wait,
    ) -> None:
        self._plan = plan
        self._on_notice = on_notice
        self._hub: Hub[T] = Hub(link, plan, pause)

    @property
    def reconnects(self) -> int:
        """How many times a connection was lost and made again."""
        return self._hub.reconnects

    @property
    def missed(self) -> int:
        """How many items were dropped since this reader was slow: here (`when_full="drop_oldest"`) or by the server."""
        return self._hub.missed

    def latest(self, source_id: str | None = None) -> dict[str, T]:
        """The newest item of each name (metric, event, camera) that has come in, taken or not.

        `source_id` may be left out when the stream follows one source; else QueryError.
        """
        return self._hub.newest(one_source(self._plan, source_id))

    def __enter__(self) -> Stream[T]:
        try:
            self._hub.begin()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        found = self._next(None)
        if found is None:
            raise StopIteration
        return found.what

    def receive(self, timeout: float | None = None) -> T | None:
        """The next item; None when none came within `timeout` seconds, or when the stream is over.

        Raises AuthenticationError or ApiError when the server refuses the stream, TransportError when the first
        connection cannot be made, ProtocolError for one frame that breaks the contract (the next call goes on after
        it). Losses are mended inside. A first call without a `with` connects, and may take the client's timeout for it.
        """
        found = self._next(timeout)
        return None if found is None else found.what

    def close(self) -> None:
        """End the stream; a thread that iterates stops. Never raises; closing twice is fine."""
        self._hub.close()

    def _next(self, timeout: float | None) -> Item[T] | None:
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            entry = self._hub.ready()
            if entry is None:
                self._hub.begin()
                entry = self._hub.take(None if end is None else max(end - time.monotonic(), 0.0))
            if entry is None or isinstance(entry, Item):
                return entry
            if isinstance(entry, Exception):
                raise entry
            if self._on_notice is not None:
                self._on_notice(entry)

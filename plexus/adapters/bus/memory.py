"""The bus of one process: a bounded queue for each listener, on the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from plexus.ports.bus import Published
from plexus.protocol.columns import Columns

MAX_POINTS = 50_000


class MemoryBus:
    """Hands points to the listeners of their source. `max_points` is what waits for one listener at most.

    All listeners of a source are handed the same object: what one makes of it can serve the others.
    """

    def __init__(self, max_points: int = MAX_POINTS) -> None:
        self._max_points = max_points
        self._listeners: dict[tuple[str, str], list[MemorySubscription]] = {}
        self._head = 0

    @property
    def head(self) -> int:
        """The number of the commit that was published last."""
        return self._head

    def publish(self, seq: int, stored: Sequence[tuple[str, Columns]]) -> None:
        """Hand the points of commit `seq` to whoever listens to their sources."""
        self._head = seq
        if not self._listeners:
            return
        wanted: dict[tuple[str, str], list[Columns]] = {}
        for org, columns in stored:
            for source_id in columns.sources():
                if (org, source_id) in self._listeners:
                    wanted.setdefault((org, source_id), []).append(columns.of_source(source_id))
        for name, parts in wanted.items():
            published = Published(seq, parts[0] if len(parts) == 1 else _joined(parts))
            for listener in self._listeners[name]:
                listener.put(published)

    def subscribe(self, org: str, source_id: str) -> MemorySubscription:
        """Start to listen to one source."""
        subscription = MemorySubscription(self, (org, source_id), self._max_points)
        self._listeners.setdefault((org, source_id), []).append(subscription)
        return subscription

    def forget(self, name: tuple[str, str], subscription: MemorySubscription) -> None:
        """Stop handing points to `subscription`; what its `close` does."""
        left = [listener for listener in self._listeners.get(name, ()) if listener is not subscription]
        if left:
            self._listeners[name] = left
        else:
            self._listeners.pop(name, None)


class MemorySubscription:
    """One listener's queue; the newest points win, and `missed` counts those that had to go."""

    def __init__(self, bus: MemoryBus, name: tuple[str, str], max_points: int) -> None:
        self._bus = bus
        self._name = name
        self._max_points = max_points
        self._queue: deque[Published] = deque()
        self._points = 0
        self._missed = 0
        self._filled = asyncio.Event()

    @property
    def missed(self) -> int:
        """Points that were dropped because this listener was slow."""
        return self._missed

    @property
    def waiting(self) -> int:
        """Points that wait for `get`."""
        return self._points

    def put(self, published: Published) -> None:
        """Queue points; the oldest go when there are too many. The newest commit stays, however large it is."""
        self._queue.append(published)
        self._points += len(published.columns)
        while self._points > self._max_points and len(self._queue) > 1:
            dropped = len(self._queue.popleft().columns)
            self._points -= dropped
            self._missed += dropped
        self._filled.set()

    async def get(self) -> Published:
        """What was committed next of the source."""
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        published = self._queue.popleft()
        self._points -= len(published.columns)
        return published

    def close(self) -> None:
        """No more; what waited is let go."""
        self._bus.forget(self._name, self)
        self._queue.clear()
        self._points = 0


def _joined(parts: Sequence[Columns]) -> Columns:
    joined = Columns()
    for part in parts:
        joined.extend(part)
    return joined

"""The bus of one process: a bounded queue for each reader, on the event loop."""

from __future__ import annotations

import asyncio
from collections import deque

from plexus.protocol.columns import Columns

MAX_POINTS = 50_000


class MemoryBus:
    """Hands columns to the readers of their source. `max_points` is what waits for one reader at most.

    All readers of a source are handed the same object: what one makes of it can serve the others.
    """

    def __init__(self, max_points: int = MAX_POINTS) -> None:
        self._max_points = max_points
        self._readers: dict[tuple[str, str], list[MemorySubscription]] = {}

    def publish(self, org: str, columns: Columns) -> None:
        """Hand committed points to whoever reads their sources."""
        if not self._readers:
            return
        for source_id in dict.fromkeys(columns.source_id):
            readers = self._readers.get((org, source_id))
            if readers:
                own = _of_source(columns, source_id)
                for reader in readers:
                    reader.put(own)

    def subscribe(self, org: str, source_id: str) -> MemorySubscription:
        """Start to listen to one source."""
        subscription = MemorySubscription(self, (org, source_id), self._max_points)
        self._readers.setdefault((org, source_id), []).append(subscription)
        return subscription

    def forget(self, name: tuple[str, str], subscription: MemorySubscription) -> None:
        """Stop handing points to `subscription`; what its `close` does."""
        left = [reader for reader in self._readers.get(name, ()) if reader is not subscription]
        if left:
            self._readers[name] = left
        else:
            self._readers.pop(name, None)


class MemorySubscription:
    """One reader's queue; the newest points win, and `missed` counts those that had to go."""

    def __init__(self, bus: MemoryBus, name: tuple[str, str], max_points: int) -> None:
        self._bus = bus
        self._name = name
        self._max_points = max_points
        self._queue: deque[Columns] = deque()
        self._points = 0
        self._missed = 0
        self._filled = asyncio.Event()

    @property
    def missed(self) -> int:
        """Points that were dropped because this reader was slow."""
        return self._missed

    def put(self, columns: Columns) -> None:
        """Queue points; the oldest go when there are too many. The newest message stays, however large it is."""
        self._queue.append(columns)
        self._points += len(columns)
        while self._points > self._max_points and len(self._queue) > 1:
            dropped = len(self._queue.popleft())
            self._points -= dropped
            self._missed += dropped
        self._filled.set()

    async def get(self) -> Columns:
        """The next committed points of the source."""
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        columns = self._queue.popleft()
        self._points -= len(columns)
        return columns

    def close(self) -> None:
        """No more; what waited is let go."""
        self._bus.forget(self._name, self)
        self._queue.clear()
        self._points = 0


def _of_source(columns: Columns, source_id: str) -> Columns:
    if columns.source_id.count(source_id) == len(columns):
        return columns
    rows = [row for row, name in enumerate(columns.source_id) if name == source_id]
    return Columns(
        source_id=[source_id] * len(rows),
        metric=[columns.metric[row] for row in rows],
        t_ns=[columns.t_ns[row] for row in rows],
        is_event=[columns.is_event[row] for row in rows],
        value=[columns.value[row] for row in rows],
        tags=[columns.tags[row] for row in rows],
        run_id=[columns.run_id[row] for row in rows],
    )

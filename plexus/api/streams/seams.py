"""Where what is stored and what comes live are joined: nothing twice, nothing missed.

While a stream follows a source it remembers what it last delivered (`Recent`). When it has to ask the history, the
same item may come both ways, in either order; a `Seam` lets it through once. Items are told apart by name, time and
value: twins that are equal in all three are counted, not merged.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from plexus.api.streams.kinds import Kind

T = TypeVar("T")

LATE_MS = 10_000.0
"""Items of one source come in about the order of time: one that is older than the newest by more is not waited for."""

FUTURE_MS = 60_000.0
"""A time further ahead than this is a wrong clock's, and says nothing of where the stream is."""

MAX_RECENT = 20_000
MAX_KEYS = 200_000
FIRST_SPAN_MS = 3_600_000.0
MICROSECOND_MS = 0.001
SHORTEST_SPAN_MS = 2 * MICROSECOND_MS
FEW_ROWS = 2_500


class Recent(Generic[T]):
    """What was delivered last of a source, as far back as the history may have to be asked again."""

    def __init__(self, kind: Kind[T]) -> None:
        self._time = kind.time_ms
        self._batches: deque[tuple[float, Sequence[T]]] = deque()
        self._count = 0
        self._newest: float | None = None
        self._oldest = float("inf")
        self._forgotten = float("-inf")

    def add(self, items: Sequence[T], now_ms: float) -> None:
        """These were delivered; `now_ms` is the reader's clock."""
        times = [time for time in map(self._time, items) if time <= now_ms + FUTURE_MS]
        if not times:
            return
        newest = max(times)
        self._newest = newest if self._newest is None else max(self._newest, newest)
        self._oldest = min(self._oldest, min(times))
        self._batches.append((newest, items))
        self._count += len(items)
        self._prune()

    @property
    def floor_ms(self) -> float | None:
        """Everything that was stored before this is taken as seen; None while nothing was delivered."""
        if self._newest is None:
            return None
        return max(self._newest - LATE_MS, self._oldest, self._forgotten)

    def items(self) -> list[T]:
        """What is remembered."""
        return [item for _newest, items in self._batches for item in items]

    def _prune(self) -> None:
        assert self._newest is not None
        batches, old = self._batches, self._newest - LATE_MS
        while len(batches) > 1 and (batches[0][0] < old or self._count > MAX_RECENT):
            newest, items = batches.popleft()
            self._count -= len(items)
            if newest >= old:
                # Dropped for room: it cannot be told from what comes again, so it is not asked for again.
                self._forgotten = max(self._forgotten, newest + MICROSECOND_MS)


class Seam(Generic[T]):
    """Lets each item through once while history and live overlap; `seen` was delivered before."""

    def __init__(self, kind: Kind[T], seen: Sequence[T] = ()) -> None:
        self._key = kind.key
        self._delivered: Counter[Hashable] = Counter(map(kind.key, seen))
        self._from_history: Counter[Hashable] = Counter()

    def stored(self, items: Sequence[T]) -> list[T]:
        """Of a page of the history, what was not delivered yet. The page is all that is stored in its window."""
        seen: Counter[Hashable] = Counter()
        fresh = []
        for item in items:
            key = self._key(item)
            seen[key] += 1
            if seen[key] > self._delivered[key]:
                self._delivered[key] += 1
                self._from_history[key] += 1
                fresh.append(item)
        self._bound()
        return fresh

    def live(self, items: Sequence[T]) -> list[T]:
        """Of a frame, what did not come from the history already."""
        fresh = []
        for item in items:
            key = self._key(item)
            if self._from_history[key] > 0:
                self._from_history[key] -= 1
            else:
                self._delivered[key] += 1
                fresh.append(item)
        self._bound()
        return fresh

    def _bound(self) -> None:
        # A counter is in the order of insertion: the oldest keys go.
        for counter in (self._delivered, self._from_history):
            while len(counter) > MAX_KEYS:
                del counter[next(iter(counter))]


class Pager:
    """Which windows to ask the history for, one after the other, so that no answer is cut off: narrower after one that
    was, wider after one with few rows. From `start_ms` to `end_ms` (not included), milliseconds since 1970 UTC."""

    def __init__(self, start_ms: float, end_ms: float) -> None:
        self._at = round(start_ms, 3)
        self._end = round(end_ms, 3)
        self._span = min(FIRST_SPAN_MS, max(self._end - self._at, SHORTEST_SPAN_MS))

    @property
    def window(self) -> tuple[float, float] | None:
        """The next one, None at the end."""
        if self._at >= self._end:
            return None
        return self._at, min(round(self._at + self._span, 3), self._end)

    def narrow(self) -> bool:
        """The answer was cut off: ask for less. False when less cannot be asked for."""
        shortest = self._span <= SHORTEST_SPAN_MS
        self._span = max(self._span / 4.0, SHORTEST_SPAN_MS)
        return not shortest

    def advance(self, rows: int) -> None:
        """The window's answer, of so many rows, was taken."""
        assert self.window is not None
        self._at = self.window[1]
        if rows < FEW_ROWS:
            self._span *= 2.0

"""What came and was not taken yet: a bounded queue, the newest item of each name, and the count of what was dropped.

Not safe between threads: its shell sees to that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, Union

import attrs

from plexus.domain.errors import ProtocolError
from plexus.domain.live import StreamNotice

T = TypeVar("T")


@attrs.frozen(eq=False)
class Item(Generic[T]):
    """Something that was delivered."""

    what: T


Entry = Union[Item[T], StreamNotice, ProtocolError]
"""What is taken out, in the order in which it came."""


class Shelf(Generic[T]):
    """At most `limit` items. When it is full, with `drop_oldest` the oldest go; without it, room is waited for.

    `source`, `name` and `time_ms` are of one item.
    """

    def __init__(
        self,
        limit: int,
        *,
        drop_oldest: bool,
        source: Callable[[T], str],
        name: Callable[[T], str],
        time_ms: Callable[[T], float],
    ) -> None:
        self.missed = 0
        self._limit = limit
        self._drop_oldest = drop_oldest
        self._source, self._name, self._time = source, name, time_ms
        self._items: deque[T] = deque()
        self._first = 0
        """The number of the oldest item that is there; items are numbered as they come."""
        self._words: deque[tuple[int, StreamNotice | ProtocolError]] = deque()
        """What is said between the items, each before the item of its number."""
        self._newest: dict[str, dict[str, T]] = {}

    @property
    def half_empty(self) -> bool:
        """Whether who waits for room may go on: not for each item that is taken, which would be one turn an item."""
        return 2 * len(self._items) <= self._limit

    @property
    def empty(self) -> bool:
        """Whether nothing is to be taken."""
        return not self._items and not self._words

    def offer(self, items: Sequence[T], *, keep: bool) -> Sequence[T]:
        """Put these in; returns those that have to wait for room. With `keep` none of them pushes another out."""
        if keep or not self._drop_oldest:
            room = max(self._limit - len(self._items), 0)
            items, rest = (items, ()) if len(items) <= room else (items[:room], items[room:])
        else:
            rest = ()
        self._items.extend(items)
        self._note(items)
        while len(self._items) > self._limit:
            self._items.popleft()
            self._first += 1
            self.missed += 1
        return rest

    def say(self, word: StreamNotice | ProtocolError) -> None:
        """Put in a word after what is there."""
        if isinstance(word, StreamNotice) and word.state == "missed":
            self.missed += word.count
        self._words.append((self._first + len(self._items), word))

    def take(self) -> Entry[T]:
        """The oldest entry; there must be one."""
        if self._words and self._words[0][0] <= self._first:
            return self._words.popleft()[1]
        self._first += 1
        return Item(self._items.popleft())

    def newest(self, source_id: str) -> dict[str, T]:
        """The newest item of each name that came from a source, by its time."""
        return dict(self._newest.get(source_id, {}))

    def _note(self, items: Sequence[T]) -> None:
        for item in items:
            names = self._newest.setdefault(self._source(item), {})
            name = self._name(item)
            known = names.get(name)
            if known is None or self._time(item) >= self._time(known):
                names[name] = item

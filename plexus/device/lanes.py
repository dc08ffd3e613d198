"""The two ways to the gateway: fresh batches in memory, and the backlog in the buffer.

Invariants:
- a batch is in the live lane until it is settled, or moved to the buffer whole;
- what the backlog has in flight is always the oldest part of the buffer, so the next one is found by skipping it;
- batches of the live lane that are in the buffer too (250 ms without an acknowledgement) are not the backlog's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import attrs

from plexus.ports.buffer import Buffer
from plexus.protocol.batch import Batch

Key = tuple[str, int]


def key_of(batch: Batch) -> Key:
    """The name of a batch as a dictionary key."""
    return (batch.stream, batch.n)


@attrs.define
class _Entry:
    batch: Batch
    born: float
    spooled: bool = False
    sent: bool = False


class LiveLane:
    """Fresh batches, in order. `born` is when the oldest reading in a batch was taken, monotonic seconds."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self.points = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def stream(self) -> str | None:
        """The stream whose batches are here, None while there are none."""
        return next(iter(self._entries))[0] if self._entries else None

    def add(self, batch: Batch, born: float) -> None:
        """One more fresh batch."""
        self._entries[key_of(batch)] = _Entry(batch, born)
        self.points += batch.count

    def next(self) -> Batch | None:
        """The oldest batch that is not on its way."""
        return next((entry.batch for entry in self._entries.values() if not entry.sent), None)

    def base(self) -> int:
        """The lowest `n` that is not settled."""
        return next(iter(self._entries))[1]

    def sent(self, batch: Batch) -> None:
        """It is on its way."""
        self._entries[key_of(batch)].sent = True

    def settle(self, batch: Batch) -> bool | None:
        """Forget a batch that is delivered or given up; whether it was spooled, None if it is not here."""
        entry = self._entries.pop(key_of(batch), None)
        if entry is None:
            return None
        self.points -= batch.count
        return entry.spooled

    def unsend(self, batch: Batch) -> bool:
        """It is to be sent again; False if it is not here."""
        entry = self._entries.get(key_of(batch))
        if entry is not None:
            entry.sent = False
        return entry is not None

    def to_spool(self, born_before: float) -> list[Batch]:
        """Batches that are not spooled and whose oldest reading is older than that; they count as spooled from now."""
        due = [entry for entry in self._entries.values() if not entry.spooled and entry.born <= born_before]
        for entry in due:
            entry.spooled = True
        return [entry.batch for entry in due]

    def next_spool_time(self) -> float | None:
        """When the oldest batch that is not spooled was born."""
        return next((entry.born for entry in self._entries.values() if not entry.spooled), None)

    def clear(self) -> None:
        """Forget all: the caller has put them into the buffer."""
        self._entries.clear()
        self.points = 0


class Backlog:
    """The buffer's batches on their way, oldest first."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._flight: OrderedDict[Key, Batch] = OrderedDict()

    def __len__(self) -> int:
        """How many batches are on their way."""
        return len(self._flight)

    def next(self, live_stream: str | None) -> Batch | None:
        """The oldest batch that is not on its way and not the live lane's."""
        if self._buffer.points == 0:
            return None
        found = self._buffer.oldest(len(self._flight), 1)
        return found[0] if found and found[0].stream != live_stream else None

    def base(self, batch: Batch) -> int:
        """The lowest `n` of the batch's stream that is not settled: what is in flight is in order."""
        return next((n for stream, n in self._flight if stream == batch.stream), batch.n)

    def sent(self, batch: Batch) -> None:
        """It is on its way."""
        self._flight[key_of(batch)] = batch

    def settle(self, batch: Batch) -> None:
        """Delivered or given up: it leaves the buffer."""
        self._flight.pop(key_of(batch), None)
        self._buffer.release([batch])

    def unsend(self, batches: Iterable[Batch]) -> None:
        """These, and all that was sent after them, are to be sent again: what is in flight stays the oldest part."""
        keys = {key_of(batch) for batch in batches}
        first = next((index for index, key in enumerate(self._flight) if key in keys), None)
        if first is not None:
            for key in list(self._flight)[first:]:
                del self._flight[key]

"""The live lane: fresh batches in memory, until they are acknowledged or moved to the backlog.

Invariants:
- a batch is here or in the backlog, from its sealing until it is settled; it moves to the backlog only, and then it is
  there before it is gone from here;
- within a stream batches are sent in order: the lane holds no batch of a stream of which the backlog has one that is
  not on its way, since the sealer goes on under a new stream whenever such a batch is moved.
"""

from __future__ import annotations

from collections import OrderedDict

import attrs

from plexus.protocol.batch import Batch

Key = tuple[str, int]


def key_of(batch: Batch) -> Key:
    """The name of a batch as a dictionary key."""
    return (batch.stream, batch.n)


@attrs.frozen
class _Fresh:
    batch: Batch
    born: float
    number: int


class LiveLane:
    """Fresh batches of one stream, in order, in memory only.

    `born` is when the oldest reading of a batch was taken, monotonic seconds. Those on their way are the oldest.
    """

    def __init__(self) -> None:
        self._sent: OrderedDict[Key, _Fresh] = OrderedDict()
        self._waiting: OrderedDict[Key, _Fresh] = OrderedDict()
        self.points = 0
        self.sealed = 0
        """How many batches there have been."""

    def __contains__(self, key: Key) -> bool:
        """Whether a batch of this name is here."""
        return key in self._sent or key in self._waiting

    def add(self, batch: Batch, born: float) -> None:
        """One more fresh batch."""
        self.sealed += 1
        self._waiting[key_of(batch)] = _Fresh(batch, born, self.sealed)
        self.points += batch.count

    def next(self) -> Batch | None:
        """The oldest batch that is not on its way."""
        return next((item.batch for item in self._waiting.values()), None)

    def sent(self, batch: Batch) -> None:
        """It is on its way; it was `next` just now."""
        key = key_of(batch)
        self._sent[key] = self._waiting.pop(key)

    def put_right(self, old: Batch, new: Batch) -> None:
        """`new` takes the place of `old`, of the same name, which is `next`."""
        key = key_of(old)
        item = self._waiting[key]
        self._waiting[key] = _Fresh(new, item.born, item.number)

    def settle(self, batch: Batch) -> bool:
        """Forget a batch that is delivered or given up; False if it is not here."""
        key = key_of(batch)
        if self._sent.pop(key, None) is None and self._waiting.pop(key, None) is None:
            return False
        self.points -= batch.count
        return True

    def first_n(self, stream: str) -> int | None:
        """The lowest `n` of a stream here."""
        oldest = self._oldest()
        return oldest.batch.n if oldest is not None and oldest.batch.stream == stream else None

    def oldest_born(self) -> float | None:
        """When the oldest reading here was taken."""
        oldest = self._oldest()
        return None if oldest is None else oldest.born

    def oldest_number(self) -> int | None:
        """The number of the oldest batch here, counted from 1 over the life of the lane."""
        oldest = self._oldest()
        return None if oldest is None else oldest.number

    def older_than(self, born: float) -> tuple[list[Batch], set[Key]]:
        """Batches with a reading from `born` or before, and the names of those among them that are on their way.

        All batches, when one of these is not on its way: what follows it in its stream must not overtake it.
        """
        due = [item.batch for item in self._sent.values() if item.born <= born]
        waiting = next(iter(self._waiting.values()), None)
        if waiting is not None and waiting.born <= born:
            return self.all()
        return due, {key_of(batch) for batch in due}

    def all(self) -> tuple[list[Batch], set[Key]]:
        """All batches, and the names of those on their way."""
        return [item.batch for item in (*self._sent.values(), *self._waiting.values())], set(self._sent)

    def _oldest(self) -> _Fresh | None:
        return next((item for lane in (self._sent, self._waiting) for item in lane.values()), None)

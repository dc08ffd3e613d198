"""The buffer port: sealed batches, kept until they are acknowledged, and losses, kept until they are told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from plexus.domain.loss import Loss
from plexus.protocol.batch import Batch

BUFFER_FULL = "buffer_full"
"""A batch made room and was not spared."""
SPOOL_DAMAGED = "spool_damaged"
"""What was kept cannot be read any more."""
SPOOL_FAULT = "spool_fault"
"""The storage failed, and what it had acknowledged before could not all be taken over."""


class Buffer(Protocol):
    """Keeps batches, oldest first, and a record of losses. Used by one thread at a time.

    Contract:
    - what `append` took stays until `release` names it, through a restart where the buffer is durable;
    - a release may be forgotten when the process is killed: the batch is there again, under its name;
    - the order of `oldest` is the order of `append`; every fact of a batch comes back as it went in;
    - a batch is in it once: appending or declaring a name again changes nothing; `rewrite` changes content, never the
      order nor the number of points;
    - never more points than its bound are kept: the oldest batches make room, and `append` returns them in order, the
      new one too when it is larger than the bound alone: nothing leaves unseen;
    - what had to make room is in `losses`, under "buffer_full", from the same instant on and as durably, unless it is
      named in `spared`; a batch of no points, which declares losses, takes no room and makes none;
    - a loss stays until a batch that declares it is kept (`declare`), in one step: told once, never forgotten;
    - the cost of `append` and of `oldest` does not grow with what is kept; counts are kept, not counted;
    - what it cannot give back any more is on the record too, under "spool_damaged" or "spool_fault";
    - a failure of the storage is a BufferFault naming the file, after which what was kept is still kept.
    """

    @property
    def durable(self) -> bool:
        """Whether what is kept survives the end of the process."""
        ...

    @property
    def points(self) -> int:
        """How many points are kept."""
        ...

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        """Keep these, all or none, durable on return where the buffer is; returns what had to make room.

        Those of `spared` are delivered and could not be released: where one makes room, nothing is lost.
        """
        ...

    def oldest(self, skip: int, count: int) -> list[Batch]:
        """Up to `count` batches in order of age, after passing over the `skip` oldest."""
        ...

    def rewrite(self, batches: Iterable[Batch]) -> None:
        """Put these in the place of the batches of the same names, all or none; one that is not there is passed over.

        Durable on return where the buffer is: the next that is sent under this name has this content.
        """
        ...

    def replace(self, old: Iterable[Batch], new: Iterable[Batch]) -> list[Batch]:
        """Keep the new ones, at the young end, and forget the old, in one step; returns what had to make room."""
        ...

    def release(self, batches: Iterable[Batch]) -> None:
        """Forget these, which are delivered or given up; one that is not there is passed over."""
        ...

    def lose(self, losses: Iterable[Loss]) -> None:
        """Record these losses, added to those of the same reason; durable on return where the buffer is."""
        ...

    def found(self, losses: Iterable[Loss]) -> None:
        """Take these off the record, as far as they are on it: what made room had been delivered after all."""
        ...

    def losses(self) -> Sequence[Loss]:
        """What was lost and is in no batch that declares it yet, one for each reason."""
        ...

    def declare(self, batch: Batch) -> list[Batch]:
        """Keep `batch`, and take what its `losses` say off the record, in one step; returns what had to make room."""
        ...

    def close(self) -> None:
        """Let go of files; what is kept stays kept."""
        ...

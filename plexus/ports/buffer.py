"""The buffer port: sealed batches that are not acknowledged yet, kept until they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from plexus.protocol.batch import Batch


class Buffer(Protocol):
    """Keeps batches, oldest first. Used by one thread at a time.

    Contract:
    - what `append` took stays until `release` names it, through a restart where the buffer is durable;
    - a release may be forgotten when the process is killed: the batch is there again, under its name;
    - the order of `oldest` is the order of `append`; name, count and body come back as they went in;
    - a batch is in it once: appending a name again changes nothing;
    - never more points than its bound are kept: the oldest batches make room, and `append` returns them in order, the
      new one too when it is larger than the bound alone: nothing leaves unseen;
    - the cost of `append` and of `oldest` does not grow with what is kept; counts are kept, not counted;
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

    def append(self, batches: Iterable[Batch]) -> list[Batch]:
        """Keep these, all or none, durable on return where the buffer is; returns what had to make room."""
        ...

    def oldest(self, skip: int, count: int) -> list[Batch]:
        """Up to `count` batches in order of age, after passing over the `skip` oldest."""
        ...

    def release(self, batches: Iterable[Batch]) -> None:
        """Forget these, which are delivered or given up; one that is not there is passed over."""
        ...

    def close(self) -> None:
        """Let go of files; what is kept stays kept."""
        ...

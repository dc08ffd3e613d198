"""The dead-letter port: where batches go that a gateway refused for good, for a person to look at."""

from __future__ import annotations

from typing import Protocol

from plexus.domain.point import Point


class DeadLetters(Protocol):
    """Keeps what was refused. Used by one thread at a time.

    Contract:
    - what `keep` took can be read by a person, with the gateway's words for why, until it had to make room;
    - a failure of the storage is a BufferFault naming the file: the caller counts and goes on.
    """

    def keep(self, source_id: str, points: list[Point], reason: str, detail: str) -> None:
        """Keep the points of one refused batch, durable on return where the adapter is."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...

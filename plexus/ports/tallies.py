"""The tallies port: what the gateway counted of each source's deliveries, over its restarts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import attrs

from plexus.domain.source import ClockReport

Place = tuple[str, str]
"""`(org, source_id)`."""


@attrs.frozen
class Tally:
    """What is counted of one source.

    Attributes:
        batches, duplicates, gaps_refused, forks: see `plexus.domain.source.Delivery`.
        seen_ms: when it was last heard of without data (a greeting, a heartbeat), milliseconds since 1970; 0 if never.
        clock: what its device last said of its clock.
    """

    batches: int = 0
    duplicates: int = 0
    gaps_refused: int = 0
    forks: int = 0
    seen_ms: float = 0.0
    clock: ClockReport | None = None


class Tallies(Protocol):
    """Every method may be called from any thread.

    Contract:
    - what a method did is durable when it returns, all of it or nothing;
    - a failure of the storage is a StoreError naming the file.
    """

    def load(self) -> Mapping[Place, Tally]:
        """Everything that is kept."""
        ...

    def save(self, tallies: Mapping[Place, Tally]) -> None:
        """Keep these in place of what was kept of the same sources."""
        ...

    def rename(self, org: str, source_id: str, new: str) -> None:
        """A source has another name now, in place of whatever had it."""
        ...

    def remove(self, org: str, source_id: str) -> None:
        """Let go of what is kept of a source."""
        ...

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy into a folder that is there. What is in memory alone raises StoreError."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...

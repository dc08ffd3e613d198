"""Tallies in memory; nothing survives the process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from plexus.domain.errors import StoreError
from plexus.ports.tallies import Place, Tally


class MemoryTallies:
    """One tally a source."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[Place, Tally] = {}

    def load(self) -> Mapping[Place, Tally]:
        """Everything that is kept."""
        with self._lock:
            return dict(self._tallies)

    def save(self, tallies: Mapping[Place, Tally]) -> None:
        """Keep these."""
        with self._lock:
            self._tallies.update(tallies)

    def rename(self, org: str, source_id: str, new: str) -> None:
        """A source has another name now."""
        with self._lock:
            tally = self._tallies.pop((org, source_id), None)
            self._tallies.pop((org, new), None)
            if tally is not None:
                self._tallies[org, new] = tally

    def remove(self, org: str, source_id: str) -> None:
        """Let go of what is kept of a source."""
        with self._lock:
            self._tallies.pop((org, source_id), None)

    def snapshot(self, folder: Path) -> None:  # noqa: ARG002 - the port's shape
        """There is nothing to copy from."""
        raise StoreError("what is kept in memory has no file to copy")

    def close(self) -> None:
        """There is nothing to let go of."""

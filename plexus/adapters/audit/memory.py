"""An audit trail in memory; nothing survives the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from plexus.domain.errors import StoreError
from plexus.ports.audit import AuditEntry


class MemoryAudit:
    """Keeps everything, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[AuditEntry] = []

    def record(self, entry: AuditEntry) -> None:
        """Keep an entry."""
        with self._lock:
            self._entries.append(entry)

    def entries(
        self,
        org: str,
        *,
        action: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[tuple[int, AuditEntry]]:
        """Entries with their numbers, newest first."""
        with self._lock:
            numbered = list(enumerate((entry for entry in self._entries if entry.org == org), start=1))
        found = (
            (number, entry)
            for number, entry in reversed(numbered)
            if action in (None, entry.action)
            and subject in (None, entry.subject)
            and (before is None or number < before)
        )
        return [item for item, _ in zip(found, range(limit), strict=False)]

    def snapshot(self, folder: Path) -> None:  # noqa: ARG002 - the port's shape
        """There is nothing to copy from."""
        raise StoreError("what is kept in memory has no file to copy")

    def close(self) -> None:
        """There is nothing to let go of."""

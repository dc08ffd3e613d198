"""An audit trail in memory; nothing survives the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence

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
            numbered = list(enumerate(self._entries, start=1))
        found = (
            (number, entry)
            for number, entry in reversed(numbered)
            if entry.org == org
            and action in (None, entry.action)
            and subject in (None, entry.subject)
            and (before is None or number < before)
        )
        return [item for item, _ in zip(found, range(limit), strict=False)]

    def close(self) -> None:
        """There is nothing to let go of."""

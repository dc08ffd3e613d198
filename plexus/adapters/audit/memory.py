"""An audit trail in memory; nothing survives the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from plexus.domain.errors import StoreError
from plexus.ports.audit import UNSET_CLOCK_MS, AuditEntry


class MemoryAudit:
    """Keeps everything, in order, until it is told to forget."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, dict[int, AuditEntry]] = {}

    def record(self, entry: AuditEntry) -> None:
        """Keep an entry."""
        with self._lock:
            own = self._entries.setdefault(entry.org, {})
            own[next(reversed(own), 0) + 1] = entry

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
            numbered = list(self._entries.get(org, {}).items())
        found = (
            (number, entry)
            for number, entry in reversed(numbered)
            if action in (None, entry.action)
            and subject in (None, entry.subject)
            and (before is None or number < before)
        )
        return [item for item, _ in zip(found, range(limit), strict=False)]

    def forget(self, before_ms: float) -> int:
        """Remove what is older, but an organisation's newest entry."""
        with self._lock:
            old = [
                (own, number)
                for own in self._entries.values()
                for number, entry in own.items()
                if UNSET_CLOCK_MS <= entry.at_ms < before_ms and number < next(reversed(own))
            ]
            for own, number in old:
                del own[number]
        return len(old)

    def snapshot(self, folder: Path) -> None:  # noqa: ARG002 - the port's shape
        """There is nothing to copy from."""
        raise StoreError("what is kept in memory has no file to copy")

    def close(self) -> None:
        """There is nothing to let go of."""

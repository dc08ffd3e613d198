"""An audit trail in one SQLite file, which several processes write at once: `plexus keys` while the gateway runs.

Table `entries` holds one row an entry, numbered in its organisation. Rows are added and never touched again, so the
next number is always the highest one and one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plexus.adapters.sqlitefile import SqliteFile
from plexus.ports.audit import AuditEntry
from plexus.protocol import jsontext

SCHEMA = """
CREATE TABLE entries (
    org TEXT NOT NULL,
    number INTEGER NOT NULL,
    at_ms REAL NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (org, number)
) WITHOUT ROWID;
CREATE INDEX entries_by_action ON entries (org, action, number);
CREATE INDEX entries_by_subject ON entries (org, subject, number)
"""
_ADD = """
INSERT INTO entries SELECT ?1, 1 + COALESCE(MAX(number), 0), ?2, ?3, ?4, ?5, ?6 FROM entries WHERE org = ?1
"""


class SqliteAudit:
    """Entries in the file `path`. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, SCHEMA)

    def record(self, entry: AuditEntry) -> None:
        """Keep an entry."""
        detail = jsontext.dumps(dict(entry.detail))
        row = (entry.org, entry.at_ms, entry.actor, entry.action, entry.subject, detail)
        with self._file.transaction() as connection:
            connection.execute(_ADD, row)

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
        wanted = {"org = ?": org, "action = ?": action, "subject = ?": subject, "number < ?": before}
        given = {condition: value for condition, value in wanted.items() if value is not None}
        rows = self._file.read(
            f"SELECT number, at_ms, org, actor, action, subject, detail FROM entries WHERE {' AND '.join(given)} "  # noqa: S608 - conditions of ours
            "ORDER BY number DESC LIMIT ?",
            (*given.values(), limit),
        )
        return [(row[0], _entry(row[1:])) for row in rows]

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy, under the same name."""
        self._file.snapshot(folder)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _entry(row: Sequence[Any]) -> AuditEntry:
    at_ms, org, actor, action, subject, detail = row
    return AuditEntry(at_ms, org, actor, action, subject, jsontext.loads(detail))

"""An audit trail in one SQLite file, which several processes write at once: `plexus keys` while the gateway runs.

Table `entries` holds one row an entry, numbered in its organisation. Rows are never changed, old ones are removed, and
the newest of an organisation stays: the next number is always the highest one and one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plexus.adapters.sqlitefile import SqliteFile
from plexus.ports.audit import UNSET_CLOCK_MS, AuditEntry
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
BY_TIME = "CREATE INDEX entries_by_time ON entries (at_ms)"
"""Format 2."""
_ADD = """
INSERT INTO entries SELECT ?1, 1 + COALESCE(MAX(number), 0), ?2, ?3, ?4, ?5, ?6 FROM entries WHERE org = ?1
"""
_FORGET = """
DELETE FROM entries WHERE (org, number) IN (
    SELECT old.org, old.number FROM entries AS old
    WHERE old.at_ms >= ? AND old.at_ms < ? AND old.number < (SELECT MAX(number) FROM entries WHERE org = old.org)
    LIMIT ?)
"""
FORGOTTEN_AT_ONCE = 1_000
"""Rows that one transaction removes: some milliseconds, for which others who write wait."""


class SqliteAudit:
    """Entries in the file `path`. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, SCHEMA, BY_TIME)

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

    def forget(self, before_ms: float) -> int:
        """Remove some of what is older, but an organisation's newest entry."""
        with self._file.transaction() as connection:
            return connection.execute(_FORGET, (UNSET_CLOCK_MS, before_ms, FORGOTTEN_AT_ONCE)).rowcount

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy, under the same name."""
        self._file.snapshot(folder)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _entry(row: Sequence[Any]) -> AuditEntry:
    at_ms, org, actor, action, subject, detail = row
    return AuditEntry(at_ms, org, actor, action, subject, jsontext.loads(detail))

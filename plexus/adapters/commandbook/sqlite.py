"""A commandbook in one SQLite file.

Table `commands` holds one row an entry: what is asked for in columns, the rest of it as JSON in `body`. `lasts` holds
the highest number that an organisation has given out, so that none is given twice when the newest entry is removed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plexus.adapters.commandbook.body import COLUMNS, pack, unpack
from plexus.adapters.sqlitefile import SqliteFile
from plexus.ports.commandbook import KEPT, CommandEntry, State

SCHEMA = """
CREATE TABLE commands (
    org TEXT NOT NULL,
    number INTEGER NOT NULL,
    source_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    state TEXT NOT NULL,
    asked_ms REAL NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (org, number)
);
CREATE UNIQUE INDEX commands_by_run ON commands (org, run_id, source_id);
CREATE INDEX commands_by_source ON commands (org, source_id, number);
CREATE INDEX commands_by_age ON commands (asked_ms);
CREATE INDEX commands_queued ON commands (org, number) WHERE state = 'queued';
CREATE TABLE lasts (
    org TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) WITHOUT ROWID
"""
_SELECT = f"SELECT {', '.join(COLUMNS)}, body, number FROM commands "  # noqa: S608 - names of ours
_OF_RUN = "WHERE org = ? AND run_id = ? AND source_id = ?"
_REPLACE = "UPDATE commands SET state = ?, asked_ms = ?, body = ? WHERE org = ? AND run_id = ? AND source_id = ?"
_NEXT = "INSERT INTO lasts VALUES (?, 1) ON CONFLICT (org) DO UPDATE SET number = number + 1 RETURNING number"


class SqliteCommandbook:
    """Commands in the file `path`, `kept` of them an organisation. Raises StoreError."""

    def __init__(self, path: Path, *, kept: int = KEPT) -> None:
        self._file = SqliteFile(path, SCHEMA)
        self._kept = kept

    def put(self, entry: CommandEntry) -> None:
        """Keep an entry."""
        body = pack(entry)
        place = (entry.org, entry.run_id, entry.source_id)
        with self._file.transaction() as connection:
            changed = connection.execute(
                _REPLACE,
                (entry.state, entry.asked_ms, body, *place),
            )
            if not changed.rowcount:
                self._insert(connection, entry, body)

    def _insert(self, connection: sqlite3.Connection, entry: CommandEntry, body: str) -> None:
        (number,) = connection.execute(_NEXT, (entry.org,)).fetchone()
        connection.execute(
            "INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?, ?)",
            (entry.org, number, entry.source_id, entry.run_id, entry.state, entry.asked_ms, body),
        )
        connection.execute("DELETE FROM commands WHERE org = ? AND number <= ?", (entry.org, number - self._kept))

    def find(self, org: str, run_id: str, source_id: str | None = None) -> CommandEntry | None:
        """The entry with this run id."""
        if source_id is None:
            rows = self._file.read(_SELECT + "WHERE org = ? AND run_id = ? ORDER BY number LIMIT 1", (org, run_id))
        else:
            rows = self._file.read(_SELECT + _OF_RUN, (org, run_id, source_id))
        return _entry(rows[0]) if rows else None

    def entries(
        self, org: str, source_id: str, *, state: State | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[tuple[int, CommandEntry]]:
        """Entries of a source with their numbers, newest first."""
        rows = self._file.read(
            _SELECT + "WHERE org = ? AND source_id = ? AND (? IS NULL OR state = ?) AND (? IS NULL OR number < ?) "
            "ORDER BY number DESC LIMIT ?",
            (org, source_id, state, state, before, before, limit),
        )
        return [(row[-1], _entry(row)) for row in rows]

    def queued(self) -> Sequence[CommandEntry]:
        """Every organisation's entries that are queued."""
        rows = self._file.read(_SELECT + "WHERE state = 'queued' ORDER BY org, number")
        return [_entry(row) for row in rows]

    def forget(self, before_ms: float) -> int:
        """Let go of entries that were asked for before then."""
        with self._file.transaction() as connection:
            return connection.execute("DELETE FROM commands WHERE asked_ms < ?", (before_ms,)).rowcount

    def rename(self, org: str, source_id: str, new: str) -> None:
        """A source has another name now."""
        with self._file.transaction() as connection:
            connection.execute(
                "UPDATE commands SET source_id = ? WHERE org = ? AND source_id = ?", (new, org, source_id)
            )

    def remove(self, org: str, source_id: str) -> int:
        """Let go of a source's entries."""
        with self._file.transaction() as connection:
            return connection.execute("DELETE FROM commands WHERE org = ? AND source_id = ?", (org, source_id)).rowcount

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy, under the same name."""
        self._file.snapshot(folder)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _entry(row: Sequence[Any]) -> CommandEntry:
    *columns, body, _number = row
    return unpack(columns, body)

"""Tallies in one SQLite file: table `tallies`, one row a source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from plexus.adapters.sqlitefile import SqliteFile
from plexus.domain.source import ClockReport
from plexus.ports.tallies import Place, Tally

SCHEMA = """
CREATE TABLE tallies (
    org TEXT NOT NULL,
    source_id TEXT NOT NULL,
    batches INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    gaps_refused INTEGER NOT NULL,
    forks INTEGER NOT NULL,
    seen_ms REAL NOT NULL,
    offset_ms REAL,
    error_ms REAL,
    told_ms REAL,
    PRIMARY KEY (org, source_id)
) WITHOUT ROWID
"""
_REMOVE = "DELETE FROM tallies WHERE org = ? AND source_id = ?"


class SqliteTallies:
    """One tally a source in the file `path`. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, SCHEMA)

    def load(self) -> Mapping[Place, Tally]:
        """Everything that is kept."""
        rows = self._file.read("SELECT * FROM tallies")
        return {(row[0], row[1]): _tally(*row[2:]) for row in rows}

    def save(self, tallies: Mapping[Place, Tally]) -> None:
        """Keep these."""
        rows = [(*place, *_columns(tally)) for place, tally in tallies.items()]
        with self._file.transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO tallies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def rename(self, org: str, source_id: str, new: str) -> None:
        """A source has another name now."""
        with self._file.transaction() as connection:
            connection.execute(_REMOVE, (org, new))
            connection.execute(
                "UPDATE tallies SET source_id = ? WHERE org = ? AND source_id = ?", (new, org, source_id)
            )

    def remove(self, org: str, source_id: str) -> None:
        """Let go of what is kept of a source."""
        with self._file.transaction() as connection:
            connection.execute(_REMOVE, (org, source_id))

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy, under the same name."""
        self._file.snapshot(folder)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _tally(
    batches: int,
    duplicates: int,
    gaps_refused: int,
    forks: int,
    seen_ms: float,
    offset_ms: float | None,
    error_ms: float | None,
    told_ms: float | None,
) -> Tally:
    told = None
    if offset_ms is not None and error_ms is not None and told_ms is not None:
        told = ClockReport(offset_ms, error_ms, told_ms)
    return Tally(batches, duplicates, gaps_refused, forks, seen_ms, told)


def _columns(tally: Tally) -> tuple[float | None, ...]:
    clock = tally.clock
    told = (None, None, None) if clock is None else (clock.offset_ms, clock.error_ms, clock.told_ms)
    return (tally.batches, tally.duplicates, tally.gaps_refused, tally.forks, tally.seen_ms, *told)

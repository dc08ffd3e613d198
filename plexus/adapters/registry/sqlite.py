"""A registry in one SQLite file.

Table `names` holds every known name once an organisation, with the install that holds it ("" for none) and the metadata
that it was registered with (NULL while it was only claimed); `claims` holds which name an install was given for the
name that it declared; `runs` holds what was announced; `metrics` what is known of metrics; `moves` the sources that are
being renamed or deleted. A device that comes back is answered without a write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from plexus.adapters.registry.naming import name_for, taken_error
from plexus.adapters.sqlitefile import SqliteFile
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.run import Criterion, Run, RunStatus
from plexus.ports.registry import Move, Place
from plexus.protocol import jsontext

_VERSION_1 = """
CREATE TABLE names (
    org TEXT NOT NULL,
    source_id TEXT NOT NULL,
    install_id TEXT NOT NULL,
    metadata TEXT,
    PRIMARY KEY (org, source_id)
) WITHOUT ROWID;
CREATE TABLE claims (
    org TEXT NOT NULL,
    declared TEXT NOT NULL,
    install_id TEXT NOT NULL,
    source_id TEXT NOT NULL,
    PRIMARY KEY (org, declared, install_id)
) WITHOUT ROWID;
CREATE TABLE runs (
    org TEXT NOT NULL,
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    source_id TEXT,
    status TEXT NOT NULL,
    started_ms REAL NOT NULL,
    ended_ms REAL,
    tags TEXT NOT NULL,
    metadata TEXT NOT NULL,
    pass_criteria TEXT NOT NULL,
    PRIMARY KEY (org, run_id)
) WITHOUT ROWID;
CREATE INDEX runs_by_start ON runs (org, started_ms DESC, run_id)
"""
_VERSION_2 = """
CREATE TABLE metrics (
    org TEXT NOT NULL,
    source_id TEXT NOT NULL,
    name TEXT NOT NULL,
    unit TEXT,
    description TEXT,
    low REAL,
    high REAL,
    PRIMARY KEY (org, source_id, name)
) WITHOUT ROWID;
CREATE TABLE moves (
    number INTEGER PRIMARY KEY,
    org TEXT NOT NULL,
    source_id TEXT NOT NULL,
    new TEXT,
    UNIQUE (org, source_id)
)
"""
_RENAMED = ("names", "claims", "runs", "metrics")
_KNOWN = "SELECT 1 FROM names WHERE org = ? AND source_id = ?"
_HOLDER = "SELECT source_id, install_id FROM names WHERE org = ? AND source_id = ?"
_HOLDERS = "SELECT source_id, install_id FROM names WHERE org = ?"
_CLAIM = "SELECT source_id FROM claims WHERE org = ? AND declared = ? AND install_id = ?"
_NAME = "INSERT INTO names (org, source_id, install_id, metadata) VALUES (?, ?, ?, ?) ON CONFLICT (org, source_id) "
_RUN = "SELECT run_id, name, source_id, status, started_ms, ended_ms, tags, metadata, pass_criteria FROM runs "


class SqliteRegistry:
    """Names and runs in the file `path`. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _VERSION_1, _VERSION_2)

    def claim(self, org: str, declared: str, install_id: str) -> str:
        """The name that a device has."""
        if not install_id:
            self._know(org, declared)
            return declared
        given = self.given(org, declared, install_id)
        if given is not None:
            return given
        with self._file.transaction() as connection:
            return _claim(connection, org, declared, install_id)

    def foreseen(self, org: str, declared: str, install_id: str) -> str:
        """The name that `claim` would answer now."""
        given = self.given(org, declared, install_id) if install_id else declared
        return given or _name_for(self._file.read, org, declared, install_id)

    def prove(self, org: str, source_id: str, install_id: str) -> None:
        """An install has shown that the name is its own."""
        if not install_id:
            self._know(org, source_id)
        elif self.given(org, source_id, install_id) != source_id:
            with self._file.transaction() as connection:
                _hold(connection, org, source_id, source_id, install_id)

    def register(self, org: str, source_id: str, metadata: str) -> bool:
        """Register a source by name; False if it is registered already."""
        with self._file.transaction() as connection:
            changed = connection.execute(
                _NAME + "DO UPDATE SET metadata = excluded.metadata WHERE names.metadata IS NULL",
                (org, source_id, "", metadata),
            )
            return bool(changed.rowcount)

    def registered(self, org: str) -> list[str]:
        """Names that were claimed or registered, sorted."""
        rows = self._file.read("SELECT source_id FROM names WHERE org = ? ORDER BY source_id", (org,))
        return [row[0] for row in rows]

    def given(self, org: str, declared: str, install_id: str) -> str | None:
        """The name that an install was given for this one already."""
        rows = self._file.read(_CLAIM, (org, declared, install_id))
        return str(rows[0][0]) if rows else None

    def begin_move(self, move: Move) -> None:
        """Rename a source, or let go of it, with all that is kept here of it."""
        place = (move.org, move.source_id)
        with self._file.transaction() as connection:
            moving = connection.execute("SELECT 1 FROM moves WHERE org = ? AND source_id = ?", place).fetchone()
            if moving or connection.execute(_KNOWN, (move.org, move.new)).fetchone():
                raise taken_error(move)
            connection.execute("INSERT INTO moves (org, source_id, new) VALUES (?, ?, ?)", (*place, move.new))
            for table in _RENAMED:
                if move.new is None:
                    connection.execute(f"DELETE FROM {table} WHERE org = ? AND source_id = ?", place)  # noqa: S608 - a constant
                else:
                    change = f"UPDATE {table} SET source_id = ? WHERE org = ? AND source_id = ?"  # noqa: S608 - a constant
                    connection.execute(change, (move.new, *place))
            if move.new is not None:
                connection.execute(_NAME + "DO NOTHING", (move.org, move.new, "", None))

    def moves(self) -> Sequence[Move]:
        """Moves that have begun and not ended."""
        return [Move(*row) for row in self._file.read("SELECT org, source_id, new FROM moves ORDER BY number")]

    def end_move(self, move: Move) -> None:
        """Everything has followed."""
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM moves WHERE org = ? AND source_id = ?", (move.org, move.source_id))

    def put_metric(self, org: str, source_id: str, info: MetricInfo) -> None:
        """Keep what is known of a metric."""
        row = (org, source_id, *attrs.astuple(info))
        with self._file.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def remove_metric(self, org: str, source_id: str, name: str) -> bool:
        """Let go of it."""
        with self._file.transaction() as connection:
            gone = connection.execute(
                "DELETE FROM metrics WHERE org = ? AND source_id = ? AND name = ?", (org, source_id, name)
            )
            return bool(gone.rowcount)

    def metric_infos(self) -> Mapping[Place, Sequence[MetricInfo]]:
        """What is known of every source's metrics, by name."""
        found: dict[Place, list[MetricInfo]] = {}
        for org, source_id, *info in self._file.read("SELECT * FROM metrics ORDER BY org, source_id, name"):
            found.setdefault((org, source_id), []).append(MetricInfo(*info))
        return found

    def put_run(self, org: str, run: Run) -> None:
        """Keep a run, replacing one with the same id."""
        texts = (
            jsontext.dumps(dict(run.tags)),
            jsontext.dumps(dict(run.metadata)),
            jsontext.dumps([attrs.astuple(criterion) for criterion in run.pass_criteria]),
        )
        row = (org, run.run_id, run.name, run.source_id, run.status, run.started_ms, run.ended_ms, *texts)
        with self._file.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def run(self, org: str, run_id: str) -> Run | None:
        """One run."""
        rows = self._file.read(_RUN + "WHERE org = ? AND run_id = ?", (org, run_id))
        return _run(rows[0]) if rows else None

    def runs(self, org: str, source_id: str | None, status: RunStatus | None) -> list[Run]:
        """Runs, newest start first, equal starts by id."""
        rows = self._file.read(
            _RUN + "WHERE org = ? AND (? IS NULL OR source_id = ?) AND (? IS NULL OR status = ?) "
            "ORDER BY started_ms DESC, run_id",
            (org, source_id, source_id, status, status),
        )
        return [_run(row) for row in rows]

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy into a folder that is there."""
        self._file.snapshot(folder)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _know(self, org: str, source_id: str) -> None:
        if not self._file.read(_KNOWN, (org, source_id)):
            with self._file.transaction() as connection:
                connection.execute(_NAME + "DO NOTHING", (org, source_id, "", None))


def _claim(connection: sqlite3.Connection, org: str, declared: str, install_id: str) -> str:
    given = connection.execute(_CLAIM, (org, declared, install_id)).fetchone()
    if given is not None:
        # Another thread of the gateway was first with the same device.
        return str(given[0])

    def read(sql: str, parameters: Sequence[Any]) -> list[Any]:
        return connection.execute(sql, parameters).fetchall()

    name = _name_for(read, org, declared, install_id)
    _hold(connection, org, name, declared, install_id)
    return name


def _name_for(read: Callable[[str, Sequence[Any]], Sequence[Any]], org: str, declared: str, install_id: str) -> str:
    name = name_for(declared, install_id, dict(read(_HOLDER, (org, declared))))
    if name == declared:
        return name
    # Only a name that somebody else holds needs all that there are: a fleet that is new comes by thousands.
    return name_for(declared, install_id, dict(read(_HOLDERS, (org,))))


def _hold(connection: sqlite3.Connection, org: str, name: str, declared: str, install_id: str) -> None:
    """The install has this name for what it declared."""
    connection.execute(
        _NAME + "DO UPDATE SET install_id = excluded.install_id",
        (org, name, install_id, None),
    )
    connection.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?)", (org, declared, install_id, name))


def _run(row: Sequence[Any]) -> Run:
    run_id, name, source_id, status, started_ms, ended_ms, tags, metadata, criteria = row
    return Run(
        run_id=run_id,
        name=name,
        source_id=source_id,
        status=status,
        started_ms=started_ms,
        ended_ms=ended_ms,
        tags=jsontext.loads(tags),
        metadata=jsontext.loads(metadata),
        pass_criteria=tuple(Criterion(*fields) for fields in jsontext.loads(criteria)),
    )

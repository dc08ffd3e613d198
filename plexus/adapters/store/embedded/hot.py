"""The hot tables: the newest points in DuckDB's memory, where questions are answered.

A segment holds the points of some rows of the journal, those after the last segment's, in two tables of its own,
`points_<n>` and `events_<n>`, with the columns of `arrow`. Within a table `rowid` is the order of commit, and of two
segments the one with the lower number was committed first. A segment is dropped whole once its points are in files.

There are tables from the first question on, and DuckDB itself too: it takes 30 MB. What nobody asks for goes into files
without it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

import duckdb
import pyarrow as pa

from plexus.adapters.store.embedded.arrow import Extras, Numbers, Rows, Tables
from plexus.domain.errors import StoreError

ROW_GROUP = 122_880
"""Points that DuckDB keeps together: that many at once go in at 60 ns a point, and a single one at 1 ms."""

_COLUMNS = {
    "points": "series INTEGER, t_ns BIGINT, kind UTINYINT, num DOUBLE, packed BLOB, extra INTEGER",
    "events": "series INTEGER, t_ns BIGINT, packed BLOB, extra INTEGER",
}


class HotTables:
    """The segments. One thread at a time fills and drops them; `ask` and `cut` are for any. Raises StoreError."""

    def __init__(self) -> None:
        self._numbers = Numbers()
        self._making = threading.Lock()
        self._made: duckdb.DuckDBPyConnection | None = None
        self._closed = False

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The database, which is made when it is asked for first."""
        with self._making, _faults():
            if self._closed:
                raise StoreError("the store is closed")
            if self._made is None:
                made = duckdb.connect(":memory:", config=_config())
                # Something to touch: a transaction sees the tables as they were when it touched the first one.
                made.execute("CREATE TABLE beginning (nothing INTEGER)")
                self._made = made
            return self._made

    def open(self, number: int) -> Segment:
        """A new, empty segment; `number` is larger than those of the segments before."""
        return Segment(self, number, self.extras())

    def drop(self, segment: Segment) -> None:
        """Let go of a segment's points; a cut that was made before still has them."""
        if segment.exists:
            with _faults():
                self.connection.execute(
                    f"BEGIN; DROP TABLE points_{segment.number:d}; DROP TABLE events_{segment.number:d}; COMMIT"
                )

    def extras(self) -> Extras:
        """Extras for rows that never become a segment."""
        return Extras(self._numbers)

    @contextlib.contextmanager
    def cut(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor that sees every segment as it is at this moment, whatever becomes of it meanwhile."""
        with _faults():
            cursor = self.connection.cursor()
            try:
                cursor.begin()
                cursor.execute("SELECT count(*) FROM beginning").fetchall()
                yield cursor
            finally:
                cursor.close()

    def ask(self, sql: str, parameters: Union[Sequence[Any], Mapping[str, Any], None] = None) -> list[tuple[Any, ...]]:
        """The rows of one query, on one consistent cut."""
        with _faults(), self.connection.cursor() as cursor:
            return cursor.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Let go of the memory; a question that is under way keeps it until it has its answer."""
        with self._making, contextlib.suppress(duckdb.Error):
            self._closed = True
            if self._made is not None:
                self._made.close()


class Segment:
    """One stretch of the journal's points; used by one thread at a time."""

    def __init__(self, hot: HotTables, number: int, extras: Extras) -> None:
        self._hot = hot
        self.number = number
        self.exists = False
        """Whether there are tables."""
        self.rows = Rows(extras)
        """What is not in the tables yet."""

    @property
    def extras(self) -> Extras:
        """What `extra` means in its tables."""
        return self.rows.extras

    def feed(self) -> None:
        """Put the rows into the tables, which are there then, all or nothing; when that fails they stay."""
        if self.exists and not self.rows.count:
            return
        connection = self._hot.connection
        with _faults():
            connection.begin()
            try:
                if not self.exists:
                    self._create(connection)
                self._insert(connection, "points", self.rows.points)
                self._insert(connection, "events", self.rows.events)
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
        self.exists = True
        self.rows.clear()

    def tables(self, cursor: duckdb.DuckDBPyConnection) -> Tables:
        """All points that are in the tables, in the order of commit, over a cut of them; by any thread."""
        return Tables(self._table("points", cursor), self._table("events", cursor), self.extras.pairs)

    def _create(self, connection: duckdb.DuckDBPyConnection) -> None:
        for kind, columns in _COLUMNS.items():
            connection.execute(f"CREATE TABLE {kind}_{self.number:d} ({columns})")

    def _insert(self, connection: duckdb.DuckDBPyConnection, kind: str, batches: Sequence[pa.RecordBatch]) -> None:
        if not batches:
            return
        connection.register("block", pa.Table.from_batches(batches).combine_chunks())
        try:
            connection.execute(f"INSERT INTO {kind}_{self.number:d} SELECT * FROM block")  # noqa: S608 - ours
        finally:
            connection.unregister("block")

    def _table(self, kind: str, cursor: duckdb.DuckDBPyConnection) -> pa.Table:
        with _faults():
            found: pa.Table = cursor.sql(
                f"SELECT * FROM {kind}_{self.number:d} ORDER BY rowid"  # noqa: S608 - ours
            ).to_arrow_table()
        return found


def _config() -> dict[str, Any]:
    return {
        # The other half is for what comes in.
        "threads": max(1, (os.cpu_count() or 1) // 2),
        # Nothing is read, written or fetched beside the memory: no question can reach a file.
        "enable_external_access": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": "",
        "preserve_insertion_order": True,
    }


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as exc:
        raise StoreError(f"the newest points cannot be asked: {exc}") from exc

"""The hot tables: the newest points in DuckDB's memory, where questions are answered.

A segment holds the points of some rows of the journal, those after the last segment's, in two tables of its own,
`points_<n>` and `events_<n>`, with the columns of `arrow`. Within a table `rowid` is the order of commit, and of two
segments the one with the lower number was committed first. A segment is dropped whole once its points are in files.
"""

from __future__ import annotations

import contextlib
import os
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
    """The segments. One thread at a time opens, fills, drops them; `ask` and `cut` are for any. Raises StoreError."""

    def __init__(self) -> None:
        self._numbers = Numbers()
        with _faults():
            self._connection = duckdb.connect(":memory:", config=_config())
            # Something to touch: a transaction sees the tables as they were when it touched the first one.
            self._connection.execute("CREATE TABLE beginning (nothing INTEGER)")

    def open(self, number: int) -> Segment:
        """A new, empty segment; `number` is larger than those of the segments before."""
        with _faults():
            for kind, columns in _COLUMNS.items():
                self._connection.execute(f"CREATE TABLE {kind}_{number:d} ({columns})")
        return Segment(self._connection, number, self.extras())

    def drop(self, segment: Segment) -> None:
        """Let go of a segment's points; a cut that was made before still has them."""
        with _faults():
            self._connection.execute(
                f"BEGIN; DROP TABLE points_{segment.number:d}; DROP TABLE events_{segment.number:d}; COMMIT"
            )

    def extras(self) -> Extras:
        """Extras for rows that never become a segment."""
        return Extras(self._numbers)

    @contextlib.contextmanager
    def cut(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor that sees every segment as it is at this moment, whatever becomes of it meanwhile."""
        with _faults():
            cursor = self._connection.cursor()
            try:
                cursor.begin()
                cursor.execute("SELECT count(*) FROM beginning").fetchall()
                yield cursor
            finally:
                cursor.close()

    def ask(self, sql: str, parameters: Union[Sequence[Any], Mapping[str, Any], None] = None) -> list[tuple[Any, ...]]:
        """The rows of one query, on one consistent cut."""
        with _faults(), self._connection.cursor() as cursor:
            return cursor.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Let go of the memory; a question that is under way keeps it until it has its answer."""
        with contextlib.suppress(duckdb.Error):
            self._connection.close()


class Segment:
    """One stretch of the journal's points; used by one thread at a time."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, number: int, extras: Extras) -> None:
        self._connection = connection
        self.number = number
        self.rows = Rows(extras)
        """What is not in the tables yet."""

    @property
    def extras(self) -> Extras:
        """What `extra` means in its tables."""
        return self.rows.extras

    def feed(self) -> None:
        """Put the rows into the tables, all or nothing; when that fails they stay."""
        if not self.rows.count:
            return
        with _faults():
            self._connection.begin()
            try:
                self._insert("points", self.rows.points)
                self._insert("events", self.rows.events)
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise
        self.rows.clear()

    def tables(self, cursor: duckdb.DuckDBPyConnection) -> Tables:
        """All points that are in the tables, in the order of commit, over a cut of them; by any thread."""
        return Tables(self._table("points", cursor), self._table("events", cursor), self.extras.pairs)

    def _insert(self, kind: str, batches: Sequence[pa.RecordBatch]) -> None:
        if not batches:
            return
        self._connection.register("block", pa.Table.from_batches(batches).combine_chunks())
        try:
            self._connection.execute(f"INSERT INTO {kind}_{self.number:d} SELECT * FROM block")  # noqa: S608 - ours
        finally:
            self._connection.unregister("block")

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

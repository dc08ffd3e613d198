"""The hot table: the newest points in DuckDB's memory, where questions are answered.

Tables: `points` (series, t_ns, kind, num, packed; see `values`) and `events` (series, t_ns, packed, tags as msgpack).
Rows lie in the order of commit, so `rowid` is what orders equal times.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Union

import attrs
import duckdb
import pyarrow as pa

from plexus.adapters.store.embedded.catalogue import Part
from plexus.adapters.store.embedded.values import pack, split
from plexus.domain.errors import StoreError

ROW_GROUP = 122_880
"""Points that DuckDB keeps together: that many at once go in at 60 ns a point, and a single one at 1 ms."""

_SCHEMA = (
    "CREATE TABLE points (series INTEGER, t_ns BIGINT, kind UTINYINT, num DOUBLE, packed BLOB)",
    "CREATE TABLE events (series INTEGER, t_ns BIGINT, packed BLOB, tags BLOB)",
)


@attrs.define
class Rows:
    """Rows on their way into the tables, as Arrow record batches: made while the points are in the cache."""

    points: list[Any] = attrs.field(factory=list)
    events: list[Any] = attrs.field(factory=list)
    count: int = 0

    def add(self, points: Part, events: Part) -> None:
        """Put these behind the others."""
        if points.series:
            self.points.append(_points_batch(points))
        if events.series:
            self.events.append(_events_batch(events))
        self.count += len(points.series) + len(events.series)


class HotTable:
    """`insert` by one thread at a time; `ask` by any. Raises StoreError."""

    def __init__(self) -> None:
        with _faults():
            self._connection = duckdb.connect(":memory:", config=_config())
            for statement in _SCHEMA:
                self._connection.execute(statement)

    def insert(self, rows: Rows) -> None:
        """Put rows into the tables, all or nothing."""
        with _faults():
            self._connection.begin()
            try:
                self._insert("points", rows.points)
                self._insert("events", rows.events)
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise

    def ask(self, sql: str, parameters: Union[Sequence[Any], Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """The rows of one query, on one consistent cut."""
        with _faults(), self._connection.cursor() as cursor:
            return cursor.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Let go of the memory."""
        self._connection.close()

    def _insert(self, table: str, batches: Sequence[Any]) -> None:
        if not batches:
            return
        self._connection.register("block", pa.Table.from_batches(batches).combine_chunks())
        try:
            self._connection.execute(f"INSERT INTO {table} SELECT * FROM block")  # noqa: S608 - one of two names
        finally:
            self._connection.unregister("block")


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


def _points_batch(part: Part) -> Any:
    kinds, nums, packed = split(part.value)
    columns = {
        "series": _numbers("i", part.series),
        "t_ns": _numbers("q", part.t_ns),
        "kind": _array(pa.uint8(), len(kinds), kinds),
        "num": _numbers("d", nums),
        "packed": _blobs(packed, len(kinds)),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _events_batch(part: Part) -> Any:
    columns = {
        "series": _numbers("i", part.series),
        "t_ns": _numbers("q", part.t_ns),
        "packed": _blobs(list(map(pack, part.value)), len(part.series)),
        "tags": _blobs([pack(tags) if tags else b"" for tags in part.tags], len(part.series)),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


# `pa.array` takes lists too, at twice the time, and imports pandas for it where there is one.
_TYPES = {"i": pa.int32(), "q": pa.int64(), "d": pa.float64()}


def _numbers(code: str, column: Sequence[Any]) -> Any:
    return _array(_TYPES[code], len(column), struct.pack(f"={len(column)}{code}", *column))


def _blobs(column: list[bytes] | None, count: int) -> Any:
    """A column of bytes; None for one of nothing but empty ones."""
    if column is None:
        return _array(pa.binary(), count, bytes(4 * (count + 1)), b"")
    ends = struct.pack(f"={count + 1}i", 0, *accumulate(map(len, column)))
    return _array(pa.binary(), count, ends, b"".join(column))


def _array(kind: Any, count: int, *buffers: bytes) -> Any:
    """An Arrow array without nulls."""
    return pa.Array.from_buffers(kind, count, [None, *map(pa.py_buffer, buffers)])


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as exc:
        raise StoreError(f"the newest points cannot be asked: {exc}") from exc

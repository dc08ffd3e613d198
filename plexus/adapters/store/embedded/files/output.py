"""A Parquet file on its way to the disk: under a temporary name until it is whole and flushed, then under its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plexus.adapters.privatefile import flush_directory, make_directory
from plexus.adapters.store.embedded.files import layout
from plexus.adapters.store.embedded.files.bridge import numbers
from plexus.adapters.store.embedded.files.index import GROUP, KEY, Index, pack
from plexus.adapters.store.embedded.files.rows import run_starts
from plexus.adapters.store.embedded.files.sealedfile import SeriesName
from plexus.domain.errors import StoreError

TEMPORARY = ".part"
"""Suffix of files that are not finished: what is left of one after a kill is worth nothing."""

AT_ONCE = 1024 * 1024
"""Bytes that the disk is given together: a commit that is flushed meanwhile waits for as much, and not for a file."""

_OFTEN_EMPTY = ("json", "tags", "run_id", "last_json")


class Output:
    """Takes tables sorted by series and time, without names; `finish` makes the file, `abandon` leaves none.

    Raises OSError and pyarrow's errors as they are: see `faults`.
    """

    def __init__(self, path: Path, schema: pa.Schema, names: Mapping[int, SeriesName]) -> None:
        self._path = path
        self._partial = path.with_name(path.name + TEMPORARY)
        self._schema = schema
        self._names = names
        self._pending: list[pa.Table] = []
        self._waiting = 0
        self._series: list[Any] = []
        self._counts: list[Any] = []
        self._group_ns: list[int] = []
        self._columns: set[str] = set()
        self._file: IO[bytes] | None = None
        self._flushed = 0
        self._writer: Any = None

    def add(self, table: pa.Table) -> None:
        """Put these rows behind the others."""
        if not len(table):
            return
        if self._writer is None:
            self._open(table)
        series = numbers(table.column("series"))
        heads = run_starts(series)
        self._series.append(series[heads])
        self._counts.append(np.diff(heads, append=len(series)))
        self._pending.append(table)
        self._waiting += len(table)
        if self._waiting >= GROUP:
            self._write(self._together())

    def finish(self) -> int:
        """Write what waits and the footer, flush, and give the file its name; returns its size. Nothing added: 0."""
        if self._writer is None or self._file is None:
            return 0
        if self._waiting:
            self._group(self._together())
        index = Index(
            np.concatenate(self._series),
            np.cumsum(np.concatenate(self._counts)),
            np.array(self._group_ns, np.int64),
            frozenset(self._columns),
        )
        self._writer.add_key_value_metadata({KEY: pack(index)})
        self._writer.close()
        size = self._file.tell()
        flush(self._file)
        self._file.close()
        self._partial.replace(self._path)
        flush_directory(self._path.parent)
        return size

    def abandon(self) -> None:
        """Leave nothing of it."""
        if self._writer is not None and self._file is not None:
            with contextlib.suppress(OSError, pa.ArrowException):  # the disk may be what failed
                self._writer.close()
            with contextlib.suppress(OSError):
                self._file.close()
        self._partial.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def _open(self, table: pa.Table) -> None:
        make_directory(self._path.parent)
        descriptor = os.open(self._partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        spread = "value" in table.column_names and layout.differ(numbers(table.column("value")))
        self._writer = pq.ParquetWriter(self._file, self._schema, **layout.options(self._schema, spread=spread))

    def _together(self) -> pa.Table:
        return pa.concat_tables(self._pending, promote_options="default")  # a column of nothing meets one of text

    def _write(self, table: pa.Table) -> None:
        whole = len(table) - len(table) % GROUP
        for first in range(0, whole, GROUP):
            self._group(table.slice(first, GROUP))
        rest = table.slice(whole)
        self._pending, self._waiting = [rest], len(rest)

    def _group(self, table: pa.Table) -> None:
        # A roll-up's buckets begin at whole milliseconds.
        first = [int(numbers(table.column(name))[0]) if name in table.column_names else 0 for name in ("t", "ns")]
        self._group_ns.append(first[0] * layout.NS_PER_MS + first[1])
        self._note_columns(table)
        self._writer.write_table(layout.named(table, self._schema, self._names), row_group_size=GROUP)
        assert self._file is not None
        if (written := self._file.tell()) - self._flushed >= AT_ONCE:
            self._flushed = written
            flush(self._file)

    def _note_columns(self, table: pa.Table) -> None:
        for name in _OFTEN_EMPTY:
            if name in table.column_names and table.column(name).null_count < len(table):
                self._columns.add(name)
        for name in ("ns", "last_ns", "kind", "last_kind"):
            if name in table.column_names and numbers(table.column(name)).any():
                self._columns.add(name)


def flush(file: IO[bytes]) -> None:
    """See that a power cut leaves what was written."""
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def faults(path: Path, what: str) -> Iterator[None]:
    """Say what could not be done with which file; pyarrow's errors are OSErrors or ArrowExceptions."""
    try:
        yield
    except OSError as exc:
        raise StoreError(f"{path} cannot be {what}: {exc.strerror or exc}") from exc
    except pa.ArrowException as exc:
        raise StoreError(f"{path} cannot be {what}: {exc}") from exc

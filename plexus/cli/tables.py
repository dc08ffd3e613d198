"""Answers as CSV on stdout and as Parquet in a file, with the columns and the care of an export."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plexus.cli import output
from plexus.domain.errors import ExportError
from plexus.protocol import jsontext

if TYPE_CHECKING:
    from plexus.api.tables import QueryResult

RAW = ("source", "metric", "timestamp", "value")
BUCKETS = ("source", "metric", "timestamp", "min", "max", "avg", "count", "last")
CHUNK_CHARS = 32_768
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_RUNS_AS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_pages(source_id: str, pages: Iterable[QueryResult]) -> None:
    """A heading, and a line a value of all these answers, as they come. Without a value there is no heading."""
    begun = False
    for page in pages:
        if not begun and len(page):
            csv_lines([RAW if page.interval == "raw" else BUCKETS])
            begun = True
        csv_lines(_rows(source_id, page))
    if not begun:
        output.say("no values in this stretch of time")


def csv_lines(rows: Iterable[Sequence[Any]]) -> None:
    """Rows as CSV, many at a time: a line alone costs a system call."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow(list(map(cell, row)))
        if text.tell() >= CHUNK_CHARS:
            _hand_on(text)
    _hand_on(text)


def _hand_on(text: io.StringIO) -> None:
    if text.tell():
        output.line(text.getvalue()[:-1])
        text.seek(0)
        text.truncate()


def cell(value: Any) -> str:
    """A value for CSV: numbers as they are, what is no text as JSON, and no text that a spreadsheet would run."""
    if type(value) in (float, int) and math.isfinite(value):
        return repr(value)
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_RUNS_AS_FORMULA) else value
    plain = output.plain(value)
    return plain if isinstance(plain, str) else jsontext.dumps(plain)


def write_parquet(result: QueryResult, path: Path) -> None:
    """Write a long table, a row a value. The file has its name when all of it is there. Needs the extra `tables`."""
    from plexus.api.tables.needs import need

    parquet = need("pyarrow.parquet", "--parquet")
    table = result.to_arrow(long=True)
    new = path.with_name(f"{path.name}.new")
    try:
        parquet.write_table(table, new, compression="zstd")
        new.replace(path)
    except OSError as exc:
        new.unlink(missing_ok=True)
        raise ExportError(f"{path} cannot be written ({exc.strerror or exc}): check the folder and the disk") from exc


def check_new(path: Path) -> None:
    """Refuse a file that is there already, before anything is asked; ExportError."""
    if os.path.lexists(path):
        raise ExportError(f"{path} is there already: name another file")
    if not path.absolute().parent.is_dir():
        raise ExportError(f"the folder {path.absolute().parent} is not there: make it, or name another file")


def _rows(source_id: str, page: QueryResult) -> Iterator[Sequence[Any]]:
    from plexus.api.tables import Row

    for row in page.rows():
        when = _moment(row.timestamp_ms)
        if isinstance(row, Row):
            yield (source_id, row.metric, when, row.value)
        else:
            yield (source_id, row.metric, when, row.min, row.max, row.avg, row.count, row.last)


def _moment(ms: float) -> str:
    second, us = divmod(round(ms * 1000), 1_000_000)
    return f"{_second(second)}.{us:06}000Z"


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    # Values come in the order of time, many in a second.
    return f"{_EPOCH + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S}"

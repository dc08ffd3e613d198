"""An export as CSV: UTF-8, a header, CRLF between rows.

Numbers are numbers, NaN and the infinities as `NaN`, `Infinity`, `-Infinity`; booleans, objects and arrays are JSON.
Text that a spreadsheet would take for a formula (it starts with = + - @, a tab or a line break) gets a ' in front: a
device chooses its texts, and the file is opened on somebody's desk. Times are ISO 8601 in UTC, always with nine digits
behind the second: readers that look at the first row to learn the format read the others too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from plexus.domain.values import is_non_finite, is_number
from plexus.gateway.rest.exportrows import BucketPart
from plexus.protocol.columns import Columns
from plexus.protocol.points import non_finite_name

MEDIA_TYPE = "text/csv"
RAW_HEADER = ("source", "metric", "timestamp", "value", "tags", "run_id")
BUCKET_HEADER = ("source", "metric", "timestamp", "min", "max", "avg", "count", "last")

SLICE = 2_000
"""Rows that are written at once, about two milliseconds: the interpreter's lock is held for so long."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class CsvWriter:
    """Rows as CSV text; `raw` says of which kind."""

    def __init__(self, *, raw: bool) -> None:
        self._header = RAW_HEADER if raw else BUCKET_HEADER

    def begin(self) -> bytes:
        """The header."""
        return _text([self._header])

    def points(self, columns: Columns) -> Iterator[bytes]:
        """Rows of raw values."""
        for start in range(0, len(columns), SLICE):
            yield _text(_rows(columns, slice(start, start + SLICE)))

    def buckets(self, part: BucketPart) -> Iterator[bytes]:
        """Rows of aggregates."""
        series = part.series
        source, metric = harmless(part.source_id), harmless(part.metric)
        for start in range(0, len(series), SLICE):
            cut = slice(start, start + SLICE)
            times = instants(np.asarray(series.timestamp_ms[cut], dtype=np.int64) * 1_000_000)
            numbers = (series.min[cut], series.max[cut], series.avg[cut], series.count[cut])
            last = map(cell, series.last[cut])
            yield _text([source, metric, *row] for row in zip(times, *numbers, last, strict=True))

    def end(self) -> bytes:
        """Nothing."""
        return b""


def _rows(columns: Columns, cut: slice) -> Iterator[Sequence[Any]]:
    return zip(
        map(harmless, columns.source_id[cut]),
        map(harmless, columns.metric[cut]),
        instants(np.asarray(columns.t_ns[cut], dtype=np.int64)),
        map(cell, columns.value[cut]),
        map(_tags, columns.tags[cut]),
        ("" if run_id is None else harmless(run_id) for run_id in columns.run_id[cut]),
        strict=True,
    )


def _text(rows: Any) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def instants(t_ns: Any) -> Iterator[str]:
    """Nanoseconds since 1970 UTC as ISO 8601 with nine digits behind the second."""
    return (f"{text}Z" for text in np.datetime_as_string(t_ns.astype("M8[ns]")).tolist())


def cell(value: Any) -> Any:
    """A value as a cell; see the module."""
    if isinstance(value, str):
        return harmless(value)
    if is_number(value):
        return non_finite_name(value) if is_non_finite(value) else value
    return "" if value is None else msgspec.json.encode(value).decode()


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _tags(tags: Mapping[str, str] | None) -> str:
    return msgspec.json.encode(dict(tags)).decode() if tags else ""

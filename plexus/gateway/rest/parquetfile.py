"""An export as Parquet, a row group at a time. A value that is no number stands in `text`, as in the Arrow answers.

raw        source, metric, timestamp[ns, UTC], value, text, tags (a JSON object), run_id
buckets    source, metric, timestamp[ns, UTC], min, max, avg, count, last, last_text
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from plexus.gateway.rest.arrow import value_columns
from plexus.gateway.rest.exportrows import BucketPart
from plexus.protocol.columns import Columns

MEDIA_TYPE = "application/vnd.apache.parquet"

GROUP_ROWS = 50_000
"""Rows of a row group of aggregates; a group of raw values is a part of the store's."""

TIME = pa.timestamp("ns", "UTC")
_BEGIN = [("source", pa.string()), ("metric", pa.string()), ("timestamp", TIME)]
RAW = pa.schema(
    [*_BEGIN, ("value", pa.float64()), ("text", pa.string()), ("tags", pa.string()), ("run_id", pa.string())]
)
BUCKETS = pa.schema(
    [
        *_BEGIN,
        ("min", pa.float64()),
        ("max", pa.float64()),
        ("avg", pa.float64()),
        ("count", pa.int64()),
        ("last", pa.float64()),
        ("last_text", pa.string()),
    ]
)


class ParquetFile:
    """Rows as a Parquet file; `raw` says of which kind."""

    def __init__(self, *, raw: bool) -> None:
        self._schema = RAW if raw else BUCKETS
        self._sink = _Sink()
        self._writer = parquet.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._waiting: list[Any] = []

    def begin(self) -> bytes:
        """The file's first bytes."""
        return self._sink.take()

    def points(self, columns: Columns) -> Iterator[bytes]:
        """A row group of raw values."""
        values, texts = value_columns(columns.value)
        arrays = [
            pa.array(columns.source_id, pa.string()),
            pa.array(columns.metric, pa.string()),
            pa.array(columns.t_ns, pa.int64()).cast(TIME),
            values,
            texts,
            pa.array(map(_tags, columns.tags), pa.string()),
            pa.array(columns.run_id, pa.string()),
        ]
        self._writer.write_batch(pa.record_batch(arrays, schema=RAW))
        yield self._sink.take()

    def buckets(self, part: BucketPart) -> Iterator[bytes]:
        """Gathers aggregates until there are enough of them for a row group."""
        series = part.series
        times = np.asarray(series.timestamp_ms, dtype=np.int64) * 1_000_000
        arrays = [
            pa.repeat(part.source_id, len(series)),
            pa.repeat(part.metric, len(series)),
            pa.array(times, pa.int64()).cast(TIME),
            *(pa.array(column, pa.float64()) for column in (series.min, series.max, series.avg)),
            pa.array(series.count, pa.int64()),
            *value_columns(series.last),
        ]
        self._waiting.append(pa.record_batch(arrays, schema=BUCKETS))
        if sum(batch.num_rows for batch in self._waiting) >= GROUP_ROWS:
            yield self._group()

    def end(self) -> bytes:
        """The last group, and the footer that makes it a file."""
        last = self._group() if self._waiting else b""
        self._writer.close()
        return last + self._sink.take()

    def _group(self) -> bytes:
        self._writer.write_table(pa.Table.from_batches(self._waiting))
        self._waiting = []
        return self._sink.take()


class _Sink(io.RawIOBase):
    """A file of which what was written is taken away."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        self._size += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._size

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts = []
        return taken


def _tags(tags: Mapping[str, str] | None) -> str | None:
    return msgspec.json.encode(dict(tags)).decode() if tags else None

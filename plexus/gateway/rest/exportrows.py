"""The rows of an export, part by part: points as they are stored, or their aggregates."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Protocol

import attrs

from plexus.domain.series import BucketSeries
from plexus.gateway.rest.windows import NS_PER_MS, bucket_count
from plexus.ports.store import Question, Selection, Store, Window
from plexus.protocol.columns import Columns

PART_BUCKETS = 20_000
"""Buckets that one question of an export asks for at most."""


@attrs.frozen
class BucketPart:
    """Buckets of one metric of one source, ascending; a metric may come in several parts."""

    source_id: str
    metric: str
    series: BucketSeries


class Writer(Protocol):
    """An export's format: rows in, bytes out as they come."""

    def begin(self) -> bytes:
        """What stands before the rows."""
        ...

    def points(self, columns: Columns) -> Iterator[bytes]:
        """Rows of raw values."""
        ...

    def buckets(self, part: BucketPart) -> Iterator[bytes]:
        """Rows of aggregates."""
        ...

    def end(self) -> bytes:
        """What stands behind the rows."""
        ...


@attrs.frozen
class Order:
    """What is to be exported. `bucket_ms` None: values as they are."""

    org: str
    source_ids: Sequence[str]
    metrics: Sequence[str] | None
    window: Window
    bucket_ms: int | None

    @property
    def selection(self) -> Selection:
        """The points that are meant."""
        return Selection(self.source_ids, self.metrics, self.window)


def chunks(store: Store, order: Order, writer: Writer, question: Question) -> Generator[bytes]:
    """The whole export as it travels. Close it when it is not read to its end.

    The first part holds rows, where there are any: whoever has it knows that the store answers.
    """
    with closing(_parts(store, order, writer, question)) as parts:
        begin = writer.begin()
        yield begin + next(parts, b"")
        yield from parts
        yield writer.end()


def _parts(store: Store, order: Order, writer: Writer, question: Question) -> Generator[bytes]:
    if order.bucket_ms is None:
        for columns in _scanned(store, order, question):
            yield from writer.points(columns)
    else:
        for part in bucket_parts(store, order, order.bucket_ms, question):
            yield from writer.buckets(part)


def _scanned(store: Store, order: Order, question: Question) -> Generator[Columns]:
    scan = store.scan(order.org, order.selection, question=question)
    try:
        yield from scan
    finally:
        if isinstance(scan, Generator):
            scan.close()  # it holds files that a merge would let go of


def rows_of(store: Store, order: Order, question: Question) -> int:
    """How many rows it has: exactly for raw values, at most for aggregates."""
    points = store.count(order.org, order.selection, question=question)
    if order.bucket_ms is None:
        return points
    series = sum(len(_names(store, order, source_id)) for source_id in order.source_ids)
    return min(points, series * bucket_count(order.window, order.bucket_ms))


def bucket_parts(store: Store, order: Order, bucket_ms: int, question: Question) -> Iterator[BucketPart]:
    """Aggregates ascending by source, metric and time, asked for in slices, so that few are in memory at once."""
    each = bucket_count(order.window, bucket_ms)
    together = max(1, PART_BUCKETS // each)
    for source_id in sorted(order.source_ids):
        names = sorted(_names(store, order, source_id))
        for start in range(0, len(names), together):
            some = names[start : start + together]
            for window in _slices(order.window, bucket_ms):
                question.check()
                found = store.buckets(order.org, [source_id], some, window, bucket_ms, question=question)
                for metric, series in sorted(found.get(source_id, {}).items()):
                    yield BucketPart(source_id, metric, series)


def _names(store: Store, order: Order, source_id: str) -> Sequence[str]:
    return store.names(order.org, source_id) if order.metrics is None else order.metrics


def _slices(window: Window, bucket_ms: int) -> Iterator[Window]:
    """A window in stretches of so many buckets; each but the last ends where a bucket does."""
    length = bucket_ms * NS_PER_MS
    start = window.start_ns
    while start < window.end_ns:
        end = min(window.end_ns, (start // length + PART_BUCKETS) * length)
        yield Window(start, end)
        start = end

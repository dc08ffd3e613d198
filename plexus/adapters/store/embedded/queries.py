"""The questions in SQL, and their rows as the domain's series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from plexus.adapters.store.embedded.catalogue import Picked
from plexus.adapters.store.embedded.values import unpack, value_of
from plexus.domain.event import Event
from plexus.domain.series import BucketSeries, Series
from plexus.ports.store import RawSeries, Window

NS_PER_MS = 1_000_000
MIN_NS, MAX_NS = -(2**63), 2**63 - 1

RAW = """
SELECT series, t_ns, kind, num, packed FROM points
WHERE series IN (SELECT unnest(?::INTEGER[])) AND t_ns >= ? AND t_ns < ?
ORDER BY t_ns, rowid LIMIT ?"""

# `//` rounds towards zero, so times before 1970 take one off. The newest row of a bucket is found by one number made of
# its time and its place. The mean is taken of numbers made smaller by 2^64, or a sum of large ones would be infinite.
BUCKETS = f"""
WITH chosen AS (
    SELECT series, t_ns // $length - CAST(t_ns % $length < 0 AS BIGINT) AS bucket,
        CASE WHEN isfinite(num) THEN num END AS finite, t_ns::HUGEINT * {2**40} + rowid AS place
    FROM points WHERE series IN (SELECT unnest($series::INTEGER[])) AND t_ns >= $start AND t_ns < $end
), grouped AS (
    SELECT series, bucket, min(finite) AS low, max(finite) AS high,
        avg(finite * {2.0**-64!r}) * {2.0**64!r} AS mean, count(*) AS n, max(place) AS place
    FROM chosen GROUP BY series, bucket
)
SELECT grouped.series, bucket, low, high, greatest(low, least(high, mean)), n, kind, num, packed
FROM grouped JOIN points ON points.rowid = CAST(((place % {2**40}) + {2**40}) % {2**40} AS BIGINT)
ORDER BY grouped.series, bucket"""  # noqa: S608 - numbers of this file

EVENTS = """
SELECT series, t_ns, packed, tags FROM events
WHERE series IN (SELECT unnest(?::INTEGER[])) AND t_ns >= ? AND t_ns < ?
ORDER BY t_ns {order}, rowid {order} LIMIT ?"""
OLDEST_EVENTS = EVENTS.format(order="ASC")
NEWEST_EVENTS = EVENTS.format(order="DESC")

Rows = Sequence[tuple[Any, ...]]


def bounds(window: Window) -> tuple[int, int]:
    """A window's ends as the table can compare them."""
    return max(MIN_NS, window.start_ns), min(MAX_NS, window.end_ns)


def milliseconds(t_ns: int) -> float:
    """A division of two integers is rounded once, so that whole milliseconds stay whole."""
    return t_ns / NS_PER_MS


def raw_series(rows: Rows, picked: Picked, limit: int) -> RawSeries:
    """The answer to RAW, which was asked for one row more than the limit."""
    columns: dict[int, tuple[list[float], list[Any]]] = defaultdict(lambda: ([], []))
    for series, t_ns, kind, num, packed in rows[:limit]:
        times, values = columns[series]
        times.append(t_ns / NS_PER_MS)
        values.append(value_of(kind, num, packed))
    return RawSeries({picked[series][1]: Series(*found) for series, found in columns.items()}, len(rows) > limit)


def bucket_series(
    rows: Iterable[tuple[Any, ...]], picked: Picked, bucket_ms: int
) -> dict[str, dict[str, BucketSeries]]:
    """The answer to BUCKETS by source and metric."""
    answer: dict[str, dict[str, BucketSeries]] = defaultdict(dict)
    for series, part in groupby(rows, key=itemgetter(0)):
        _, bucket, low, high, mean, count, kind, num, packed = map(list, zip(*part, strict=True))
        source_id, metric = picked[series]
        answer[source_id][metric] = BucketSeries(
            timestamp_ms=[float(index * bucket_ms) for index in bucket],
            min=low,
            max=high,
            avg=mean,
            count=count,
            last=list(map(value_of, kind, num, packed)),
        )
    return dict(answer)


def events(rows: Iterable[tuple[Any, ...]], picked: Picked) -> list[Event]:
    """The answer to OLDEST_EVENTS or NEWEST_EVENTS, as it came."""
    found = []
    for series, t_ns, packed, tags in rows:
        source_id, name = picked[series]
        found.append(Event(name, unpack(packed), milliseconds(t_ns), unpack(tags) if tags else {}, source_id))
    return found

"""A series: the values of one metric of one source over a window, raw or in buckets. Columns, not rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import attrs

from plexus.domain.errors import QueryError
from plexus.domain.values import Value

Interval = Literal["raw", "1m", "10m", "1h", "1d"]

INTERVAL_MS: Mapping[str, int] = {"1m": 60_000, "10m": 600_000, "1h": 3_600_000, "1d": 86_400_000}
"""Length of a bucket in milliseconds. Buckets start at whole multiples of it since 1970 UTC."""

RAW_UNDER_MS = 10 * 60_000
"""Windows shorter than this are answered raw."""

TARGET_BUCKETS = 1_000
MAX_RAW_ROWS = 10_000


def choose_interval(start_ms: float, end_ms: float) -> Interval:
    """The interval for a window that names none: raw under 10 minutes, else the finest with about 1,000 points."""
    length = end_ms - start_ms
    if length < RAW_UNDER_MS:
        return "raw"
    for name, bucket_ms in INTERVAL_MS.items():
        if length / bucket_ms <= TARGET_BUCKETS * 1.5:
            return name  # type: ignore[return-value]
    return "1d"


def check_interval(interval: str) -> Interval:
    """Return `interval` if it is one; raise QueryError naming those that are."""
    if interval == "raw" or interval in INTERVAL_MS:
        return interval  # type: ignore[return-value]
    raise QueryError(f"interval {interval!r} is not known; use one of raw, {', '.join(INTERVAL_MS)}")


@attrs.frozen
class Series:
    """Raw values: `timestamp_ms[i]` (milliseconds since 1970 UTC, ascending) belongs to `value[i]`."""

    timestamp_ms: Sequence[float] = ()
    value: Sequence[Value] = ()

    def __len__(self) -> int:
        return len(self.timestamp_ms)

    def __iter__(self) -> Iterator[tuple[float, Value]]:
        return iter(zip(self.timestamp_ms, self.value, strict=True))


@attrs.frozen
class BucketSeries:
    """Aggregates: bucket i starts at `timestamp_ms[i]`.

    `min`, `max`, `avg` are None for a bucket that holds no finite number; `count` counts every value;
    `last` is the newest value of the bucket, of any type; `finite` counts the finite numbers, where a store says so.
    """

    timestamp_ms: Sequence[float] = ()
    min: Sequence[float | None] = ()
    max: Sequence[float | None] = ()
    avg: Sequence[float | None] = ()
    count: Sequence[int] = ()
    last: Sequence[Value | None] = ()
    finite: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.timestamp_ms)


@attrs.frozen
class QueryResult:
    """The answer to a metrics query.

    Attributes:
        interval: "raw" (then `series` holds Series) or a bucket length (then BucketSeries).
        auto_downsampled: True when the gateway chose the interval because the window was long.
        series: by metric name.
        truncated: True when a raw query met its limit of rows: there is more in the window.
    """

    interval: str
    auto_downsampled: bool
    series: Mapping[str, Series | BucketSeries]
    truncated: bool = False

    def __getitem__(self, metric: str) -> Series | BucketSeries:
        return self.series[metric]


@attrs.frozen
class FleetSeries:
    """One source's part of a fleet metric: its buckets over the window (see BucketSeries)."""

    source_id: str
    online: bool
    timestamp_ms: Sequence[float] = ()
    avg: Sequence[float | None] = ()
    min: Sequence[float | None] = ()
    max: Sequence[float | None] = ()
    count: Sequence[int] = ()


@attrs.frozen
class FleetMetrics:
    """One metric over every source of the organisation, in buckets, never raw."""

    metric: str
    interval: str
    sources_online: int
    sources_w_metric: int
    sources: Sequence[FleetSeries]
    truncated: bool = False

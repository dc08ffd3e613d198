"""The answers that `PlexusAPI` gives, with what a reader does next: rows, arrays, data frames, a look, a plot."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import attrs

from plexus.api.tables.columnar import ColumnarSeries
from plexus.api.tables.pictures import Pictured
from plexus.api.tables.plain import column_of
from plexus.api.tables.table import Table
from plexus.domain import series as domain
from plexus.domain.series import Series
from plexus.domain.values import Value

if TYPE_CHECKING:
    from plexus.api.tables.columns import Column

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Row(NamedTuple):
    """One value: `timestamp_ms` is milliseconds since 1970 UTC."""

    timestamp_ms: float
    metric: str
    value: Value

    @property
    def time(self) -> datetime:
        """The moment, aware, in UTC."""
        return _EPOCH + timedelta(milliseconds=self.timestamp_ms)


@attrs.frozen
class BucketRow:
    """One bucket of one metric (of one source, in `metric`'s place, for the fleet); see BucketSeries."""

    timestamp_ms: float
    metric: str
    min: float | None
    max: float | None
    avg: float | None
    count: int
    last: Value | None = None

    @property
    def time(self) -> datetime:
        """Where the bucket begins, aware, in UTC."""
        return _EPOCH + timedelta(milliseconds=self.timestamp_ms)


AnyRow = Union[Row, BucketRow]


@attrs.frozen(repr=False)
class QueryResult(Pictured, Table, domain.QueryResult):
    """The answer to a metrics query, columnar: see plexus.domain.series.QueryResult for its fields.

    Iterating gives rows, ascending in time; `to_numpy`, `to_pandas`, `to_polars` and `to_arrow` need the extra
    `tables`, `plot` the extra `notebook`.
    """

    @classmethod
    def of(cls, plain: domain.QueryResult) -> QueryResult:
        """The same answer with these methods."""
        return cls(plain.interval, plain.auto_downsampled, plain.series, plain.truncated)

    def rows(self) -> Iterator[AnyRow]:
        """Every value (or bucket), ascending in time; equal times in the order of the answer. Needs no library."""
        return _merged(self.series)

    def to_dict(self) -> dict[str, Any]:
        """What the server's JSON says, as Python's own dicts and lists. NaN and infinity are themselves."""
        series = {name: attrs.asdict(part, recurse=False) for name, part in self.series.items()}
        return {**attrs.asdict(self, recurse=False), "series": series}

    def __iter__(self) -> Iterator[AnyRow]:
        return self.rows()

    def __len__(self) -> int:
        if isinstance(self.series, ColumnarSeries):
            return self.series.rows()
        return sum(map(len, self.series.values()))

    def _is_raw(self) -> bool:
        return self.interval == "raw"

    def _columns(self) -> dict[str, Column]:
        if isinstance(self.series, ColumnarSeries):
            return self.series.columns()
        return {name: column_of(part) for name, part in self.series.items()}

    def _parts(self) -> Mapping[str, Any]:
        return self.series

    def _headline(self) -> str:
        return f"{len(self):,} {'values' if self._is_raw() else f'buckets of {self.interval}'}"

    def _is_cut(self) -> bool:
        return self.truncated


@attrs.frozen(repr=False)
class FleetMetrics(Pictured, Table, domain.FleetMetrics):
    """One metric over every source, in buckets: see plexus.domain.series.FleetMetrics for its fields."""

    _KEY = "source_id"

    @classmethod
    def of(cls, plain: domain.FleetMetrics) -> FleetMetrics:
        """The same answer with these methods."""
        return cls(**{field.name: getattr(plain, field.name) for field in attrs.fields(domain.FleetMetrics)})

    def rows(self) -> Iterator[AnyRow]:
        """Every bucket, ascending in time; its `metric` is the source's name. Needs no library."""
        return _merged(self._parts())

    def __iter__(self) -> Iterator[AnyRow]:
        return self.rows()

    def __len__(self) -> int:
        return sum(len(part.timestamp_ms) for part in self.sources)

    def _columns(self) -> dict[str, Column]:
        return {name: column_of(part) for name, part in self._parts().items()}

    def _fields(self) -> tuple[str, ...]:
        return ("min", "max", "avg", "count")

    def _parts(self) -> Mapping[str, Any]:
        return {part.source_id: part for part in self.sources}

    def _headline(self) -> str:
        return f"{self.metric}, {len(self):,} buckets of {self.interval}"

    def _is_cut(self) -> bool:
        return self.truncated


def _merged(parts: Mapping[str, Any]) -> Iterator[AnyRow]:
    return heapq.merge(*(_rows(name, part) for name, part in parts.items()), key=attrgetter("timestamp_ms"))


def _rows(name: str, part: Any) -> Iterator[AnyRow]:
    if isinstance(part, Series):
        for timestamp_ms, value in part:
            yield Row(timestamp_ms, name, value)
        return
    last = getattr(part, "last", ())
    for place, timestamp_ms in enumerate(part.timestamp_ms):
        found = last[place] if place < len(last) else None
        yield BucketRow(timestamp_ms, name, part.min[place], part.max[place], part.avg[place], part.count[place], found)

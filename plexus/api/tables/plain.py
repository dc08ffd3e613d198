"""Answers that came as JSON: parsed into lists, behind each other without a copy, as numpy when that is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

import attrs

from plexus.api.tables.columnar import ColumnarSeries
from plexus.api.tables.needs import need
from plexus.domain.series import BucketSeries, QueryResult, Series
from plexus.protocol import jsontext

if TYPE_CHECKING:
    from plexus.api.tables.columns import Column

AnySeries = Union[Series, BucketSeries]


def read(body: bytes) -> QueryResult:
    """The answer of a query; ProtocolError when it is none."""
    from plexus.api.structuring import structure  # it loads cattrs

    return structure(_loads(body), QueryResult)


def column_of(part: Any) -> Column:
    """A Series, BucketSeries or FleetSeries as numpy."""
    need("numpy", "a table")
    from plexus.api.tables import columns  # it loads numpy

    t_ns = columns.times(part.timestamp_ms)
    if isinstance(part, Series):
        return columns.Column(t_ns, {"value": columns.values(part.value)})
    fields: dict[str, Any] = {name: columns.numbers(getattr(part, name)) for name in ("min", "max", "avg")}
    fields["count"] = columns.counts(part.count)
    if isinstance(part, BucketSeries):
        # The hosted service sends no last value.
        last: Sequence[Any] = part.last if len(part.last) == len(part) else [None] * len(part)
        fields["last"] = columns.values(last)
    return columns.Column(t_ns, fields)


class JoinedSeries(ColumnarSeries):
    """The series of several answers behind each other; `parts` are each metric's, in order."""

    def __init__(self, parts: Mapping[str, Sequence[AnySeries]], *, raw: bool) -> None:
        self._parts = parts
        self._kind: type[Series] | type[BucketSeries] = Series if raw else BucketSeries
        self._made: dict[str, AnySeries] = {}

    def __getitem__(self, metric: str) -> AnySeries:
        made = self._made.get(metric)
        if made is None:
            parts = self._parts[metric]
            fields = [field.name for field in attrs.fields(self._kind)]
            lists = ([item for part in parts for item in getattr(part, field)] for field in fields)
            made = self._made[metric] = self._kind(*lists)
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def rows(self) -> int:
        """How many rows there are."""
        return sum(len(part) for parts in self._parts.values() for part in parts)

    def columns(self) -> dict[str, Column]:
        """As numpy."""
        need("numpy", "a table")
        from plexus.api.tables import columns  # it loads numpy

        return {
            name: columns.joined([column_of(part) for part in parts or [self._kind()]])
            for name, parts in self._parts.items()
        }


def _loads(body: bytes) -> Any:
    """JSON, by orjson where it is installed: five times as fast. What it refuses is left to ours, and to its words."""
    try:
        import orjson
    except ImportError:
        return jsontext.loads(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return jsontext.loads(body)

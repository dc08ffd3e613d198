"""What the REST part answers, where a domain value does not fit the wire; the OpenAPI document is made of it.

JSON has no NaN and no infinity. A value that is one is the text "NaN", "Infinity" or "-Infinity", and `non_finite`
tells it from text that a device sent: beside one value it is true, beside a column it lists the indices, beside the
latest values the names. It is left out where everything is finite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Union

import attrs
import numpy as np
from msgspec import UNSET, UnsetType

from plexus.domain.event import Event
from plexus.domain.series import BucketSeries, Series
from plexus.domain.source import Source
from plexus.domain.values import Value, is_non_finite
from plexus.protocol.points import non_finite_name

WireValue = Union[float, str, bool, dict[str, Any], list[Any]]
"""A value as JSON has it: its numbers are one type, and the OpenAPI document must not say two."""


@attrs.frozen
class Refusal:
    """Why a request did not succeed, and what to do."""

    error: str


@attrs.frozen
class Sources:
    """All sources that the key may see."""

    devices: Sequence[Source]


@attrs.frozen
class Latest:
    """The newest value of each metric."""

    metrics: dict[str, WireValue]
    non_finite: list[str] | UnsetType = UNSET


@attrs.frozen
class RawColumns:
    """Raw values of one metric, ascending in time (milliseconds since 1970 UTC, a fraction where it is finer)."""

    timestamp_ms: list[float]
    value: list[WireValue]
    non_finite: list[int] | UnsetType = UNSET


@attrs.frozen
class BucketColumns:
    """Buckets of one metric; `min`, `max`, `avg` are null where there is no finite number, `last` is of any type."""

    timestamp_ms: list[float]
    min: list[float | None]
    max: list[float | None]
    avg: list[float | None]
    count: list[int]
    last: list[WireValue | None]
    non_finite: list[int] | UnsetType = UNSET


@attrs.frozen
class Query:
    """Values of one source over a window. `truncated`: a raw query hit its limit, there is more in the window."""

    interval: str
    auto_downsampled: bool
    series: dict[str, RawColumns | BucketColumns]
    truncated: bool


@attrs.frozen
class FleetSeries:
    """One source's part of a fleet metric: its buckets over the window."""

    source_id: str
    online: bool
    timestamp_ms: list[float]
    avg: list[float | None]
    min: list[float | None]
    max: list[float | None]
    count: list[int]


@attrs.frozen
class FleetMetrics:
    """One metric over every source of the organisation, in buckets, never raw. As the domain's, with all of it sent."""

    metric: str
    interval: str
    sources_online: int
    sources_w_metric: int
    sources: list[FleetSeries]
    truncated: bool


@attrs.frozen
class EventItem:
    """One event."""

    timestamp_ms: float
    metric: str
    value: WireValue
    tags: dict[str, str]
    non_finite: bool | UnsetType = UNSET


def wire_ms(ms: float) -> float:
    """Milliseconds as they travel: whole where they are whole, else to the microsecond."""
    whole = int(ms)
    return whole if whole == ms else round(ms * 1e3) / 1e3  # as numpy rounds a column


def wire_times(times_ms: Sequence[float]) -> list[float]:
    """A column of milliseconds as it travels; see wire_ms."""
    times = np.asarray(times_ms, dtype=np.float64)
    whole = times.astype(np.int64)
    column: list[float] = (whole if np.array_equal(whole, times) else np.round(times, 3)).tolist()
    return column


def latest(values: Mapping[str, Value]) -> Latest:
    """Newest values by name."""
    plain = {name: _plain(value) for name, value in values.items()}
    odd = [name for name, value in values.items() if is_non_finite(value)]
    return Latest(plain, odd or UNSET)


def raw_columns(series: Series) -> RawColumns:
    """Raw values as columns."""
    values, odd = _column(series.value)
    return RawColumns(wire_times(series.timestamp_ms), values, odd)


def bucket_columns(series: BucketSeries) -> BucketColumns:
    """Buckets as columns."""
    last, odd = _column(series.last)
    return BucketColumns(
        timestamp_ms=wire_times(series.timestamp_ms),
        min=list(series.min),
        max=list(series.max),
        avg=list(series.avg),
        count=list(series.count),
        last=last,
        non_finite=odd,
    )


def event_item(event: Event) -> EventItem:
    """An event as it travels."""
    odd = is_non_finite(event.value)
    return EventItem(
        wire_ms(event.timestamp_ms), event.name, _plain(event.value), dict(event.tags), True if odd else UNSET
    )


def _plain(value: Any) -> Any:
    return non_finite_name(value) if is_non_finite(value) else value


def _column(values: Sequence[Any]) -> tuple[list[Any], list[int] | UnsetType]:
    column = list(values)
    if _plainly_finite(column):
        return column, UNSET
    odd = [index for index, value in enumerate(column) if is_non_finite(value)]
    if not odd:
        return column, UNSET
    return [_plain(value) for value in column], odd


def _plainly_finite(values: list[Any]) -> bool:
    """Whether a glance shows that all of them are finite: one that is not makes their sum so too."""
    types = set(map(type, values))
    return float not in types or (types <= {float, int, bool} and _is_finite_sum(values))


def _is_finite_sum(values: list[Any]) -> bool:
    try:
        return math.isfinite(sum(values))
    except OverflowError:  # integers that no float holds
        return False

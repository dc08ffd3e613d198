"""A metric of a run in five numbers, and how two such summaries differ. Pure."""

from __future__ import annotations

import math

import attrs

from plexus.domain.series import BucketSeries, Series
from plexus.domain.values import Value, is_number


@attrs.frozen
class Summary:
    """A metric over a run, in the metric's own unit.

    Attributes:
        count: values of any type.
        min, max, avg: of the finite numbers; None when there are none. Made of buckets, `avg` weighs each with its
            count, which is exact when every value is a finite number.
        last: the newest value, of any type; None when a server does not say it of buckets.
    """

    count: int
    min: float | None = None
    max: float | None = None
    avg: float | None = None
    last: Value | None = None


@attrs.frozen
class Difference:
    """A summary less that of the first run; None where one of the two has no finite number."""

    count: int
    min: float | None = None
    max: float | None = None
    avg: float | None = None
    last: float | None = None


def summary_of(series: Series | BucketSeries) -> Summary | None:
    """A series in five numbers; None when it has no value."""
    if not len(series):
        return None
    return _of_values(series) if isinstance(series, Series) else _of_buckets(series)


def difference(summary: Summary | None, first: Summary | None) -> Difference | None:
    """How a summary differs from that of the first run; None when one of them is missing."""
    if summary is None or first is None:
        return None
    return Difference(
        count=summary.count - first.count,
        min=_less(summary.min, first.min),
        max=_less(summary.max, first.max),
        avg=_less(summary.avg, first.avg),
        last=_less(summary.last, first.last),
    )


def finite(value: object) -> bool:
    """Whether it is a number that can be reckoned with."""
    return is_number(value) and math.isfinite(value)  # type: ignore[arg-type]  # it is a number


def _of_values(series: Series) -> Summary:
    numbers = [float(value) for value in series.value if finite(value)]  # type: ignore[arg-type]  # they are numbers
    last = series.value[-1]
    if not numbers:
        return Summary(len(series), last=last)
    return Summary(len(series), min(numbers), max(numbers), _mean(numbers), last)


def _of_buckets(series: BucketSeries) -> Summary:
    lows = [low for low in series.min if low is not None]
    highs = [high for high in series.max if high is not None]
    weighed = [(avg, count) for avg, count in zip(series.avg, series.count, strict=True) if avg is not None]
    return Summary(
        count=sum(series.count),
        min=min(lows, default=None),
        max=max(highs, default=None),
        avg=_weighed(weighed),
        last=series.last[-1] if len(series.last) == len(series) else None,
    )


def _mean(numbers: list[float]) -> float:
    # Divided first: a sum of two doubles can be more than a double holds.
    return math.fsum(number / len(numbers) for number in numbers)


def _weighed(averages: list[tuple[float, int]]) -> float | None:
    total = sum(count for _, count in averages)
    return math.fsum(avg * (count / total) for avg, count in averages) if total else None


def _less(value: Value | None, first: Value | None) -> float | None:
    if not finite(value) or not finite(first):
        return None
    return float(value) - float(first)  # type: ignore[arg-type]  # they are numbers

"""The rows of the store in memory, and what is made of them. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from plexus.domain.errors import StoreError
from plexus.domain.series import BucketSeries
from plexus.domain.values import MAX_INT, MIN_INT, Value, is_number
from plexus.ports.store import Question, Selection, Submission, Window
from plexus.protocol.columns import Columns

_NS_PER_MS = 1_000_000


@attrs.frozen
class Row:
    """One point."""

    source_id: str
    metric: str
    t_ns: int
    is_event: bool
    value: Value
    tags: Mapping[str, str]
    run_id: str | None = None


def rows_of(submission: Submission) -> Iterator[Row]:
    """The points of a submission; raises StoreError for a value that no store could keep."""
    columns = submission.columns
    for i, metric in enumerate(columns.metric):
        try:
            value = _copy(columns.value[i])
        except TypeError as exc:
            raise StoreError(
                f"a point of source {columns.source_id[i]!r}, metric {metric!r}, cannot be kept: {exc}"
            ) from exc
        tags = dict(columns.tags[i] or {})
        yield Row(columns.source_id[i], metric, columns.t_ns[i], columns.is_event[i], value, tags, columns.run_id[i])


def copied(columns: Columns) -> Columns:
    """Columns that are nobody else's; their values were copied before, so that they are known to be ones."""
    return Columns(
        source_id=list(columns.source_id),
        metric=list(columns.metric),
        t_ns=list(columns.t_ns),
        is_event=list(columns.is_event),
        value=[_copy(value) for value in columns.value],
        tags=[None if tags is None else dict(tags) for tags in columns.tags],
        run_id=list(columns.run_id),
    )


def selected(selection: Selection, source_id: str, metric: str, t_ns: int) -> bool:
    """Whether a point is one of the selection."""
    window = selection.window
    return (
        (selection.source_ids is None or source_id in selection.source_ids)
        and (selection.metrics is None or metric in selection.metrics)
        and (window is None or window.start_ns <= t_ns < window.end_ns)
    )


def without(columns: Columns, selection: Selection) -> Columns:
    """Columns that have nothing of the selection."""
    points = zip(columns.source_id, columns.metric, columns.t_ns, strict=True)
    return columns.rows([place for place, point in enumerate(points) if not selected(selection, *point)])


def _copy(value: Any) -> Any:
    """A value as it is now; raises TypeError for one that no other store could keep. Null is one inside of others."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if value is None or isinstance(value, (bool, float, str)):
        return value
    if isinstance(value, int) and MIN_INT <= value <= MAX_INT:
        return value
    raise TypeError(f"{type(value).__name__} is no value, or does not fit 64 bits")


def looked_at(question: Question | None, rows: Iterable[Row]) -> list[Row]:
    """Rows that a question looks at, which its budget must allow."""
    found = list(rows)
    if question is not None:
        question.read(len(found))
    return found


def time_of(row: Row) -> int:
    """By time."""
    return row.t_ns


def metric_of(row: Row) -> str:
    """By metric."""
    return row.metric


def milliseconds(t_ns: int) -> float:
    """Milliseconds; a division of two integers is rounded once, so that whole milliseconds stay whole."""
    return t_ns / _NS_PER_MS


def inside(window: Window, rows: Iterable[Row]) -> Iterator[Row]:
    """Those of the window."""
    return (row for row in rows if window.start_ns <= row.t_ns < window.end_ns)


def grouped(rows: Iterable[Row], key: Callable[[Row], str]) -> dict[str, list[Row]]:
    """Rows by a key, in their order."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def bucket_series(rows: Iterable[Row], bucket_ms: int) -> BucketSeries:
    """One metric's rows, ascending in time, in buckets."""
    buckets: dict[int, list[Value]] = defaultdict(list)
    for row in rows:
        buckets[row.t_ns // (bucket_ms * _NS_PER_MS)].append(row.value)
    numbers = [_finite(values) for values in buckets.values()]
    return BucketSeries(
        timestamp_ms=[float(index * bucket_ms) for index in buckets],
        min=[min(part, default=None) for part in numbers],
        max=[max(part, default=None) for part in numbers],
        avg=[_mean(part) for part in numbers],
        count=[len(values) for values in buckets.values()],
        last=[values[-1] for values in buckets.values()],
        finite=[len(part) for part in numbers],
    )


def _finite(values: Iterable[Value]) -> list[float]:
    numbers = [float(value) for value in values if is_number(value)]  # type: ignore[arg-type]
    return [number for number in numbers if math.isfinite(number)]


def _mean(numbers: Sequence[float]) -> float | None:
    if not numbers:
        return None
    # Divided first, so that a sum of very large numbers does not leave the range of a float.
    mean = math.fsum(number / len(numbers) for number in numbers)
    return min(max(mean, min(numbers)), max(numbers))

"""Raw windows and events, oldest or newest first, with a limit: only as much of the window is read as fills it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from plexus.adapters.store.embedded.files.bridge import Array
from plexus.adapters.store.embedded.files.rows import Rows, joined, run_starts
from plexus.adapters.store.embedded.queries.cut import Asked, Picked
from plexus.adapters.store.embedded.queries.doubles import Doubles
from plexus.adapters.store.embedded.queries.turn import alone
from plexus.domain.event import Event
from plexus.domain.series import Series
from plexus.ports.store import RawSeries

NS_PER_MS = 1_000_000

AT_ONCE = 100_000
"""Rows that are read without a thought of the limit."""


def raw(asked: Asked, picked: Picked, limit: int) -> RawSeries:
    """Raw values by metric; equal times at the limit go by the metrics' names, and by the order of commit."""
    names = sorted(asked.series.tolist(), key=lambda series: picked[series][1])
    rank = np.empty(len(names), np.int64)
    rank[np.searchsorted(asked.series, names)] = np.arange(len(names))
    pieces: list[Rows] = []
    total = 0
    for part in _stretches(asked, limit, newest=False):
        rows = part.all_rows()
        if rows is not None:
            pieces.append(rows)
            total += len(rows)
        if total > limit:
            break
    if not pieces:
        return RawSeries({}, truncated=False)
    rows = joined(pieces)
    if total > limit or len(pieces) > 1:
        own = rank[np.searchsorted(asked.series, rows.series)]
        oldest = np.lexsort((own, rows.t_ns))[:limit]
        rows = rows.take(oldest[np.lexsort((np.arange(len(oldest)), own[oldest]))])
    with alone(len(rows)):
        return RawSeries({picked[series][1]: found for series, found in _by_series(rows)}, truncated=total > limit)


def events(asked: Asked, picked: Picked, limit: int, *, newest: bool) -> list[Event]:
    """Events in ascending time, equal times in the order of commit: the oldest or the newest of the window."""
    pieces: list[Rows] = []
    total = 0
    for part in _stretches(asked, limit, newest=newest):
        found = [*part.sealed(extras=True), *part.hot()]
        if found:
            pieces.insert(0 if newest else len(pieces), _in_order_of_time(joined(found)))
            total += len(pieces[0 if newest else -1])
        if total >= limit:
            break
    if not pieces or limit == 0:
        return []
    rows = joined(pieces)
    rows = rows.take(slice(max(0, len(rows) - limit), len(rows)) if newest else slice(0, limit))
    with alone(len(rows)):
        return list(_events(rows, picked))


def _stretches(asked: Asked, limit: int, *, newest: bool) -> Iterator[Asked]:
    """The window in stretches from one end to the other, of a length that fills the limit, by the files' density."""
    files = asked.files()
    expected = sum(
        int(asked.reader.index(file).counts(asked.series).sum()) * _share(file.first_ns, file.last_ns, asked)
        for file in files
    )
    if expected <= AT_ONCE + 4 * limit:
        yield asked
        return
    first = max(asked.start_ns, min(file.first_ns for file in files))
    last = min(asked.end_ns, max(file.last_ns for file in files) + 1)
    width = max(1, int((last - first) * 2 * limit / expected))
    if newest:
        end = last
        yield asked.within(last, asked.end_ns)
        while end > first:
            yield asked.within(max(first, end - width), end)
            end, width = end - width, 2 * width
        yield asked.within(asked.start_ns, first)
        return
    start = first
    yield asked.within(asked.start_ns, first)
    while start < last:
        yield asked.within(start, min(last, start + width))
        start, width = start + width, 2 * width
    yield asked.within(last, asked.end_ns)


def _share(first_ns: int, last_ns: int, asked: Asked) -> float:
    """How much of a file's time is in the window."""
    inside = min(last_ns + 1, asked.end_ns) - max(first_ns, asked.start_ns)
    return max(0, inside) / (last_ns + 1 - first_ns)


def _by_series(rows: Rows) -> Iterator[tuple[int, Series]]:
    times = _milliseconds(rows.t_ns)
    # Values that are doubles, as most are, stay an array.
    values = rows.values() if rows.kind.any() else Doubles(rows.num)
    heads = run_starts(rows.series).tolist()
    for begin, end in zip(heads, [*heads[1:], len(rows)] if heads else [], strict=True):
        yield int(rows.series[begin]), Series(times[begin:end], values[begin:end])


def _in_order_of_time(rows: Rows) -> Rows:
    assert rows.place is not None  # events have theirs
    return rows.take(np.lexsort((rows.place, rows.t_ns)))


def _events(rows: Rows, picked: Picked) -> Iterator[Event]:
    tags = [None] * len(rows) if rows.tags is None else rows.tags.to_pylist()
    columns: tuple[list[Any], ...] = (rows.series.tolist(), rows.values(), milliseconds(rows.t_ns), tags)
    for series, value, t_ms, text in zip(*columns, strict=True):
        source_id, name = picked[series]
        yield Event(name, value, t_ms, json.loads(text) if text else {}, source_id)


def milliseconds(t_ns: Array) -> list[float]:
    """Milliseconds, each rounded once, so that whole milliseconds stay whole."""
    return list(_milliseconds(t_ns))


def _milliseconds(t_ns: Array) -> Sequence[float]:
    whole = t_ns // NS_PER_MS
    if (whole * NS_PER_MS == t_ns).all():
        return Doubles(whole.astype(np.float64))
    return [t / NS_PER_MS for t in t_ns.tolist()]

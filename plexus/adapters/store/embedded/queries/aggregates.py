"""Buckets: partial aggregates of all files and hot tables, merged.

A file's roll-up answers for the buckets that the window holds whole, its points for the rest: those before the first
and after the last, and those of series that no roll-up is kept of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from plexus.adapters.store.embedded.files.bridge import Array
from plexus.adapters.store.embedded.files.partials import Partials, merged, of_rows
from plexus.adapters.store.embedded.files.rows import run_starts, taken, values_of
from plexus.adapters.store.embedded.files.sealedfile import ROLLUP_NS, SealedFile
from plexus.adapters.store.embedded.queries.cut import Asked, Picked
from plexus.domain.series import BucketSeries

NS_PER_MS = 1_000_000


def buckets(asked: Asked, picked: Picked, bucket_ms: int) -> dict[str, dict[str, BucketSeries]]:
    """Aggregates by source and metric."""
    length = bucket_ms * NS_PER_MS
    pieces = [piece for file in asked.files() for piece in _of_file(asked, file, length)]
    pieces += [of_rows(rows, length) for rows in asked.hot()]
    pieces = [piece for piece in pieces if len(piece)]
    asked.question.check()
    return _answer(merged(pieces, length), picked) if pieces else {}


def _of_file(asked: Asked, file: SealedFile, length: int) -> Iterator[Partials]:
    begins, ends = file.bounds_ns
    start, end = max(asked.start_ns, begins), min(asked.end_ns, ends)
    wanted = asked.series
    for level in reversed(file.levels):
        step = ROLLUP_NS[level]
        first, last = -(-start // step) * step, end // step * step
        if length % step or first >= last:
            continue
        held = asked.reader.index(file, level).holds(wanted)
        if held.any():
            own, wanted = wanted[held], wanted[~held]
            for piece in asked.reader.partials(file, level, own, first, last, look=asked.question.read):
                yield merged([piece], length)
            yield from _of_points(asked, file, own, start, first, length)
            yield from _of_points(asked, file, own, last, end, length)
    yield from _of_points(asked, file, wanted, start, end, length)


def _of_points(asked: Asked, file: SealedFile, series: Array, start: int, end: int, length: int) -> Iterator[Partials]:
    if len(series) and start < end and file.first_ns < end and file.last_ns >= start:
        for rows in asked.reader.rows(file, series, start, end, look=asked.question.read):
            yield of_rows(rows, length)


def _answer(found: Partials, picked: Picked) -> dict[str, dict[str, BucketSeries]]:
    times = (found.start_ns // NS_PER_MS).astype(np.float64)
    mean = found.mean()
    heads = run_starts(found.series).tolist()
    answer: dict[str, dict[str, BucketSeries]] = {}
    for begin, end in zip(heads, [*heads[1:], len(found)], strict=True):
        source_id, metric = picked[int(found.series[begin])]
        own = slice(begin, end)
        low, high, average = (_nullable(column[own], found.numbers[own]) for column in (found.low, found.high, mean))
        last = values_of(found.kind[own], found.num[own], taken(found.text, own))
        answer.setdefault(source_id, {})[metric] = BucketSeries(
            times[own].tolist(), low, high, average, found.count[own].tolist(), last, found.numbers[own].tolist()
        )
    return answer


def _nullable(column: Array, numbers: Array) -> list[Any]:
    found: list[Any] = column.tolist()
    if not numbers.all():
        for i in np.flatnonzero(numbers == 0).tolist():
            found[i] = None
    return found

"""Partial aggregates: what a piece of the points says of each bucket, made so that pieces add up to the whole exactly.

Least, most, counts and the last value with its time add up by themselves; sums do as pairs of floats, see `sums`. A
roll-up keeps the partials of one file; a question makes those of what has none, and merges all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import pyarrow as pa

from plexus.adapters.store.embedded.files import sums
from plexus.adapters.store.embedded.files.bridge import Array
from plexus.adapters.store.embedded.files.rows import Rows, joined_text, taken


@attrs.frozen
class Partials:
    """One row a series and bucket, the rows of a series together, ascending in time.

    Attributes:
        series, start_ns: whose, and where the bucket begins.
        low, high: least and most finite number, NaN for none.
        sum, rest: of the finite numbers, as a pair; `shrunk` when both are `sums.SHRINK` times what they are.
        numbers, count: how many finite numbers there are, and how many values.
        last_ns, kind, num, text: the newest value's time, and itself, as in `Rows`.
    """

    series: Array
    start_ns: Array
    low: Array
    high: Array
    sum: Array
    rest: Array
    numbers: Array
    count: Array
    last_ns: Array
    kind: Array
    num: Array
    text: pa.Array | None = None
    shrunk: bool = False

    def __len__(self) -> int:
        return len(self.series)

    def mean(self) -> Array:
        """The means, between least and most."""
        mean = sums.means(self.sum, self.rest, self.numbers)
        return np.fmin(np.fmax(mean / sums.SHRINK if self.shrunk else mean, self.low), self.high)

    def take(self, which: Array | slice) -> Partials:
        """Some of the rows, by their places or a slice."""
        columns: dict[str, Any] = {name: getattr(self, name)[which] for name in _COLUMNS}
        return Partials(**columns, text=taken(self.text, which), shrunk=self.shrunk)


_COLUMNS = tuple(field.name for field in attrs.fields(Partials) if field.name not in ("text", "shrunk"))


def of_rows(rows: Rows, length_ns: int) -> Partials:
    """The partials of rows for buckets of this length."""
    bucket = rows.t_ns // length_ns
    starts = _starts(rows.series, bucket)
    ends = np.append(starts[1:], len(rows)) - 1
    if not len(rows):
        starts = ends = np.zeros(0, np.int64)
    numbers, finite = rows.num, np.isfinite(rows.num)
    counts = ends - starts + 1
    if finite.all():
        low_of = high_of = numbers
        how_many = counts
    else:
        low_of = high_of = np.where(finite, numbers, np.nan)
        numbers = np.where(finite, numbers, 0.0)
        how_many = _reduced(np.add, finite.astype(np.int64), starts)
    shrunk = bool((np.abs(numbers) >= sums.HUGE).any())
    total, rest = sums.sums(numbers * sums.SHRINK if shrunk else numbers, starts)
    return Partials(
        rows.series[starts],
        bucket[starts] * length_ns,
        _reduced(np.fmin, low_of, starts),
        _reduced(np.fmax, high_of, starts),
        total,
        rest,
        how_many,
        counts,
        rows.t_ns[ends],
        rows.kind[ends],
        rows.num[ends],
        taken(rows.text, ends),
        shrunk,
    )


def merged(pieces: Sequence[Partials], length_ns: int) -> Partials:
    """Partials of all pieces together for buckets of this length, of which theirs are parts.

    Of equal times, those of a later piece were committed later.
    """
    whole = _joined(pieces)
    bucket = whole.start_ns // length_ns
    if not _ascending(whole.series, bucket):
        order = np.lexsort((bucket, whole.series))
        whole, bucket = whole.take(order), bucket[order]
    starts = _starts(whole.series, bucket)
    if len(starts) == len(whole):
        return attrs.evolve(whole, start_ns=bucket * length_ns)
    ends = np.append(starts[1:], len(whole))
    both, rest = sums.sums(sums.interleaved(whole.sum, whole.rest), 2 * starts)
    last = whole.take(_last(whole.last_ns, starts, ends))
    return attrs.evolve(
        last,
        start_ns=bucket[starts] * length_ns,
        low=_reduced(np.fmin, whole.low, starts),
        high=_reduced(np.fmax, whole.high, starts),
        sum=both,
        rest=rest,
        numbers=_reduced(np.add, whole.numbers, starts),
        count=_reduced(np.add, whole.count, starts),
    )


def _joined(pieces: Sequence[Partials]) -> Partials:
    if len(pieces) == 1:
        return pieces[0]
    if any(piece.shrunk for piece in pieces):
        pieces = [piece if piece.shrunk else _shrunk(piece) for piece in pieces]
    columns: dict[str, Any] = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in _COLUMNS}
    return Partials(**columns, text=joined_text(pieces, "text"), shrunk=pieces[0].shrunk)


def _shrunk(piece: Partials) -> Partials:
    return attrs.evolve(piece, sum=piece.sum * sums.SHRINK, rest=piece.rest * sums.SHRINK, shrunk=True)


def _starts(series: Array, bucket: Array) -> Array:
    """Where groups of equal series and bucket begin."""
    changed = np.empty(len(series), bool)
    changed[:1] = True
    np.not_equal(series[1:], series[:-1], out=changed[1:])
    changed[1:] |= bucket[1:] != bucket[:-1]
    return np.flatnonzero(changed)


def _ascending(series: Array, bucket: Array) -> bool:
    """Whether rows of a series and bucket lie together already: a series once, its buckets ascending."""
    changes = np.flatnonzero(series[1:] != series[:-1])
    heads = series[np.append(0, changes + 1)] if len(series) else series
    if len(np.unique(heads)) != len(heads):
        return False
    return not ((bucket[1:] < bucket[:-1]) & (series[1:] == series[:-1])).any()


def _last(last_ns: Array, starts: Array, ends: Array) -> Array:
    """The place of the newest in each group; of equal ones the last."""
    lengths = ends - starts
    newest = np.repeat(np.maximum.reduceat(last_ns, starts), lengths)
    places = np.where(last_ns == newest, np.arange(len(last_ns)), -1)
    return np.maximum.reduceat(places, starts)


def _reduced(how: np.ufunc, column: Array, starts: Array) -> Array:
    found: Array = how.reduceat(column, starts) if len(starts) else column[:0]
    return found

"""Points on their way between hot tables, files and answers: columns of numpy, sorted by series and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs
import numpy as np
import pyarrow as pa

from plexus.adapters.store.embedded.files import jsontexts
from plexus.adapters.store.embedded.files.bridge import Array, arrow, arrow_text, numbers, united
from plexus.adapters.store.embedded.values import INT, PACKED
from plexus.domain.values import Value

TEXT_COLUMNS = ("text", "tags", "run_id")


@attrs.frozen
class Rows:
    """Rows of one piece, the rows of a series together, ascending in time, equal times in the order of commit.

    Attributes:
        series, t_ns, kind, num: int32, int64, uint8, float64; see `values`. `num` is NaN for what is no number.
        text: the JSON of the values of kind PACKED, null for others; None for all null.
        tags, run_id: text or null; None for all null.
        place: of events, their place in the order of commit within the piece (int64).
    """

    series: Array
    t_ns: Array
    kind: Array
    num: Array
    text: pa.Array | None = None
    tags: pa.Array | None = None
    run_id: pa.Array | None = None
    place: Array | None = None

    def __len__(self) -> int:
        return len(self.series)

    def take(self, which: Array | slice) -> Rows:
        """Some of the rows, by their places or a slice."""
        return Rows(
            self.series[which],
            self.t_ns[which],
            self.kind[which],
            self.num[which],
            taken(self.text, which),
            taken(self.tags, which),
            taken(self.run_id, which),
            None if self.place is None else self.place[which],
        )

    def values(self) -> list[Value]:
        """The values as they came."""
        return values_of(self.kind, self.num, self.text)


def run_starts(series: Array) -> Array:
    """Where each run of the same series begins."""
    changed = np.ones(len(series), bool)
    np.not_equal(series[1:], series[:-1], out=changed[1:])
    return np.flatnonzero(changed)


def taken(column: pa.Array | None, which: Array | slice) -> pa.Array | None:
    """The same of a column of Arrow."""
    if column is None:
        return None
    return column[which] if isinstance(which, slice) else column.take(arrow(which))


def values_of(kind: Array, num: Array, text: pa.Array | None) -> list[Value]:
    """Values of rows from their three columns. Numbers cost no step of Python each where they are of one type."""
    if not kind.any():
        return cast("list[Value]", num.tolist())
    if (kind == INT).all():
        return cast("list[Value]", num.astype(np.int64).tolist())
    packed = np.flatnonzero(kind == PACKED)
    assert text is not None or not len(packed)  # a packed value has its text
    values = jsontexts.read(text.take(arrow(packed)).to_pylist()) if text is not None else []
    if len(packed) == len(kind):
        return values
    found: list[Any] = num.tolist()
    for i in np.flatnonzero(kind == INT).tolist():
        found[i] = int(found[i])
    for i, value in zip(packed.tolist(), values, strict=True):
        found[i] = value
    return found


def texts(kind: Array, packed: pa.Array) -> pa.Array | None:
    """The JSON of packed values, null elsewhere; each distinct one is made once. None when nothing is packed."""
    where = np.flatnonzero(kind == PACKED)
    if not len(where):
        return None
    encoded = packed.take(arrow(where)).dictionary_encode()
    written = arrow_text(jsontexts.written(encoded.dictionary.to_pylist()))
    codes = np.zeros(len(kind), np.int32)
    codes[where] = numbers(encoded.indices)
    return written.take(arrow(codes, kind != PACKED))


def joined(pieces: Sequence[Rows]) -> Rows:
    """Pieces behind each other; `place` counts on."""
    if len(pieces) == 1:
        return pieces[0]
    series, t_ns, kind, num = (
        np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("series", "t_ns", "kind", "num")
    )
    text, tags, run_id = (joined_text(pieces, name) for name in TEXT_COLUMNS)
    place = None
    if pieces and pieces[0].place is not None:
        ends = np.cumsum([0, *(_places(piece) for piece in pieces)])
        place = np.concatenate([piece.place + end for piece, end in zip(pieces, ends[:-1].tolist(), strict=True)])
    return Rows(series, t_ns, kind, num, text, tags, run_id, place)


def _places(piece: Rows) -> int:
    return int(piece.place.max()) + 1 if piece.place is not None and len(piece) else 0


def joined_text(pieces: Sequence[Any], name: str) -> pa.Array | None:
    """A column of text of pieces behind each other."""
    columns = [getattr(piece, name) for piece in pieces]
    if all(column is None for column in columns):
        return None
    filled = [
        pa.nulls(len(piece), pa.string()) if column is None else column
        for piece, column in zip(pieces, columns, strict=True)
    ]
    return pa.concat_arrays(filled)


def sorted_rows(rows: Rows, rank: Array) -> Rows:
    """Rows in the order of commit sorted by `rank` (one a row) and time; equal times stay as they are."""
    if len(rank) and int(rank.max()) < 2**16:
        rank = rank.astype(np.uint16)  # for these numpy has a radix sort: 8 ns a row, where others cost 80
    order = np.argsort(rank, kind="stable")
    ranked, t_ns = rank[order], rows.t_ns[order]
    if ((t_ns[1:] < t_ns[:-1]) & (ranked[1:] == ranked[:-1])).any():
        order = np.lexsort((rows.t_ns, rank))
    elif (order[1:] > order[:-1]).all():
        return rows
    return rows.take(order)


def of_table(table: pa.Table, extras: Mapping[int, tuple[str | None, str | None]], *, places: bool) -> Rows:
    """Rows of a hot table, points or events, as they lie; `extras` says what its numbers stand for."""
    kind = numbers(table.column("kind")) if "kind" in table.column_names else np.full(len(table), PACKED, np.uint8)
    num = numbers(table.column("num")) if "num" in table.column_names else np.full(len(table), np.nan)
    packed = texts(kind, united(table.column("packed")))
    tags, run_id = _extras_of(united(table.column("extra")), extras)
    series, t_ns = numbers(table.column("series")), numbers(table.column("t_ns"))
    return Rows(series, t_ns, kind, num, packed, tags, run_id, np.arange(len(table)) if places else None)


def _extras_of(
    extra: pa.Array, extras: Mapping[int, tuple[str | None, str | None]]
) -> tuple[pa.Array | None, pa.Array | None]:
    encoded = extra.dictionary_encode()  # np.unique holds the interpreter for 20 ms for a million
    present = encoded.dictionary.to_pylist()
    if not any(present):
        return None, None
    pairs = [extras[number] if number else (None, None) for number in present]
    tags, run_ids = (arrow_text([text or None for text in column]) for column in zip(*pairs, strict=True))
    return _none_for_nulls(tags.take(encoded.indices)), _none_for_nulls(run_ids.take(encoded.indices))


def _none_for_nulls(column: pa.Array) -> pa.Array | None:
    return None if column.null_count == len(column) else column

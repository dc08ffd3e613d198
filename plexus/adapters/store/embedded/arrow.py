"""Points as Arrow tables, the form in which they reach the hot tables and the files.

| Column | Type | |
|---|---|---|
| `series` | int32 | the series' id in the catalogue: organisation, source, metric, and which of both kinds |
| `t_ns` | int64 | nanoseconds since 1970 UTC |
| `kind`, `num`, `packed` | uint8, float64, binary | the value, see `values`; of an event `packed` alone, in full |
| `extra` | int32 | 0, or the number of a pair of tags and run id in the `Extras` that the table goes with |

Rows lie in the order of commit. No column has nulls. Most points have neither tags nor a run id, and most that do
share them, so that a pair is kept once and a point that has none pays nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, repeat
from typing import Any, Union

import attrs
import msgspec
import pyarrow as pa

from plexus.adapters.store.embedded.parts import Part
from plexus.adapters.store.embedded.values import pack

_SERIES, _TIME = pa.field("series", pa.int32(), nullable=False), pa.field("t_ns", pa.int64(), nullable=False)
_KIND, _NUM = pa.field("kind", pa.uint8(), nullable=False), pa.field("num", pa.float64(), nullable=False)
_PACKED, _EXTRA = pa.field("packed", pa.binary(), nullable=False), pa.field("extra", pa.int32(), nullable=False)

POINTS = pa.schema([_SERIES, _TIME, _KIND, _NUM, _PACKED, _EXTRA])
EVENTS = pa.schema([_SERIES, _TIME, _PACKED, _EXTRA])

Extra = tuple[str, Union[str, None]]
"""Tags as a JSON object ("" for none) and a run id."""

MAX_NUMBER = 2**31 - 1

MAX_BATCHES = 2_048
"""Pieces in which rows wait; of more, the small ones are put together."""

LARGE_BATCH = 65_536
"""Rows from which on a piece is not copied again."""

FREED = 128
"""Pieces that are freed together: half a millisecond."""


class Numbers:
    """Where the extras of all segments of one store get their numbers, so that no two mean different things.

    From the largest one on they begin anew: by then what had the first ones is long sealed.
    """

    def __init__(self, first: int = 1) -> None:
        self._next = first

    def take(self) -> int:
        """The next number."""
        number = self._next
        self._next = number + 1 if number < MAX_NUMBER else 1
        return number


class Extras:
    """The pairs that the points of one segment, or of one table, have. They go when it goes."""

    def __init__(self, numbers: Numbers) -> None:
        self._take = numbers.take
        self._numbers: dict[tuple[bytes | None, str | None], int] = {(None, None): 0}
        self.pairs: dict[int, Extra] = {}

    def number(self, tags: Mapping[str, str] | None, run_id: str | None) -> int:
        """The number of a pair, a new one where it was not met before."""
        key = (_encode(tags) if tags else None, run_id)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._take()
            self.pairs[number] = (key[0] or b"").decode(), run_id
        return number


@attrs.define
class Rows:
    """Rows on their way, as record batches: made while the points are in the processor's cache."""

    extras: Extras
    points: list[pa.RecordBatch] = attrs.field(factory=list)
    events: list[pa.RecordBatch] = attrs.field(factory=list)
    count: int = 0

    def add(self, parts: Iterable[Part]) -> None:
        """Put these behind the others."""
        for part in parts:
            if len(part):
                if part.is_event:
                    self.events.append(_events(part, self.extras))
                else:
                    self.points.append(_points(part, self.extras))
                self.count += len(part)

    def gather(self) -> None:
        """Put the small batches together when they are many: each takes some kilobytes, however small it is."""
        if len(self.points) > MAX_BATCHES:
            self.points = _gathered(self.points, POINTS)
        if len(self.events) > MAX_BATCHES:
            self.events = _gathered(self.events, EVENTS)

    def clear(self) -> None:
        """They are elsewhere now; their extras stay."""
        self.points, self.events, self.count = [], [], 0

    def dissolve(self) -> Iterator[None]:
        """Let go of them a lot at a time: to free a million at once takes the interpreter 10 ms."""
        for batches in (self.points, self.events):
            while batches:
                del batches[-FREED:]
                yield


def _gathered(batches: list[pa.RecordBatch], schema: pa.Schema) -> list[pa.RecordBatch]:
    """The same rows in few batches: those that are large already, which are the first ones, stay as they are."""
    large = next((at for at, batch in enumerate(batches) if batch.num_rows < LARGE_BATCH), len(batches))
    small: list[pa.RecordBatch] = pa.Table.from_batches(batches[large:], schema).combine_chunks().to_batches()
    return batches[:large] + small


@attrs.frozen
class Tables:
    """The rows of some stretch of the journal in the order of commit, and what their `extra` means."""

    points: pa.Table
    events: pa.Table
    extras: Mapping[int, Extra]


def tables_of(rows: Rows) -> Tables:
    """Rows as tables, without a database: for who seals what was never asked for."""
    points, events = pa.Table.from_batches(rows.points, POINTS), pa.Table.from_batches(rows.events, EVENTS)
    return Tables(points, events, rows.extras.pairs)


def _points(part: Part, extras: Extras) -> pa.RecordBatch:
    count = len(part)
    kinds, nums, packed = part.split()
    columns = [
        _numbers("i", part.series),
        _numbers("q", part.t_ns),
        _array(pa.uint8(), count, kinds),
        _numbers("d", nums),
        _blobs(packed, count),
        _numbers("i", _extras_of(part, extras)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=POINTS)


def _events(part: Part, extras: Extras) -> pa.RecordBatch:
    columns = [
        _numbers("i", part.series),
        _numbers("q", part.t_ns),
        _blobs(list(map(pack, part.values())), len(part)),
        _numbers("i", _extras_of(part, extras)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=EVENTS)


def _extras_of(part: Part, extras: Extras) -> Any:
    count, of_series = len(part), part.extras_of_series()
    if of_series is not None:
        return part.spread([extras.number(*pair) for pair in of_series])
    tags, run_ids = part.tags, part.run_id
    if tags is None and run_ids is None:
        return bytes(4 * count)
    if isinstance(run_ids, list):
        return list(map(extras.number, tags or repeat(None, count), run_ids))
    if tags is None:
        return [extras.number(None, run_ids)] * count
    # Points that have the same tags mostly share the object, which is alive for as long as its column is.
    none, known = extras.number(None, run_ids), _ByIdentity(extras, run_ids)
    return [none if pairs is None else known.get(id(pairs)) or known.learn(pairs) for pairs in tags]


class _ByIdentity(dict[int, int]):
    """The numbers of one column's tags, all with one run id, by the identity of their objects."""

    def __init__(self, extras: Extras, run_id: str | None) -> None:
        super().__init__()
        self._extras, self._run_id = extras, run_id

    def learn(self, tags: Mapping[str, str]) -> int:
        """The number of tags that were not met before."""
        number = self[id(tags)] = self._extras.number(tags, self._run_id)
        return number


# `pa.array` takes lists too, at twice the time, and imports pandas for it where there is one.
_TYPES = {"i": pa.int32(), "q": pa.int64(), "d": pa.float64()}
_SIZES = {"i": 4, "q": 8, "d": 8}


def _numbers(code: str, column: Any) -> pa.Array:
    """A column of a list of numbers, or of a buffer that holds them as they are."""
    if isinstance(column, list):
        return _array(_TYPES[code], len(column), struct.pack(f"={len(column)}{code}", *column))
    return _array(_TYPES[code], memoryview(column).nbytes // _SIZES[code], column)


def _blobs(column: Sequence[bytes] | None, count: int) -> pa.Array:
    """A column of bytes; None for one of nothing but empty ones."""
    if column is None:
        return _array(pa.binary(), count, bytes(4 * (count + 1)), b"")
    ends = struct.pack(f"={count + 1}i", 0, *accumulate(map(len, column)))
    return _array(pa.binary(), count, ends, b"".join(column))


def _array(kind: Any, count: int, *buffers: Any) -> pa.Array:
    """An Arrow array without nulls."""
    return pa.Array.from_buffers(kind, count, [None, *map(pa.py_buffer, buffers)])


_encode = msgspec.json.Encoder().encode

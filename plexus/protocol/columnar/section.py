"""A section: one block's points, its series listed once, their order, their times and their values.

Values of one series lie together where there are enough of each; many short series share one column.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, TypeVar

import attrs

from plexus.domain.errors import ProtocolError
from plexus.domain.values import Value
from plexus.protocol import jsontext
from plexus.protocol.block import Block
from plexus.protocol.columnar.integers import write_ints
from plexus.protocol.columnar.layout import Reader, Writer, as_column
from plexus.protocol.columnar.times import read_times, write_times
from plexus.protocol.columnar.values import read_indices, read_values, write_samples, write_values

IN_TURN, BY_INDEX = range(2)
TOGETHER, GROUPED = range(2)
MIN_GROUP = 16
"""A series has a column of its own where there are so many points of each on average."""

_SAME_FOR_ALL = (str, bool, Mapping, type(None))
"""What stands in a block for a whole column."""

_T = TypeVar("_T")


@attrs.frozen(eq=False)
class Section:
    """Points as they came: what stands in `metrics`, `tags`, `run_ids` and in objects is not checked yet.

    Attributes:
        metrics, events, tags, run_ids: one entry a series; whatever JSON says, but for `events`.
        index: the series of each point; None when they take turns.
        t_ns: nanoseconds since 1970 UTC, each in 64 bits.
        values: one for each point; an array where they were sent as samples.
    """

    metrics: Sequence[Any]
    events: Sequence[bool]
    tags: Sequence[Any]
    run_ids: Sequence[Any]
    index: Sequence[int] | None
    t_ns: Sequence[int]
    values: list[Value] | array[Any]

    def __len__(self) -> int:
        return len(self.t_ns)

    def spread(self, of_series: Sequence[_T]) -> list[_T]:
        """What belongs to each series as what belongs to each point."""
        n, count = len(self), len(of_series)
        if self.index is not None:
            return list(map(of_series.__getitem__, self.index))
        return list(of_series) * (n // count) + list(of_series[: n % count])


# --- writing -----------------------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class _Series:
    """The series of a block as columns of equal length, and the number of each point's (None: they take turns)."""

    metrics: Sequence[str]
    events: Sequence[bool]
    tags: Sequence[Mapping[str, str] | None]
    run_ids: Sequence[str | None]
    index: list[int] | None

    def __len__(self) -> int:
        return len(self.metrics)


def write_section(out: Writer, block: Block) -> None:
    """A block that is not empty; raises ProtocolError naming the metric at fault."""
    _check_lengths(block)
    series = _series_of(block)
    out.blob(jsontext.dumps(_listing(series)).encode())
    if series.index is None:
        out.byte(IN_TURN)
    else:
        out.byte(BY_INDEX)
        write_ints(out, series.index, 0, len(series) - 1)
    write_times(out, block.t_ns, len(series) if series.index is None else 1)
    try:
        _write_columns(out, as_column(block.value), series)
    except ProtocolError as exc:
        raise _blamed(block, exc) from exc


def _series_of(block: Block) -> _Series:
    if isinstance(block.metric, str) and not _varies(block):
        tags = block.tags if isinstance(block.tags, Mapping) else None
        run_id = block.run_id if isinstance(block.run_id, str) else None
        return _Series([block.metric], [bool(block.is_event)], [tags], [run_id], None)
    if not _varies(block):
        names, index = _turns(list(block.metric), list)
        count = len(names)
        return _Series(names, block.events()[:count], block.tag_list()[:count], block.run_ids()[:count], index)
    rows = list(zip(block.metrics(), block.events(), block.tag_list(), block.run_ids(), strict=True))
    firsts, index = _turns(rows, _hashable)
    metrics, events, tag_list, run_ids = zip(*firsts, strict=True)
    return _Series(metrics, events, tag_list, run_ids, index)


def _check_lengths(block: Block) -> None:
    for name in ("value", "metric", "is_event", "tags", "run_id"):
        column = getattr(block, name)
        if not isinstance(column, _SAME_FOR_ALL) and len(column) != len(block):
            raise ProtocolError(f"a block of {len(block)} times cannot have {len(column)} of {name}", field=name)


def _varies(block: Block) -> bool:
    """Whether anything but the name differs from point to point."""
    uniform = isinstance(block.is_event, bool) and (block.tags is None or isinstance(block.tags, Mapping))
    return not uniform or not (block.run_id is None or isinstance(block.run_id, str))


def _turns(rows: list[Any], keys_of: Callable[[list[Any]], list[Any]]) -> tuple[list[Any], list[int] | None]:
    """What is different in `rows`, and which of it each row is; None when they take turns."""
    n = len(rows)
    try:
        period = rows.index(rows[0], 1)
    except ValueError:
        period = n
    if period < n and (rows[:period] * (n // period + 1))[:n] == rows:
        return rows[:period], None
    keys = keys_of(rows)
    firsts = dict(zip(reversed(keys), reversed(rows), strict=True))
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    if len(number) == n:
        return rows, None
    return [firsts[key] for key in number], list(map(number.__getitem__, keys))


def _hashable(rows: list[Any]) -> list[Any]:
    return [(metric, event, tuple(tags.items()) if tags else None, run_id) for metric, event, tags, run_id in rows]


def _listing(series: _Series) -> dict[str, Any]:
    """The series as JSON; what is the same for all of them stands there once, and what is usual not at all."""
    listing: dict[str, Any] = {"m": list(series.metrics)}
    events = series.events
    if True in events:
        listing["e"] = True if False not in events else list(events)
    for name, column in (("t", series.tags), ("r", series.run_ids)):
        if any(entry is not None for entry in column):
            first = column[0]
            listing[name] = first if all(entry == first for entry in column) else list(column)
    return listing


def _write_columns(out: Writer, values: list[Value] | array[Any], series: _Series) -> None:
    n, count = len(values), len(series)
    if isinstance(values, array):
        if count == 1:
            out.byte(GROUPED)
            write_samples(out, values)
            return
        values = values.tolist()
    if count * MIN_GROUP > n and count > 1:
        out.byte(TOGETHER)
        write_values(out, values)
        return
    out.byte(GROUPED)
    if series.index is None:
        for turn in range(count):
            write_values(out, values[turn::count] if count > 1 else values)
        return
    grouped = list(map(values.__getitem__, sorted(range(n), key=series.index.__getitem__)))
    lengths = Counter(series.index)
    ends = list(accumulate((lengths[i] for i in range(count)), initial=0))
    for start, end in pairwise(ends):
        write_values(out, grouped[start:end])


def _blamed(block: Block, fault: ProtocolError) -> ProtocolError:
    """The fault with the name of the metric whose value it is."""
    for metric, value in zip(block.metrics(), block.value, strict=True):
        try:
            write_values(Writer(), [value])
        except ProtocolError as exc:
            return ProtocolError(f"metric {metric!r}: {exc}", field="value")
    return fault


# --- reading -----------------------------------------------------------------------------------------------------


def read_section(source: Reader, n: int) -> Section:
    """The next section, of `n` points; raises ProtocolError."""
    metrics, events, tags, run_ids = read_listing(source.blob(), n)
    index = None
    if (order := source.byte()) == BY_INDEX:
        index = read_indices(source, n, len(metrics))
    elif order != IN_TURN:
        raise ProtocolError(f"series cannot be in order {order}")
    t_ns = read_times(source, n)
    values = _read_columns(source, n, len(metrics), index)
    return Section(metrics, events, tags, run_ids, index, t_ns, values)


def read_listing(blob: bytes, n: int) -> tuple[list[Any], list[bool], list[Any], list[Any]]:
    """Metrics, classes, tags and run ids of the series of a section of `n` points; raises ProtocolError."""
    listing = jsontext.loads(blob)
    metrics = listing.get("m") if isinstance(listing, dict) else None
    if not isinstance(metrics, list) or not 1 <= len(metrics) <= n:
        raise ProtocolError("a section must list from one series to as many as it has points")
    events, tags, run_ids = (_column_of(listing.get(name), len(metrics)) for name in "etr")
    if not all(event is None or isinstance(event, bool) for event in events):
        raise ProtocolError("the class of a series must be true (event) or false (metric)")
    return metrics, list(map(bool, events)), tags, run_ids


def _column_of(entry: Any, count: int) -> list[Any]:
    if not isinstance(entry, list):
        return [entry] * count
    if len(entry) != count:
        raise ProtocolError(f"a section of {count} series must say as much of each")
    return entry


def _read_columns(source: Reader, n: int, count: int, index: list[int] | None) -> list[Value] | array[Any]:
    if (grouped := source.byte()) not in (TOGETHER, GROUPED):
        raise ProtocolError(f"values cannot lie together in way {grouped}")
    if grouped == TOGETHER or count == 1:
        return read_values(source, n)
    if index is None:
        values: list[Value] = [0] * n
        for turn in range(count):
            values[turn::count] = read_values(source, len(range(turn, n, count)))
        return values
    lengths = Counter(index)
    parts = [iter(read_values(source, lengths[i]) if lengths[i] else ()) for i in range(count)]
    return list(map(next, map(parts.__getitem__, index)))

"""Reads a columnar body into arrays, several times faster than `read_body` and never different.

What is of the plain kind only: at anything else, a bad body included, it gives up without a judgement, and who called
goes to `plexus.protocol.columnar.points`, which knows every rule. A fuzz test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Union

import attrs
import numpy as np
import numpy.typing as npt

from plexus.domain.errors import ProtocolError
from plexus.domain.event import MAX_TEXT_BYTES
from plexus.domain.point import MAX_ABS_NS
from plexus.protocol.columnar import floats, integers, points, section, times, values
from plexus.protocol.columnar.arrays import ArrayColumns, ArraySection, Column
from plexus.protocol.columnar.body import open_body, section_lengths
from plexus.protocol.columnar.layout import SAMPLE_TYPES, Reader
from plexus.protocol.columns import Decoded

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MIN_BODY = 512
"""Bytes; a shorter body has so few points that lists are made sooner than arrays."""

MAX_LISTING_KEPT = 4_096
"""Bytes; a source sends the same listing again and again."""

SAFE = 2**62
"""Sums of whole numbers that stay under this fit 64 bits."""

EXACT = 2**53
"""Whole numbers up to this are the same as floats."""

SMALL, LARGE = 1e-100, 1e100
"""A scale between these brings no count out of the range of floats."""

_SAMPLES = {code: np.dtype(code).newbyteorder("<") for code in SAMPLE_TYPES}
_WORDS = {width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}


class _NotPlainError(Exception):
    """Gives up; never leaves this module."""


@attrs.frozen(eq=False)
class _Listing:
    metrics: Sequence[str]
    is_event: bool
    tags: Sequence[Mapping[str, str] | None]
    run_ids: Sequence[str | None]


def read(body: bytes, source_id: str, max_points: int) -> ArrayColumns | None:
    """The points of a body, of this source; None when it is not plain, and nothing is said about it."""
    try:
        source = open_body(body)
        sections = [_section(source, n) for n in section_lengths(source, max_points)]
        source.check_ended()
    except (ProtocolError, _NotPlainError):
        return None
    return ArrayColumns(source_id, body, sections)


def decode_points(body: bytes, *, source_id: str | None, max_points: int) -> Decoded:
    """The same as `columnar.decode_points`, for any body; arrays where there is something to gain."""
    if source_id is not None and len(body) >= MIN_BODY:
        columns = read(body, source_id, max_points)
        if columns is not None:
            return Decoded(columns)
    return points.decode_points(body, source_id=source_id, max_points=max_points)


def _section(source: Reader, n: int) -> ArraySection:
    blob = source.blob()
    listing = _kept_listing(blob) if len(blob) <= MAX_LISTING_KEPT else _read_listing(blob)
    count = 0 if listing is None else len(listing.metrics)
    if listing is None or count > n:
        raise _NotPlainError
    index = None
    if (order := source.byte()) == section.BY_INDEX:
        index = _ints(source, n)
        if int(index.min()) < 0 or int(index.max()) >= count:
            raise _NotPlainError
    elif order != section.IN_TURN:
        raise _NotPlainError
    t_ns = _times(source, n)
    columns = _columns(source, n, count, index, is_event=listing.is_event)
    return ArraySection(listing.metrics, listing.tags, listing.run_ids, listing.is_event, index, t_ns, columns)


def _read_listing(blob: bytes) -> _Listing | None:
    """What the series are; None when they are not plain, or of both kinds."""
    try:
        metrics, events, tags, run_ids = section.read_listing(blob, len(blob))
    except ProtocolError:
        return None
    if len(set(events)) > 1 or not points.is_plain_listing(metrics, tags, run_ids):
        return None
    return _Listing(metrics, events[0], [entry or None for entry in tags], run_ids)


_kept_listing = lru_cache(maxsize=1_024)(_read_listing)


# --- values ------------------------------------------------------------------------------------------------------


def _columns(source: Reader, n: int, count: int, index: Ints | None, *, is_event: bool) -> list[Column]:
    grouped = source.byte()
    if grouped == section.TOGETHER or (grouped == section.GROUPED and count == 1):
        return [(slice(0, n, 1), _values(source, n, is_event=is_event))]
    if grouped != section.GROUPED:
        raise _NotPlainError
    if index is None:
        return [
            (slice(turn, n, count), _values(source, len(range(turn, n, count)), is_event=is_event))
            for turn in range(count)
        ]
    lengths = np.bincount(index, minlength=count)
    places = np.split(np.argsort(index, kind="stable"), np.cumsum(lengths)[:-1])
    return [(own, _values(source, len(own), is_event=is_event)) for own in places if len(own)]


def _values(source: Reader, n: int, *, is_event: bool) -> Union[Floats, Ints, list[Any]]:
    kind = source.peek()
    if kind == values.FLOATS:
        source.byte()
        return _floats(source, n)
    if kind == values.INTS:
        source.byte()
        return _ints(source, n)
    if kind == values.SAMPLES:
        source.byte()
        return _samples(source, n)
    if kind not in (values.BOOLS, values.TEXTS):
        raise _NotPlainError
    column = values.read_values(source, n)
    assert isinstance(column, list)  # of these kinds
    if is_event and kind == values.TEXTS and max(len(str(text)) for text in column) > MAX_TEXT_BYTES // 4:
        raise _NotPlainError
    return column


def _samples(source: Reader, n: int) -> Union[Floats, Ints]:
    code = source.byte()
    if code >= len(SAMPLE_TYPES):
        raise _NotPlainError
    kind = _SAMPLES[SAMPLE_TYPES[code]]
    column = np.frombuffer(source.words(n, kind.itemsize), kind)
    if kind.kind == "f":
        return column.astype(np.float64)
    if kind.kind == "u" and kind.itemsize == 8 and int(column.max()) >= 2**63:
        raise _NotPlainError
    return column.astype(np.int64)


def _floats(source: Reader, n: int) -> Floats:
    kind = source.byte()
    if kind == floats.BITS:
        return np.frombuffer(source.words(n, 8), "<f8")
    if kind not in (floats.DIVIDED, floats.MULTIPLIED):
        raise _NotPlainError
    factor = source.double()
    if not SMALL <= abs(factor) <= LARGE:
        raise _NotPlainError
    counts = _ints(source, n)
    if int(counts.min()) < -EXACT or int(counts.max()) > EXACT:
        raise _NotPlainError
    column = counts / factor if kind == floats.DIVIDED else counts * factor
    return _patched(source, column.astype(np.float64, copy=False), n)


def _patched(source: Reader, column: Floats, n: int) -> Floats:
    patch = source.byte()
    if patch == floats.EXACT:
        return column
    if patch == floats.MINUS_ZEROS:
        count = source.uint()
        if not 0 < count <= n:
            raise _NotPlainError
        fixes = _ints(source, count)
        if int(fixes.min()) < 0 or int(fixes.max()) >= n:
            raise _NotPlainError
        column[fixes] = -0.0
        return column
    if patch != floats.ULPS:
        raise _NotPlainError
    words, ulps = column.view(np.int64), _ints(source, n)
    lowest, highest = int(words.min()) + int(ulps.min()), int(words.max()) + int(ulps.max())
    if lowest < -(2**63) or highest >= 2**63:
        raise _NotPlainError
    return (words + ulps).view(np.float64)


# --- whole numbers -----------------------------------------------------------------------------------------------


def _times(source: Reader, n: int) -> Ints:
    kind = source.byte()
    if kind == times.EVEN:
        first, step = source.sint(), source.sint()
        if abs(step) >= SAFE:
            raise _NotPlainError
        _check_times(*sorted((first, first + (n - 1) * step)))
        return np.arange(n, dtype=np.int64) * step + first
    if kind == times.STEPS:
        first = source.sint()
        column = _summed(first, _steps(source, n - 1))
    elif kind == times.ABSOLUTE:
        column = _ints(source, n)
    else:
        raise _NotPlainError
    _check_times(int(column.min()), int(column.max()))
    return column


def _check_times(lowest: int, highest: int) -> None:
    if lowest < -MAX_ABS_NS or highest > MAX_ABS_NS:
        raise _NotPlainError


def _steps(source: Reader, n: int) -> Ints:
    unit, period = source.uint(), source.uint()
    if not 1 <= period <= max(n, 1) or unit >= SAFE:
        raise _NotPlainError
    if period == 1:
        steps = _ints(source, n)
    else:
        steps = np.empty(n, np.int64)
        for turn in range(period):
            steps[turn::period] = _ints(source, len(range(turn, n, period)))
    if unit == 1 or not n:
        return steps
    if _reach(steps) * unit >= SAFE:
        raise _NotPlainError
    return steps * unit


def _ints(source: Reader, n: int) -> Ints:
    """A column of whole numbers of 64 bits with a sign."""
    if not n:
        return np.empty(0, np.int64)
    kind = source.byte()
    if kind == integers.STEPS:
        first = source.sint()
        return _summed(first, _flat(source, source.byte(), n - 1))
    return _flat(source, kind, n)


def _flat(source: Reader, kind: int, n: int) -> Ints:
    if kind == integers.CONSTANT:
        value = source.sint()
        if abs(value) >= SAFE:
            raise _NotPlainError
        return np.full(n, value, np.int64)
    if kind != integers.OFFSETS:
        raise _NotPlainError
    base = source.sint()
    content = source.words(n, 8, shortest=True)
    words = np.frombuffer(content, _WORDS[len(content) // n] if n else np.dtype("<u1"))
    if abs(base) >= SAFE or (words.dtype.itemsize == 8 and n and int(words.max()) >= SAFE):
        raise _NotPlainError
    column = words.astype(np.int64)
    if base:
        column += base
    return column


def _summed(first: int, steps: Ints) -> Ints:
    """Where the steps lead from `first` on."""
    n = len(steps)
    if abs(first) + (n * _reach(steps) if n else 0) >= 2**63:
        raise _NotPlainError
    column = np.empty(n + 1, np.int64)
    column[0] = first
    np.cumsum(steps, out=column[1:])
    column[1:] += first
    return column


def _reach(steps: Ints) -> int:
    return max(abs(int(steps.min())), abs(int(steps.max())))

"""Value columns by type: what goes in comes out with its type and its last bit."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from itertools import accumulate, pairwise
from typing import Any

from plexus.domain.errors import ProtocolError, UnsupportedValueError
from plexus.domain.values import MAX_INT, MIN_INT, Value, freeze
from plexus.protocol import jsontext
from plexus.protocol.columnar.floats import read_floats, write_floats
from plexus.protocol.columnar.integers import MAX_SPAN, read_ints, write_ints
from plexus.protocol.columnar.layout import SAMPLE_TYPES, Reader, Writer, little

FLOATS, INTS, BOOLS, TEXTS, OBJECTS, MIXED, SAMPLES = range(7)

_KINDS: Mapping[type, int] = {float: FLOATS, int: INTS, bool: BOOLS, str: TEXTS, dict: OBJECTS, list: OBJECTS}


def write_samples(out: Writer, samples: array[Any]) -> None:
    """A column that is an array already."""
    out.byte(SAMPLES)
    out.byte(SAMPLE_TYPES.index(samples.typecode))
    out.planes(little(samples), samples.itemsize, samples.itemsize)


def write_values(out: Writer, column: list[Value]) -> None:
    """A column of any values, not empty; raises ProtocolError for one that no wire carries."""
    types = set(map(type, column))
    if not _KINDS.keys() >= types:
        column = [_plain(value) for value in column]
        types = set(map(type, column))
    kind, *more = {_KINDS[name] for name in types}
    if more:
        _write_mixed(out, column)
    else:
        out.byte(kind)
        _WRITERS[kind](out, column)


def read_values(source: Reader, n: int) -> list[Value] | array[Any]:
    """A column of `n` values, at least one. What an OBJECTS column holds is whatever its JSON says."""
    kind = source.byte()
    if kind == SAMPLES:
        code = source.byte()
        if code >= len(SAMPLE_TYPES):
            raise ProtocolError(f"samples cannot be of type {code}")
        return source.planes(n, SAMPLE_TYPES[code])
    if kind == MIXED:
        return _read_mixed(source, n)
    if kind not in _READERS:
        raise ProtocolError(f"a column of values cannot be of kind {kind}")
    return _READERS[kind](source, n)


def _plain(value: Any) -> Value:
    try:
        return freeze(value, "")
    except UnsupportedValueError:
        raise ProtocolError(f"a value of type {type(value).__name__} cannot be sent") from None


# --- one type ------------------------------------------------------------------------------------------------


def _write_ints(out: Writer, column: list[Any]) -> None:
    lowest, highest = min(column), max(column)
    if lowest < MIN_INT or highest > MAX_INT:
        raise ProtocolError("value must fit 64 bits; send a larger integer as text")
    if highest - lowest > MAX_SPAN:
        out.packed[-1] = OBJECTS
        _write_objects(out, column)
    else:
        write_ints(out, column, lowest, highest)


def _read_ints(source: Reader, n: int) -> list[Any]:
    column = read_ints(source, n)
    if min(column) < MIN_INT or max(column) > MAX_INT:
        raise ProtocolError("an integer of the columnar body does not fit 64 bits")
    return column


def _write_bools(out: Writer, column: list[Any]) -> None:
    out.packed += bytes(column)


def _read_bools(source: Reader, n: int) -> list[Any]:
    content = source.take(n)
    if content.strip(b"\0\1"):
        raise ProtocolError("a boolean must be 0 or 1")
    return list(map(bool, content))


def _write_texts(out: Writer, column: list[Any]) -> None:
    texts = list(dict.fromkeys(column))
    if len(texts) * 2 > len(column):
        out.uint(0)
        _write_strings(out, column)
        return
    number = dict(zip(texts, range(len(texts)), strict=True))
    out.uint(len(texts))
    _write_strings(out, texts)
    write_ints(out, list(map(number.__getitem__, column)), 0, len(texts) - 1)


def _read_texts(source: Reader, n: int) -> list[Any]:
    count = source.uint()
    if not count:
        return _read_strings(source, n)
    if count > n:
        raise ProtocolError("there are more texts than values")
    texts = _read_strings(source, count)
    return list(map(texts.__getitem__, read_indices(source, n, count)))


def _write_strings(out: Writer, texts: list[str]) -> None:
    try:
        content = "".join(texts).encode()
    except UnicodeEncodeError as exc:
        raise ProtocolError("the text holds a lone surrogate, which UTF-8 cannot carry") from exc
    lengths = list(map(len, texts))
    write_ints(out, lengths, min(lengths), max(lengths))
    out.blob(content)


def _read_strings(source: Reader, n: int) -> list[str]:
    lengths = read_ints(source, n)
    try:
        content = source.blob().decode()
    except UnicodeDecodeError as exc:
        raise ProtocolError("a text of the columnar body is not UTF-8") from exc
    if min(lengths) < 0 or sum(lengths) != len(content):
        raise ProtocolError("the texts of the columnar body do not have the lengths that it says")
    ends = list(accumulate(lengths, initial=0))
    return [content[start:end] for start, end in pairwise(ends)]


def _write_objects(out: Writer, column: list[Any]) -> None:
    out.blob(jsontext.dumps(column).encode())


def _read_objects(source: Reader, n: int) -> list[Any]:
    column = jsontext.loads(source.blob())
    if not isinstance(column, list) or len(column) != n:
        raise ProtocolError(f"the objects of the columnar body are not an array of {n}")
    return column


# --- several types ---------------------------------------------------------------------------------------------


def _write_mixed(out: Writer, column: list[Any]) -> None:
    out.byte(MIXED)
    codes = bytes(map(_KINDS.__getitem__, map(type, column)))
    out.packed += codes
    for kind in sorted(set(codes)):
        write_values(out, [value for code, value in zip(codes, column, strict=True) if code == kind])


def _read_mixed(source: Reader, n: int) -> list[Value]:
    codes = source.take(n)
    if max(codes) > OBJECTS:
        raise ProtocolError("a mixed column names a type that does not exist")
    parts: dict[int, Any] = {}
    for kind in sorted(set(codes)):
        # Every part is of one type, so this goes no deeper.
        if (found := source.byte()) != kind and (kind, found) != (INTS, OBJECTS):
            raise ProtocolError("a part of a mixed column is not of its type")
        parts[kind] = iter(_READERS[found](source, codes.count(kind)))
    return list(map(next, map(parts.__getitem__, codes)))


def read_indices(source: Reader, n: int, count: int) -> list[int]:
    """A column of `n` numbers from 0 to `count` - 1."""
    column = read_ints(source, n)
    if min(column) < 0 or max(column) >= count:
        raise ProtocolError("the columnar body points to something that is not in it")
    return column


_WRITERS: Mapping[int, Callable[[Writer, list[Any]], None]] = {
    FLOATS: write_floats,
    INTS: _write_ints,
    BOOLS: _write_bools,
    TEXTS: _write_texts,
    OBJECTS: _write_objects,
}
_READERS: Mapping[int, Callable[[Reader, int], list[Any]]] = {
    FLOATS: read_floats,
    INTS: _read_ints,
    BOOLS: _read_bools,
    TEXTS: _read_texts,
    OBJECTS: _read_objects,
}

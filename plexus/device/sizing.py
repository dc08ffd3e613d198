"""How large points become as JSON, known before they are written.

A batch that is sealed compactly may have to go as JSON in the end, to a gateway that has nothing else; it must not be
more than such a gateway takes in one message then, since a batch is never divided.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from plexus.protocol.block import Block

POINT_BYTES = 100
"""A point without name, tags and run: the text around them, any number, a time to the microsecond."""

_NUMBERS = frozenset({float, int, bool})


def json_bound(block: Block) -> int:
    """Bytes that the points of a block have as JSON at most."""
    n = len(block)
    size = n * POINT_BYTES + _column(block.metric, str, n)
    if block.tags is not None:
        size += _column(block.tags, Mapping, n) + 8 * n
    if block.run_id is not None:
        size += _column(block.run_id, str, n) + 10 * n
    return size + _values(block.value)


def _column(column: Any, kind: type, n: int) -> int:
    if isinstance(column, kind):
        return n * _text(column)
    if kind is str:
        # An escape has six characters, an entry that is missing none.
        return 6 * sum(map(len, filter(None, column)))
    return _text(column)


def _values(values: Sequence[Any]) -> int:
    if isinstance(values, (array, memoryview)) or set(map(type, values)) <= _NUMBERS:
        return 0
    return _text([value for value in values if type(value) not in _NUMBERS])


def _text(content: object) -> int:
    # What takes one character in Python's own form takes at most two bytes in ASCII JSON, and four else.
    text = repr(content)
    return len(text) * (2 if text.isascii() else 4)

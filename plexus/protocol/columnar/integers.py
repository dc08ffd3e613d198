"""Columns of whole numbers: one and the same; or a base and as few byte planes as hold the rest; or steps of those."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from operator import sub

from plexus.domain.errors import ProtocolError
from plexus.protocol.columnar.layout import WORDS, Reader, Writer, little

CONSTANT, OFFSETS, STEPS = range(3)

PROBE = 33
STEPS_GAIN = 16
"""Neighbours must lie so much closer than the whole column for steps to be worth it."""

MAX_SPAN = 2**64 - 1
"""The largest difference between two numbers of a column."""


def write_ints(out: Writer, column: Sequence[int], lowest: int, highest: int) -> None:
    """A column that is not empty, with its lowest and highest number, at most `MAX_SPAN` apart."""
    if lowest == highest:
        out.byte(CONSTANT)
        out.sint(lowest)
        return
    probe = column[:PROBE]
    steps = list(map(sub, probe[1:], probe))
    if (max(steps) - min(steps)) * STEPS_GAIN <= highest - lowest:
        steps = list(map(sub, column[1:], column))
        if (max(steps) - min(steps)) * STEPS_GAIN <= highest - lowest:
            write_steps(out, column[0], steps)
            return
    write_offsets(out, column, lowest, highest)


def write_steps(out: Writer, first: int, steps: Sequence[int]) -> None:
    """A column as its first number and the steps from each to the next; at least one."""
    out.byte(STEPS)
    out.sint(first)
    write_offsets(out, steps, min(steps), max(steps))


def write_offsets(out: Writer, column: Sequence[int], lowest: int, highest: int) -> None:
    """A column as a base and what is over it."""
    if lowest == highest:
        out.byte(CONSTANT)
        out.sint(lowest)
        return
    count = byte_count(highest - lowest)
    if lowest >= 0 and byte_count(highest) == count:
        lowest = 0
    else:
        column = [value - lowest for value in column]
    words = array(WORDS[count - 1], column)
    write_words(out, lowest, little(words), words.itemsize, count)


def write_words(out: Writer, base: int, words: bytes, width: int, count: int) -> None:
    """The same, for one who has the words already."""
    out.byte(OFFSETS)
    out.sint(base)
    out.planes(words, width, count)


def read_ints(source: Reader, n: int) -> list[int]:
    """A column of `n` numbers, of any size that adding up may lead to; the caller minds their range."""
    if not n:
        return []
    kind = source.byte()
    if kind == STEPS:
        first = source.sint()
        return list(accumulate(_read_flat(source, source.byte(), n - 1), initial=first))
    return _read_flat(source, kind, n)


def byte_count(highest: int) -> int:
    """How many bytes hold numbers from 0 to `highest`."""
    return (highest.bit_length() + 7) >> 3 or 1


def _read_flat(source: Reader, kind: int, n: int) -> list[int]:
    if kind == CONSTANT:
        return [source.sint()] * n
    if kind != OFFSETS:
        raise ProtocolError(f"a column of integers cannot be of kind {kind}")
    base = source.sint()
    words = source.planes(n, "Q")
    return [word + base for word in words] if base else words.tolist()

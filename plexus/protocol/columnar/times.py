"""The times of a section, whole nanoseconds: evenly spaced, or the steps between them.

Where the series take turns, so do the steps: the short ones from one `send` to the next and the long one of the loop.
Apart from each other they need fewer bytes.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate
from operator import sub

from plexus.domain.errors import ProtocolError
from plexus.protocol.columnar.integers import MAX_SPAN, byte_count, read_ints, write_offsets, write_words
from plexus.protocol.columnar.layout import Reader, Writer, as_column, little

EVEN, STEPS, ABSOLUTE = range(3)
MIN_TURNS = 16
"""So many rounds make it worth to keep the steps of each turn apart."""

ARRAY_FROM = 256
"""So many times in an array are a high-rate block, for which a list of int objects is too slow."""

MIN_NS, MAX_NS = -(2**63), 2**63 - 1


def write_times(out: Writer, times: Sequence[int], period: int) -> None:
    """The times of a section that is not empty; every `period` points the series start anew."""
    if isinstance(times, range):
        _check_range(min(times[0], times[-1]), max(times[0], times[-1]))
        _write_even(out, times[0], times.step)
        return
    column = as_column(times)
    if isinstance(column, list):
        _write_list(out, column, period)
    elif column.typecode == "q" and len(column) >= ARRAY_FROM:
        _write_array(out, column)
    else:
        _write_list(out, column.tolist(), period)


def _write_list(out: Writer, times: list[int], period: int) -> None:
    steps = list(map(sub, times[1:], times))
    if period * MIN_TURNS > len(steps):
        period = 1
    if not steps:
        _check_range(times[0], times[0])
        _write_even(out, times[0], 0)
        return
    turns = [steps[turn::period] for turn in range(period)] if period > 1 else [steps]
    bounds = [(min(turn), max(turn)) for turn in turns]
    ascend = min(bounds)[0] >= 0
    lowest, highest = (times[0], times[-1]) if ascend else (min(times), max(times))
    _check_range(lowest, highest)
    if bounds.count((steps[0], steps[0])) == period:
        _write_even(out, times[0], steps[0])
        return
    if highest - lowest > MAX_SPAN // 2:
        # The steps of such times would not fit 64 bits.
        out.byte(ABSOLUTE)
        write_offsets(out, times, lowest, highest)
        return
    unit = math.gcd(*steps)
    _write_steps_head(out, times[0], unit, period)
    for turn, (low, high) in zip(turns, bounds, strict=True):
        if unit > 1:
            write_offsets(out, [step // unit for step in turn], low // unit, high // unit)
        else:
            write_offsets(out, turn, low, high)


def _write_array(out: Writer, times: array[int]) -> None:
    """Many times without a list of them: numpy makes the steps where the program has it loaded, else there are none."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "diff"):  # another thread may be in the middle of importing it
        words = little(times)
        seems_even = times[-1] - times[0] == (times[1] - times[0]) * (len(times) - 1)
        if seems_even or not words[7::8].isascii():
            # Next to nothing to send; or a time before 1970, for the highest bit of a highest byte is set.
            _write_list(out, times.tolist(), 1)
            return
        out.byte(ABSOLUTE)
        write_words(out, 0, words, 8, 8)
        return
    column = numpy.frombuffer(times, "q")
    if int(column.max()) - int(column.min()) > MAX_SPAN // 2:
        _write_list(out, times.tolist(), 1)
        return
    steps = numpy.diff(column)
    lowest, highest = int(steps.min()), int(steps.max())
    if lowest == highest:
        _write_even(out, times[0], lowest)
        return
    _write_steps_head(out, times[0], 1, 1)
    write_words(out, lowest, (steps - lowest).astype("<u8").tobytes(), 8, byte_count(highest - lowest))


def read_times(source: Reader, n: int) -> Sequence[int]:
    """The times of `n` points, at least one, each in 64 bits."""
    kind = source.byte()
    times: Sequence[int]
    if kind == EVEN:
        first, step = source.sint(), source.sint()
        times = range(first, first + n * step, step) if step else [first] * n
        lowest, highest = sorted((first, first + (n - 1) * step))
    elif kind == STEPS:
        first = source.sint()
        times = list(accumulate(_read_steps(source, n - 1), initial=first))
        lowest, highest = min(times), max(times)
    elif kind == ABSOLUTE:
        times = read_ints(source, n)
        lowest, highest = min(times), max(times)
    else:
        raise ProtocolError(f"times cannot be of kind {kind}")
    _check_range(lowest, highest)
    return times


def _check_range(lowest: int, highest: int) -> None:
    if lowest < MIN_NS or highest > MAX_NS:
        raise ProtocolError("a time does not fit 64 bits of nanoseconds")


def _write_even(out: Writer, first: int, step: int) -> None:
    out.byte(EVEN)
    out.sint(first)
    out.sint(step)


def _write_steps_head(out: Writer, first: int, unit: int, period: int) -> None:
    out.byte(STEPS)
    out.sint(first)
    out.uint(unit)
    out.uint(period)


def _read_steps(source: Reader, n: int) -> list[int]:
    unit, period = source.uint(), source.uint()
    if not 1 <= period <= max(n, 1):
        raise ProtocolError("the steps of times cannot take so many turns")
    if period == 1:
        steps = read_ints(source, n)
    else:
        steps = [0] * n
        for turn in range(period):
            steps[turn::period] = read_ints(source, len(range(turn, n, period)))
    return [step * unit for step in steps] if unit > 1 else steps

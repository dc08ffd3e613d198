"""Columns of 64-bit floats: counts of a scale where every bit comes back so, the eight byte planes otherwise."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from operator import add, sub

import attrs

from plexus.domain.errors import ProtocolError
from plexus.protocol.columnar.integers import byte_count, read_ints, write_ints, write_steps, write_words
from plexus.protocol.columnar.layout import BIG_ENDIAN, Reader, Writer, little
from plexus.protocol.columnar.scales import Scale, find_scale

BITS, DIVIDED, MULTIPLIED = range(3)
EXACT, MINUS_ZEROS, ULPS = range(3)
"""How counts become the values: as they are; but for some that are -0.0; with some last bits more or less."""

SAMPLE = 12
PROBE = 33
STEPS_GAIN = 16

MAGIC = 1.5 * 2.0**52
"""Added to a float under 2**51 it leaves the nearest whole number in the low bits, which is how counts are made without
an int object each."""

MAX_COUNTS = 2.0**47
MAX_ULPS = 255
HIGH_BYTE = 0 if BIG_ENDIAN else 7


@attrs.define
class _Counted:
    """A column as counts: `shifted` are the counts over `lowest`, plus `MAGIC`."""

    scale: Scale
    lowest: int
    highest: int
    shifted: list[float]
    patch: int = EXACT
    fixes: tuple[int, ...] = ()


def write_floats(out: Writer, column: Sequence[float]) -> None:
    """A column of floats that is not empty."""
    exact = column if isinstance(column, array) else array("d", column)
    counted = _counted(column, exact)
    if counted is None:
        out.byte(BITS)
        out.planes(little(exact), 8, 8)
        return
    out.byte(DIVIDED if counted.scale.divides else MULTIPLIED)
    out.double(counted.scale.factor)
    _write_counts(out, counted)
    out.byte(counted.patch)
    if counted.patch == MINUS_ZEROS:
        out.uint(len(counted.fixes))
    if counted.patch != EXACT:
        write_ints(out, counted.fixes, min(counted.fixes), max(counted.fixes))


def read_floats(source: Reader, n: int) -> list[float]:
    """A column of `n` floats."""
    kind = source.byte()
    if kind == BITS:
        words = source.planes(n, "Q")
        values = array("d", words.tobytes())
        return values.tolist()
    if kind not in (DIVIDED, MULTIPLIED):
        raise ProtocolError(f"a column of floats cannot be of kind {kind}")
    factor = source.double()
    if not math.isfinite(factor) or not factor:
        raise ProtocolError("the scale of a column of floats must be a number and not 0")
    values_list = Scale(factor, divides=kind == DIVIDED).values(read_ints(source, n))
    return _patched(source, values_list)


def _counted(column: Sequence[float], exact: array[float]) -> _Counted | None:
    if not math.isfinite(sum(column)):
        return None
    scale = find_scale(column[:: max(1, len(column) // SAMPLE)])
    if scale is None:
        return None
    factor, per_unit = scale.factor, scale.per_unit
    low, high = min(column) * per_unit, max(column) * per_unit
    if not -MAX_COUNTS < low <= high < MAX_COUNTS:
        return None
    lowest, highest = round(low), round(high)
    shift = MAGIC - lowest
    shifted = [value * per_unit + shift for value in column]
    if scale.divides:
        back = array("d", [(count - shift) / factor for count in shifted])
    else:
        back = array("d", [(count - shift) * factor for count in shifted])
    counted = _Counted(scale, lowest, highest, shifted)
    return counted if back.tobytes() == exact.tobytes() else _with_patch(counted, exact, back)


def _with_patch(counted: _Counted, exact: array[float], back: array[float]) -> _Counted | None:
    if back == exact:
        # Equal and not the same: a zero has lost its sign.
        pairs = zip(back.tobytes()[HIGH_BYTE::8], exact.tobytes()[HIGH_BYTE::8], strict=True)
        fixes = tuple([i for i, (ours, theirs) in enumerate(pairs) if ours != theirs])
        return attrs.evolve(counted, patch=MINUS_ZEROS, fixes=fixes)
    if counted.scale.exact:
        return None
    ulps = tuple(map(sub, array("q", exact.tobytes()), array("q", back.tobytes())))
    if max(ulps) - min(ulps) > MAX_ULPS:
        return None
    return attrs.evolve(counted, patch=ULPS, fixes=ulps)


def _write_counts(out: Writer, counted: _Counted) -> None:
    shifted = counted.shifted
    span = counted.highest - counted.lowest
    probe = shifted[:PROBE]
    steps = list(map(sub, probe[1:], probe))
    if not span:
        write_ints(out, [counted.lowest], counted.lowest, counted.lowest)
    elif (max(steps) - min(steps)) * STEPS_GAIN <= span:
        words = array("q", array("d", shifted).tobytes())
        write_steps(out, counted.lowest + int(shifted[0] - MAGIC), list(map(sub, words[1:], words)))
    else:
        write_words(out, counted.lowest, little(array("d", shifted)), 8, byte_count(span))


def _patched(source: Reader, values: list[float]) -> list[float]:
    patch = source.byte()
    if patch == MINUS_ZEROS:
        count = source.uint()
        if count > len(values):
            raise ProtocolError("a column of floats has more zeros than values")
        fixes = read_ints(source, count)
        if fixes and not 0 <= min(fixes) <= max(fixes) < len(values):
            raise ProtocolError("a column of floats has a zero outside it")
        for i in fixes:
            values[i] = -0.0
    elif patch == ULPS:
        words = map(add, array("q", array("d", values).tobytes()), read_ints(source, len(values)))
        try:
            values = array("d", array("q", words).tobytes()).tolist()
        except OverflowError as exc:
            raise ProtocolError("a column of floats goes beyond 64 bits") from exc
    elif patch != EXACT:
        raise ProtocolError(f"a column of floats cannot be put right in way {patch}")
    return values

"""The two streams of a columnar body: `packed`, which a compressor makes smaller, and `raw`, which it cannot."""

from __future__ import annotations

import struct
import sys
from array import array
from typing import Any

from plexus.domain.errors import ProtocolError

MAX_VARINT_BYTES = 10
"""70 bits: every count and every 64-bit integer."""

PROBE_BYTES = 32
NOISY_FROM = 28
"""Of 32 bytes of noise 30 are distinct on average, of 6 bits of noise in a byte 25; from here on no code saves much."""

BIG_ENDIAN = sys.byteorder == "big"

WORDS = "BHIIQQQQ"
"""The array type that holds 1, 2, … 8 bytes."""

SHORTEST = (1, 2, 4, 4, 8, 8, 8, 8)
"""The bytes of the word that holds 1, 2, … 8 of them."""

SAMPLE_TYPES = "dfbBhHiIqQ"
"""Arrays that travel as they are; the place in this text is their number on the wire."""

_NATIVE = "@=>" if BIG_ENDIAN else "@=<"
_SAME_SIZE = {("l", 4): "i", ("l", 8): "q", ("L", 4): "I", ("L", 8): "Q"}

_double = struct.Struct("<d")


class Writer:
    """Collects a body."""

    def __init__(self) -> None:
        self.packed = bytearray()
        self.raw: list[bytes] = []

    def byte(self, value: int) -> None:
        """A number under 256."""
        self.packed.append(value)

    def uint(self, value: int) -> None:
        """A number from 0 to 2**70 - 1."""
        while value > 0x7F:
            self.packed.append(value & 0x7F | 0x80)
            value >>= 7
        self.packed.append(value)

    def sint(self, value: int) -> None:
        """A number with a sign."""
        self.uint(value << 1 if value >= 0 else (-value << 1) - 1)

    def double(self, value: float) -> None:
        """A 64-bit float."""
        self.packed += _double.pack(value)

    def blob(self, content: bytes) -> None:
        """Bytes and their length."""
        self.uint(len(content))
        self.packed += content

    def planes(self, words: bytes, width: int, count: int) -> None:
        """The lowest `count` bytes of little-endian words of `width` bytes, plane by plane, noise apart."""
        planes = [words[i::width] for i in range(count)] if width > 1 else [words]
        mask = 0
        for i, plane in enumerate(planes):
            if _is_noise(plane[:PROBE_BYTES]):
                mask |= 1 << i
        self.packed.append(count)
        self.packed.append(mask)
        for i, plane in enumerate(planes):
            if mask >> i & 1:
                self.raw.append(plane)
            else:
                self.packed += plane


class Reader:
    """Reads a body. Every method raises ProtocolError when there is less than it asks for."""

    def __init__(self, packed: bytes, raw: bytes) -> None:
        self._packed = packed
        self.at = 0
        self._raw = raw
        self._raw_at = 0

    def byte(self) -> int:
        """A number under 256."""
        at = self.at
        if at >= len(self._packed):
            raise ProtocolError("the columnar body ends too early")
        self.at = at + 1
        return self._packed[at]

    def uint(self) -> int:
        """A number from 0 to 2**70 - 1."""
        value = self.byte()
        if value < 0x80:
            return value
        value &= 0x7F
        for shift in range(7, 7 * MAX_VARINT_BYTES, 7):
            part = self.byte()
            value |= (part & 0x7F) << shift
            if part < 0x80:
                return value
        raise ProtocolError("a number in the columnar body is longer than 10 bytes")

    def sint(self) -> int:
        """A number with a sign."""
        value = self.uint()
        return value >> 1 if not value & 1 else -((value + 1) >> 1)

    def double(self) -> float:
        """A 64-bit float."""
        value: float = _double.unpack(self.take(8))[0]
        return value

    def blob(self) -> bytes:
        """Bytes and their length."""
        return self.take(self.uint())

    def take(self, length: int) -> bytes:
        """That many bytes of `packed`."""
        content = self._packed[self.at : self.at + length]
        if len(content) != length:
            raise ProtocolError("the columnar body ends too early")
        self.at += length
        return content

    def planes(self, n: int, code: str) -> array[int]:
        """`n` words of the array type `code` from byte planes."""
        words = array(code)
        words.frombytes(self.words(n, words.itemsize))
        if BIG_ENDIAN:
            words.byteswap()
        return words

    def words(self, n: int, width: int, *, shortest: bool = False) -> bytearray:
        """The same as little-endian bytes; with `shortest` as words of 1, 2, 4 or 8 bytes, as many as hold them."""
        count, mask = self.byte(), self.byte()
        if not 1 <= count <= width or mask >> count:
            raise ProtocolError(f"{count} byte planes do not make a number of {width} bytes")
        if shortest:
            width = SHORTEST[count - 1]
        content = bytearray(n * width)
        for i in range(count):
            content[i::width] = self._take_raw(n) if mask >> i & 1 else self.take(n)
        return content

    def peek(self) -> int:
        """The next `byte`, which stays."""
        found = self.byte()
        self.at -= 1
        return found

    def check_ended(self) -> None:
        """Refuse a body that goes on."""
        if self.at != len(self._packed) or self._raw_at != len(self._raw):
            raise ProtocolError("the columnar body goes on after its last section")

    def _take_raw(self, length: int) -> bytes:
        content = self._raw[self._raw_at : self._raw_at + length]
        if len(content) != length:
            raise ProtocolError("the columnar body ends too early")
        self._raw_at += length
        return content


def little(words: array[int] | array[float]) -> bytes:
    """An array's content as little-endian bytes."""
    if BIG_ENDIAN:
        words = words[:]
        words.byteswap()
    return words.tobytes()


def as_column(values: Any) -> list[Any] | array[Any]:
    """A block's column as a list, or as an array where it is a plain buffer of numbers."""
    if isinstance(values, list):
        return values
    if isinstance(values, array) and values.typecode in SAMPLE_TYPES:
        return values
    try:
        view = memoryview(values)
    except TypeError:
        return list(values)
    code = view.format.lstrip(_NATIVE)
    code = _SAME_SIZE.get((code, view.itemsize), code)
    if len(code) != 1 or code not in SAMPLE_TYPES or view.ndim != 1:
        plain: list[Any] = values.tolist()
        return plain
    samples: array[Any] = array(code)
    samples.frombytes(view.tobytes())
    return samples


def _is_noise(probe: bytes) -> bool:
    return len(set(probe)) >= NOISY_FROM

"""How a value lies in the hot table: `kind`, `num` and `packed`, so that numbers aggregate and all come back exactly.

| Value | kind | num | packed |
|---|---|---|---|
| float | FLOAT | itself | empty |
| int that a float holds exactly | INT | itself | empty |
| larger int | PACKED | the nearest float | msgpack |
| bool, text, object, array | PACKED | NaN, which no aggregate counts | msgpack |
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any

import msgspec

from plexus.domain.values import Value, is_number

FLOAT, INT, PACKED = 0, 1, 2
EXACT = 2**53
_NAN = float("nan")
_ARRAY = b"\xdd"
"""What begins an array in msgpack, before its length in four bytes."""


class _Kinds(dict[type, int]):
    """The kind of a value of this type; what is no number of Python's own is packed."""

    def __missing__(self, _: type) -> int:
        return PACKED


_KINDS = _Kinds({float: FLOAT, int: INT})


def pack(value: Any) -> bytes:
    """A value as msgpack."""
    return msgspec.msgpack.encode(value)


def unpack(packed: bytes) -> Any:
    """The value that `pack` was given."""
    return msgspec.msgpack.decode(packed)


def unpack_all(packed: Sequence[bytes]) -> list[Any]:
    """The same of many, in one call."""
    found: list[Any] = msgspec.msgpack.decode(_ARRAY + len(packed).to_bytes(4, "big") + b"".join(packed))
    return found


def split(values: list[Value]) -> tuple[bytes, list[Any], list[bytes] | None]:
    """The columns `kind` (a byte each), `num` and `packed` of these values; None when nothing is packed.

    Numbers cost no step of Python each.
    """
    types = set(map(type, values))
    if types == {float}:
        return bytes(len(values)), values, None
    kinds = bytes(map(_KINDS.__getitem__, map(type, values)))
    if INT in kinds and not _all_exact([value for value in compress(values, kinds) if type(value) is int]):
        kinds = bytes(map(_exact_kind, kinds, values))
    if PACKED not in kinds:
        return kinds, values, None
    nums: list[Any] = list(values)
    packed = [b""] * len(values)
    for i in [i for i, kind in enumerate(kinds) if kind == PACKED]:
        packed[i] = pack(values[i])
        nums[i] = float(values[i]) if is_number(values[i]) else _NAN  # type: ignore[arg-type]
    return kinds, nums, packed


def value_of(kind: int, num: float, packed: bytes) -> Value:
    """The value of a row."""
    if kind == FLOAT:
        return num
    value: Value = int(num) if kind == INT else unpack(packed)
    return value


def _all_exact(integers: list[int]) -> bool:
    return min(integers) >= -EXACT and max(integers) <= EXACT


def _exact_kind(kind: int, value: Any) -> int:
    return PACKED if kind == INT and not -EXACT <= value <= EXACT else kind

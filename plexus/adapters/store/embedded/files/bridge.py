"""Between numpy and Arrow by their buffers, without a copy where numbers lie together.

pyarrow's own ways load pandas where there is one, which takes 40 MB and a quarter of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa

Array = np.ndarray[Any, Any]

_TYPES: dict[np.dtype[Any], pa.DataType] = {
    np.dtype(np.uint8): pa.uint8(),
    np.dtype(np.int32): pa.int32(),
    np.dtype(np.int64): pa.int64(),
    np.dtype(np.float64): pa.float64(),
}


def arrow(column: Array, nulls: Array | None = None, kind: pa.DataType | None = None) -> pa.Array:
    """A column of numbers; `nulls` says which are none, `kind` what the bits are when not what numpy calls them."""
    column = np.ascontiguousarray(column)
    absent = None
    if nulls is not None and nulls.any():
        absent = pa.py_buffer(np.packbits(~nulls, bitorder="little"))
    return pa.Array.from_buffers(kind or _TYPES[column.dtype], len(column), [absent, pa.py_buffer(column)])


def arrow_text(texts: Sequence[str | None]) -> pa.Array:
    """A column of text."""
    encoded = [b"" if text is None else text.encode() for text in texts]
    ends = np.fromiter(accumulate(map(len, encoded), initial=0), np.int32, len(encoded) + 1)
    nulls = np.fromiter((text is None for text in texts), bool, len(texts))
    absent = pa.py_buffer(np.packbits(~nulls, bitorder="little")) if nulls.any() else None
    return pa.Array.from_buffers(
        pa.string(), len(encoded), [absent, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    )


def numbers(column: Any) -> Array:
    """A column of numbers or times as its bits, NaN for null; only one of float64 may have nulls."""
    return _chunk(united(column))


def united(column: Any) -> pa.Array:
    """A column as one array. Arrow lets others have the interpreter while it copies, as numpy does not."""
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)


def _bits(kind: pa.DataType) -> np.dtype[Any]:
    for bits, known in _TYPES.items():
        if known == kind:
            return bits
    return np.dtype(np.int64)  # a timestamp


def _chunk(chunk: pa.Array) -> Array:
    bits = _bits(chunk.type)
    if not len(chunk):
        return np.zeros(0, bits)
    absent, data = chunk.buffers()
    found: Array = np.frombuffer(data, bits, len(chunk), chunk.offset * bits.itemsize)
    if chunk.null_count:
        present = np.unpackbits(np.frombuffer(absent, np.uint8), count=chunk.offset + len(chunk), bitorder="little")
        found = np.where(present[chunk.offset :], found, np.nan)
    return found

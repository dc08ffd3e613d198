"""Columns of an answer that may hold a million numbers: an array until somebody looks at them one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

from plexus.adapters.store.embedded.files.bridge import Array


class Doubles(Sequence[float]):
    """Doubles, equal to a list of the same. numpy takes them without a copy (`numpy.asarray`)."""

    __slots__ = ("_array",)

    def __init__(self, array: Array) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[float]:
        return iter(self._array.tolist())

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> Doubles: ...
    def __getitem__(self, index: int | slice) -> float | Doubles:
        return Doubles(self._array[index]) if isinstance(index, slice) else float(self._array[index])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Doubles):
            return bool(np.array_equal(self._array, other._array))
        return list(self) == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # like any list

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self._array.astype(dtype or self._array.dtype, copy=bool(copy))

    def __repr__(self) -> str:
        return repr(list(self))

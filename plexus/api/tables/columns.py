"""One answer as columns of numpy: what every kind of table is made of.

Times are int64 nanoseconds since 1970 UTC. Numbers are float64, but for integers that no double holds exactly; booleans
are bool where there is nothing else; what is left is an array of objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from plexus.domain.values import is_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

US_PER_MS, NS_PER_US, NS_PER_MS = 1_000.0, 1_000, 1_000_000
_EXACT = 2**53
_NUMBERS = frozenset({float, int})


@attrs.frozen(eq=False)
class Column:
    """One metric (or source) of an answer: its times, and its values or aggregates by name, all of one length."""

    t_ns: NDArray[np.int64]
    fields: Mapping[str, NDArray[Any]]


def joined(parts: Sequence[Column]) -> Column:
    """Columns behind each other."""
    if len(parts) == 1:
        return parts[0]
    fields = {name: _concatenated([part.fields[name] for part in parts]) for name in parts[0].fields}
    return Column(np.concatenate([part.t_ns for part in parts]), fields)


def times(times_ms: Sequence[float]) -> NDArray[np.int64]:
    """Milliseconds as nanoseconds, to the microsecond, which is as fine as an answer is."""
    if set(map(type, times_ms)) == {int}:
        return np.array(times_ms, dtype=np.int64) * NS_PER_MS
    micros = np.rint(np.asarray(times_ms, dtype=np.float64) * US_PER_MS).astype(np.int64)
    return micros * NS_PER_US


def values(items: Sequence[Any]) -> NDArray[Any]:
    """Values of any type; see the module. None is a hole: NaN among numbers."""
    types = set(map(type, items))
    if types <= {float}:
        return np.array(items, dtype=np.float64)
    if types == {bool}:
        return np.array(items, dtype=np.bool_)
    if types <= {float, int, type(None)} and types & _NUMBERS and _are_exact(items, types):
        return np.array(items, dtype=np.float64)
    if types == {type(None)}:
        return np.full(len(items), np.nan)
    return objects(items)


def numbers(items: Sequence[Any]) -> NDArray[np.float64]:
    """Aggregates: numbers, NaN where there is none."""
    return np.array(items, dtype=np.float64)


def counts(items: Sequence[int]) -> NDArray[np.int64]:
    """How many values each bucket has."""
    return np.array(items, dtype=np.int64)


def objects(items: Iterable[Any]) -> NDArray[Any]:
    """Objects, each as it is: numpy would take lists apart."""
    listed = list(items)
    array = np.empty(len(listed), dtype=object)
    for place, item in enumerate(listed):
        array[place] = item
    return array


@attrs.frozen(eq=False)
class Split:
    """Values of any type as numbers (NaN where there is none, which `missing` says) and as text for what is no number.

    An integer that no double holds exactly stands in both.
    """

    numbers: NDArray[np.float64]
    missing: NDArray[np.bool_]
    texts: list[str | None]


def split(array: NDArray[Any]) -> Split:
    """Values as numbers and as text."""
    if array.dtype != object and array.dtype != np.bool_:
        return Split(array, np.zeros(len(array), np.bool_), [None] * len(array))
    listed = array.tolist()
    missing = np.array([not is_number(item) for item in listed], dtype=np.bool_)
    found = np.array([float(item) if is_number(item) else np.nan for item in listed], dtype=np.float64)
    return Split(found, missing, [_text(item) for item in listed])


def texts(array: NDArray[Any]) -> list[str | None]:
    """Values of several types as text: text as it is, anything else as JSON, None for a hole."""
    return [None if item is None else item if isinstance(item, str) else dumped(item) for item in array.tolist()]


def dumped(item: Any) -> str:
    """A value as JSON."""
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"))


def _text(item: Any) -> str | None:
    if is_number(item):
        return str(item) if isinstance(item, int) and abs(item) > _EXACT and int(float(item)) != item else None
    return None if item is None else item if isinstance(item, str) else dumped(item)


def _are_exact(items: Sequence[Any], types: set[type]) -> bool:
    if int not in types:
        return True
    if types == {int}:
        return bool(min(items) >= -_EXACT and max(items) <= _EXACT)
    return all(type(item) is not int or -_EXACT <= item <= _EXACT for item in items)


def _concatenated(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    filled = [array for array in arrays if len(array)] or arrays[:1]
    if len({array.dtype for array in filled}) > 1:  # numpy would make numbers of booleans
        return np.concatenate([array.astype(object) for array in filled])
    return np.concatenate(filled)

"""A columnar body as arrays, for a gateway that has numpy: the same points, and no Python object for each.

`read` takes what is of the plain kind and gives up without a judgement on the rest, a bad body included: the reader
without numpy (`plexus.protocol.columnar.points`) reads it from its beginning then. So it can only be right or absent.
`ArrayColumns` is what it makes: columns whose lists are made when somebody looks at them, and mostly nobody does.

The only module of this package that needs numpy; a device never imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Union

import attrs
import numpy as np
import numpy.typing as npt

from plexus.domain.values import Value
from plexus.protocol.columns import Columns

Places = Union[slice, "npt.NDArray[np.intp]"]
Column = tuple[Places, Union["npt.NDArray[Any]", "list[Value]"]]
"""Which of a section's points, and their values: an array of float64 or of whole numbers, or a list of any."""


@attrs.frozen(eq=False)
class ArraySection:
    """Points that keep every rule of `plexus.protocol.points`, all of them metrics or all of them events.

    Attributes:
        metrics, tags, run_ids: one entry a series; no tags are None.
        is_event: of all points.
        index: the series of each point; None when they take turns.
        t_ns: nanoseconds since 1970 UTC.
        columns: the values; together they cover every point once.
    """

    metrics: Sequence[str]
    tags: Sequence[Mapping[str, str] | None]
    run_ids: Sequence[str | None]
    is_event: bool
    index: npt.NDArray[np.intp] | None
    t_ns: npt.NDArray[np.int64]
    columns: Sequence[Column]

    def __len__(self) -> int:
        return len(self.t_ns)

    def spread(self, of_series: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What belongs to each series as what belongs to each point."""
        return np.resize(of_series, len(self)) if self.index is None else of_series[self.index]

    def listed(self, of_series: Sequence[Any]) -> list[Any]:
        """The same for things that are no numbers."""
        n, count = len(self), len(of_series)
        if self.index is not None:
            return list(map(of_series.__getitem__, self.index.tolist()))
        return list(of_series) * (n // count) + list(of_series[: n % count])

    def values(self) -> list[Value]:
        """One value for each point."""
        if len(self.columns) == 1:
            return _listed(self.columns[0][1])
        out: list[Value] = [0] * len(self)
        for places, column in self.columns:
            listed = _listed(column)
            if isinstance(places, slice):
                out[places] = listed
            else:
                for at, value in zip(places.tolist(), listed, strict=True):
                    out[at] = value
        return out

    def value_at(self, at: int) -> Value:
        """The value of one point."""
        for places, column in self.columns:
            row = _row_of(places, at)
            if row is not None:
                value: Value = column[row].item() if isinstance(column, np.ndarray) else column[row]
                return value
        raise IndexError(at)

    def ends(self) -> Iterator[tuple[int, int, int]]:
        """For each series that has points: its number, and where its first and its last point in time lie."""
        n, count = len(self), len(self.metrics)
        ascending = n < 2 or bool((self.t_ns[1:] >= self.t_ns[:-1]).all())
        if ascending and self.index is None:
            for number in range(min(n, count)):
                yield number, number, number + (n - 1 - number) // count * count
            return
        order = np.arange(n) if ascending else np.argsort(self.t_ns, kind="stable")
        index = (np.arange(n) % count if self.index is None else self.index)[order]
        last, first = np.full(count, -1), np.empty(count, np.intp)
        # Of several values for one place the last one stays.
        last[index] = order
        first[index[::-1]] = order[::-1]
        for number in np.flatnonzero(last >= 0).tolist():
            yield number, int(first[number]), int(last[number])


def _listed(column: npt.NDArray[Any] | list[Value]) -> list[Value]:
    return column if isinstance(column, list) else column.tolist()


def _row_of(places: Places, at: int) -> int | None:
    """Which row of a column a point is, None if it is in another."""
    if isinstance(places, slice):
        row, rest = divmod(at - (places.start or 0), places.step or 1)
        return None if rest or row < 0 else row
    found = int(np.searchsorted(places, at))
    return found if found < len(places) and places[found] == at else None


class ArrayColumns(Columns):
    """A columnar body's points of one source: nothing is made of them until somebody reads a list, then that one.

    Attributes:
        source: whose they are.
        body: the body as it came, checked.
        sections: what it holds.
    """

    __slots__ = ("_count", "body", "sections", "source")

    def __init__(self, source: str, body: bytes, sections: Sequence[ArraySection]) -> None:
        # The lists are left out on purpose: an attribute that is not there is made by `__getattr__`.
        self.source = source
        self.body = body
        self.sections = sections
        self._count = sum(map(len, sections))

    def __len__(self) -> int:
        return self._count

    def __getattr__(self, name: str) -> Any:
        make = _MAKERS.get(name)
        if make is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        column = make(self)
        setattr(self, name, column)
        return column

    def sources(self) -> Iterable[str]:
        """One."""
        return (self.source,) if self._count else ()

    def names(self, source_id: str) -> Iterable[str]:  # noqa: ARG002 - the shape of Columns
        """What the sections list."""
        return chain.from_iterable(section.metrics for section in self.sections)


def _each(make: Callable[[ArraySection], list[Any]]) -> Callable[[ArrayColumns], list[Any]]:
    return lambda columns: list(chain.from_iterable(map(make, columns.sections)))


_MAKERS: Mapping[str, Callable[[ArrayColumns], list[Any]]] = {
    "source_id": lambda columns: [columns.source] * len(columns),
    "metric": _each(lambda section: section.listed(section.metrics)),
    "t_ns": _each(lambda section: section.t_ns.tolist()),
    "is_event": _each(lambda section: [section.is_event] * len(section)),
    "value": _each(ArraySection.values),
    "tags": _each(lambda section: section.listed(section.tags)),
    "run_id": _each(lambda section: section.listed(section.run_ids)),
}

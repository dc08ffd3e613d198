"""Points of one kind under their series' ids, on their way out of a block: as lists, or as a section's arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Union

import attrs
import numpy as np
import numpy.typing as npt

from plexus.adapters.store.embedded.values import EXACT, INT, split
from plexus.domain.values import Value
from plexus.protocol.columnar.arrays import ArraySection

End = tuple[int, int, Value]
"""What a part says of a series: its first and its last time, and the last value of that time."""

Pair = tuple[Union[Mapping[str, str], None], Union[str, None]]
"""Tags and run id."""


class Part(Protocol):
    """Metrics or events, in the order of commit."""

    @property
    def is_event(self) -> bool:
        """The class of all of them."""
        ...

    @property
    def series(self) -> Any:
        """The column of series ids."""
        ...

    @property
    def t_ns(self) -> Any:
        """The column of times, ns since 1970 UTC."""
        ...

    @property
    def tags(self) -> Sequence[Mapping[str, str] | None] | None:
        """The column of tags, None when no point has any."""
        ...

    @property
    def run_id(self) -> list[str | None] | str | None:
        """The column of run ids, or the one that all points have."""
        ...

    def __len__(self) -> int: ...

    def split(self) -> tuple[Any, Any, list[bytes] | None]:
        """The columns kind, num and packed."""
        ...

    def values(self) -> list[Value]:
        """The values themselves."""
        ...

    def extras_of_series(self) -> list[Pair] | None:
        """Tags and run id by series, in the order that `spread` takes; None when they go by point."""
        ...

    def spread(self, of_series: Sequence[int]) -> Any:
        """What belongs to each series as what belongs to each point."""
        ...

    def ends(self) -> dict[int, End]:
        """First, last and newest by series; of equal times the one that was committed last."""
        ...


@attrs.frozen
class ListPart:
    """A block's columns, or what of them is of this kind."""

    is_event: bool
    series: list[int]
    t_ns: list[int]
    value: list[Any]
    tags: Sequence[Mapping[str, str] | None] | None = None
    run_id: list[str | None] | str | None = None

    def __len__(self) -> int:
        return len(self.series)

    def split(self) -> tuple[Any, Any, list[bytes] | None]:
        """The columns kind, num and packed."""
        return split(self.value)

    def values(self) -> list[Value]:
        """The values themselves."""
        return self.value

    def extras_of_series(self) -> list[Pair] | None:
        """They go by point."""
        return None

    def spread(self, of_series: Sequence[int]) -> Any:
        """Never asked for: nothing goes by series."""
        raise NotImplementedError

    def ends(self) -> dict[int, End]:
        """A handful of steps from either side for a block in which all series take turns."""
        series, t_ns, value = self.series, self.t_ns, self.value
        places: Sequence[int] = range(len(series))
        if t_ns != sorted(t_ns):
            places = sorted(places, key=t_ns.__getitem__)
        names = set(series)
        first = _met(series, places, set(names))
        last = _met(series, places[::-1], names)
        return {name: (t_ns[first[name]], t_ns[at], value[at]) for name, at in last.items()}


def _met(series: list[int], places: Sequence[int], missing: set[int]) -> dict[int, int]:
    """Where each series is met first on the way through `places`."""
    found = {}
    for at in places:
        name = series[at]
        if name in missing:
            missing.remove(name)
            found[name] = at
            if not missing:
                break
    return found


@attrs.frozen(eq=False)
class ArrayPart:
    """A section, and the id of each of its series."""

    section: ArraySection
    ids: npt.NDArray[np.int32]
    tags: None = None
    run_id: None = None

    @property
    def is_event(self) -> bool:
        """A section is of one kind."""
        return self.section.is_event

    @property
    def series(self) -> Any:
        """The id of each point's series."""
        return self.section.spread(self.ids)

    @property
    def t_ns(self) -> Any:
        """The times."""
        return self.section.t_ns

    def __len__(self) -> int:
        return len(self.section)

    def split(self) -> tuple[Any, Any, list[bytes] | None]:
        """The columns kind, num and packed."""
        count = len(self)
        kinds, nums = np.zeros(count, np.uint8), np.empty(count, np.float64)
        packed: list[bytes] | None = None
        for places, column in self.section.columns:
            if isinstance(column, np.ndarray) and (column.dtype.kind == "f" or _all_exact(column)):
                nums[places] = column
                if column.dtype.kind != "f":
                    kinds[places] = INT
                continue
            listed = column.tolist() if isinstance(column, np.ndarray) else column
            own_kinds, own_nums, own_packed = split(listed)
            kinds[places] = np.frombuffer(own_kinds, np.uint8)
            nums[places] = own_nums
            if own_packed is not None:
                packed = [b""] * count if packed is None else packed
                for at, content in zip(np.arange(count)[places].tolist(), own_packed, strict=True):
                    packed[at] = content
        return kinds, nums, packed

    def values(self) -> list[Value]:
        """The values themselves."""
        return self.section.values()

    def extras_of_series(self) -> list[Pair] | None:
        """Tags and run id of each series."""
        return list(zip(self.section.tags, self.section.run_ids, strict=True))

    def spread(self, of_series: Sequence[int]) -> Any:
        """What belongs to each series as what belongs to each point."""
        return self.section.spread(np.array(of_series, np.int32))

    def ends(self) -> dict[int, End]:
        """Some of a section's series may be one here: they differ by tags."""
        section = self.section
        found: dict[int, tuple[int, int, int]] = {}
        ids = self.ids.tolist()
        for number, first, last in section.ends():
            t_ns = section.t_ns
            own = (int(t_ns[first]), int(t_ns[last]), last)
            known = found.get(ids[number])
            if known is None:
                found[ids[number]] = own
            else:
                newest = max((known[1], known[2]), (own[1], last))
                found[ids[number]] = (min(known[0], own[0]), *newest)
        return {name: (own[0], own[1], section.value_at(own[2])) for name, own in found.items()}


def _all_exact(column: npt.NDArray[Any]) -> bool:
    return bool(int(column.min()) >= -EXACT and int(column.max()) <= EXACT)

"""Points as columns, the form in which they cross the gateway: one list a field, so that nothing is built per point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from plexus.domain import quick
from plexus.domain.point import Point
from plexus.domain.values import Value


@attrs.frozen
class PointFault:
    """Why one point of a message cannot be stored: `index` counts from 0 in the message's `points`.

    `code` is the error's on a socket, "" for a point that is malformed.
    """

    index: int
    error: str
    code: str = ""


@attrs.define(eq=False)
class Columns:
    """Stored points, column by column; all lists have the same length.

    `t_ns` is nanoseconds since 1970 UTC. `is_event` is the point's class. `value` is as it came. A decoder may hand out
    columns whose lists are made when they are read for the first time; to such ones nothing is added.
    """

    source_id: list[str] = attrs.field(factory=list)
    metric: list[str] = attrs.field(factory=list)
    t_ns: list[int] = attrs.field(factory=list)
    is_event: list[bool] = attrs.field(factory=list)
    value: list[Value] = attrs.field(factory=list)
    tags: list[Mapping[str, str] | None] = attrs.field(factory=list)
    run_id: list[str | None] = attrs.field(factory=list)

    def __len__(self) -> int:
        return len(self.metric)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Columns):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _NAMES)

    def sources(self) -> Iterable[str]:
        """Whose points these are, each once."""
        own = self.source_id
        # Mostly one: counting costs a tenth of a dictionary.
        return own[:1] if own and own.count(own[0]) == len(own) else dict.fromkeys(own)

    def names(self, source_id: str) -> Iterable[str]:
        """Every name that a source's points here have, some of them more than once."""
        if self.source_id.count(source_id) == len(self):
            return self.metric
        return [name for name, own in zip(self.metric, self.source_id, strict=True) if own == source_id]

    def of_source(self, source_id: str) -> Columns:
        """One source's points: the same object when there are no others."""
        sources = list(self.sources())
        if sources == [source_id]:
            return self
        return self.rows([row for row, name in enumerate(self.source_id) if name == source_id])

    def rows(self, rows: Sequence[int]) -> Columns:
        """These points, by their places."""
        return Columns(*([getattr(self, name)[row] for row in rows] for name in _NAMES))

    def add(
        self,
        source_id: str,
        metric: str,
        t_ns: int,
        *,
        is_event: bool,
        value: Value,
        tags: Mapping[str, str] | None = None,
        run_id: str | None = None,
    ) -> None:
        """Append one point."""
        self.source_id.append(source_id)
        self.metric.append(metric)
        self.t_ns.append(t_ns)
        self.is_event.append(is_event)
        self.value.append(value)
        self.tags.append(tags)
        self.run_id.append(run_id)

    def copy(self, other: Columns, row: int) -> None:
        """Append one point of `other`."""
        self.source_id.append(other.source_id[row])
        self.metric.append(other.metric[row])
        self.t_ns.append(other.t_ns[row])
        self.is_event.append(other.is_event[row])
        self.value.append(other.value[row])
        self.tags.append(other.tags[row])
        self.run_id.append(other.run_id[row])

    def extend(self, other: Columns) -> None:
        """Append all points of `other`."""
        self.source_id.extend(other.source_id)
        self.metric.extend(other.metric)
        self.t_ns.extend(other.t_ns)
        self.is_event.extend(other.is_event)
        self.value.extend(other.value)
        self.tags.extend(other.tags)
        self.run_id.extend(other.run_id)

    def points(self) -> Iterator[Point]:
        """The same as domain points, for tests and for readers that want rows."""
        for i in range(len(self)):
            yield Point(
                metric=self.metric[i],
                value=self.value[i],
                timestamp_ms=self.t_ns[i] / 1_000_000,  # of two whole numbers: rounded once
                tags=self.tags[i],
                point_class="event" if self.is_event[i] else "metric",
                run_id=self.run_id[i],
                source_id=self.source_id[i],
            )


def joined(parts: Sequence[Columns]) -> Columns:
    """All points of these, one part behind the other; half the time of `extend` where they are many and small."""
    return Columns(*[[item for part in parts for item in getattr(part, name)] for name in _NAMES])


_NAMES = tuple(field.name for field in attrs.fields(Columns))


@quick.frozen
class Decoded:
    """What a telemetry body held: the points that are good and a fault for each that is not."""

    columns: Columns
    faults: tuple[PointFault, ...] = ()

    @property
    def total(self) -> int:
        """How many points the message had, good and bad."""
        return len(self.columns) + len(self.faults)

    def indices(self) -> Sequence[int]:
        """Where each good point stood in the message."""
        if not self.faults:
            return range(len(self.columns))
        faulty = {fault.index for fault in self.faults}
        return [index for index in range(self.total) if index not in faulty]

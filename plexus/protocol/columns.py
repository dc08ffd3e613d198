"""Points as columns, the form in which they cross the gateway: one list a field, so that nothing is built per point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from plexus.domain.point import Point
from plexus.domain.values import Value


@attrs.frozen
class PointFault:
    """Why one point of a message cannot be stored: `index` counts from 0 in the message's `points`."""

    index: int
    error: str


@attrs.define
class Columns:
    """Stored points, column by column; all lists have the same length.

    `t_ns` is nanoseconds since 1970 UTC. `is_event` is the point's class. `value` is as it came.
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


@attrs.frozen
class Decoded:
    """What a telemetry body held: the points that are good and a fault for each that is not."""

    columns: Columns
    faults: tuple[PointFault, ...] = ()

    @property
    def total(self) -> int:
        """How many points the message had, good and bad."""
        return len(self.columns) + len(self.faults)

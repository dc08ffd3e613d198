"""One telemetry frame between its arrival and its answer, as the gateway's session keeps it."""

from __future__ import annotations

import attrs

from plexus.protocol.batch import BatchName
from plexus.protocol.columns import PointFault
from plexus.protocol.gatewayevents import Settlement


@attrs.define
class Pending:
    """A frame that waits for `settlement`, or behind one that does; `good` points of it are to be stored."""

    seq: int | None
    batch: BatchName | None
    good: int
    faults: tuple[PointFault, ...]
    settlement: Settlement | None = None

    def describe_faults(self) -> str:
        """The first point that cannot be stored and why, and how many more there are."""
        first = f"points[{self.faults[0].index}]: {self.faults[0].error}"
        return first if len(self.faults) == 1 else f"{first} (and {len(self.faults) - 1} more)"

"""The machine's clock, as the program found it when it started."""

from __future__ import annotations

import time

from plexus.adapters.clock.anchor import Anchor


class SystemClock:
    """Monotonic ticks, and the machine's time anchored to them when the clock is made.

    So a step of the machine's time afterwards (NTP landing) does not tear a recording: stamps go on evenly, and
    `raw_wall_ms` shows the step. A correction is ignored; a SyncedClock around this one follows it.
    """

    def __init__(self) -> None:
        self._anchor = Anchor(time.monotonic_ns(), self.raw_wall_ms())

    def tick(self) -> int:
        """A monotonic stamp in nanoseconds."""
        return time.monotonic_ns()

    def wall_ms(self, tick: int) -> float:
        """The time of a tick by the machine's clock as it was found, milliseconds since 1970 UTC."""
        return self._anchor.wall_ms(tick)

    def raw_wall_ms(self) -> float:
        """The machine's own clock now, milliseconds since 1970 UTC."""
        return time.time_ns() / 1e6

    def correct(self, offset_ms: float) -> None:
        """Ignored: this is the machine's time and nothing else."""

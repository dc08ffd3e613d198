"""A clock that the gateway corrects."""

from __future__ import annotations

from plexus.adapters.clock.anchor import Anchor
from plexus.ports.clock import Clock


class SyncedClock:
    """Another clock, its base, until the first `correct`; from then on the corrected time, anchored to its ticks.

    A correction counts for every tick that is turned into a time after it, for those taken before it too: points that
    wait from before the first synchronisation are stamped right. Between two corrections a step of the machine's time
    changes nothing. May be used and corrected by any threads.
    """

    def __init__(self, base: Clock) -> None:
        self._base = base
        # Replaced whole, never changed: a reader sees one correction or the next, and no mixture.
        self._anchor: Anchor | None = None

    @property
    def boot_id(self) -> str:
        """Names the boot of the machine."""
        return self._base.boot_id

    @property
    def synced(self) -> bool:
        """Whether it was corrected."""
        return self._anchor is not None

    def tick(self) -> int:
        """A monotonic stamp in nanoseconds."""
        return self._base.tick()

    def wall_ms(self, tick: int) -> float:
        """The corrected time of a tick, milliseconds since 1970 UTC."""
        anchor = self._anchor
        return self._base.wall_ms(tick) if anchor is None else anchor.wall_ms(tick)

    def raw_wall_ms(self) -> float:
        """The machine's own clock now, uncorrected, milliseconds since 1970 UTC."""
        return self._base.raw_wall_ms()

    def correct(self, tick: int, wall_ms: float) -> None:
        """From now on: it was `wall_ms` at `tick`."""
        self._anchor = Anchor(tick, wall_ms)

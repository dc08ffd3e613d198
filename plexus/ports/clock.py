"""The clock port: time as the device sees it, and a way to correct it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two clocks of one machine. Every method may be called by any thread.

    Contract:
    - `tick` never goes back, and goes on across processes of one boot;
    - `wall_ms` is even: times are as far apart as their ticks until the next `correct`, whatever happens to the
      machine's own clock;
    - `raw_wall_ms` is that clock, which no `correct` changes.
    """

    @property
    def boot_id(self) -> str:
        """Names the boot of the machine, across which ticks can be compared."""
        ...

    @property
    def synced(self) -> bool:
        """Whether `wall_ms` follows a time that was told, or one that needs no telling; False: as the machine says."""
        ...

    def tick(self) -> int:
        """A monotonic stamp in nanoseconds; cheap enough for every `send`."""
        ...

    def wall_ms(self, tick: int) -> float:
        """The corrected time of a tick, milliseconds since 1970 UTC."""
        ...

    def raw_wall_ms(self) -> float:
        """The machine's own clock now, uncorrected, milliseconds since 1970 UTC."""
        ...

    def correct(self, tick: int, wall_ms: float) -> None:
        """From now on: it was `wall_ms` at `tick`. Counts for ticks before it too, and replaces a former correction.

        A clock that cannot be set ignores it.
        """
        ...

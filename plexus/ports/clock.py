"""The clock port: time as the device sees it, and a way to correct it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two clocks of one machine. Every method may be called by any thread.

    Contract:
    - `tick` never goes back;
    - `wall_ms` is even: times are as far apart as their ticks until the next `correct`, whatever happens to the
      machine's own clock;
    - `raw_wall_ms` is that clock, which no `correct` changes.
    """

    def tick(self) -> int:
        """A monotonic stamp in nanoseconds; cheap enough for every `send`."""
        ...

    def wall_ms(self, tick: int) -> float:
        """The corrected time of a tick, milliseconds since 1970 UTC."""
        ...

    def raw_wall_ms(self) -> float:
        """The machine's own clock now, uncorrected, milliseconds since 1970 UTC."""
        ...

    def correct(self, offset_ms: float) -> None:
        """Correct by `offset_ms` from now on: the machine's time as it is now, plus it.

        Ticks that were taken before count as well. A second correction replaces the first. A clock that cannot be set
        ignores it.
        """
        ...

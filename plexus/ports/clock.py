"""The clock port: time as the device sees it, and a way to correct it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two clocks of one machine. `tick` and `wall_ms` may be called by any thread.

    Contract: `tick` never goes back; `wall_ms(t)` grows with `t` until the next `correct`.
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
        """Correct by `offset_ms` from now on: machine's time plus it. A clock that cannot be set ignores it."""
        ...

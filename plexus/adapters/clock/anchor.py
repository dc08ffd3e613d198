"""One moment on both clocks: what makes a time of a tick."""

from __future__ import annotations

import attrs


@attrs.frozen
class Anchor:
    """`tick` nanoseconds were `wall_ms_there` milliseconds since 1970 UTC."""

    tick: int
    wall_ms_there: float

    def wall_ms(self, tick: int) -> float:
        """The time of a tick, before or after the anchor's own."""
        return self.wall_ms_there + (tick - self.tick) / 1e6

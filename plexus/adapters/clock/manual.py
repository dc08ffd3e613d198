"""A clock that stands still until it is moved by hand, for tests."""

from __future__ import annotations

import threading

from plexus.adapters.clock.anchor import Anchor


class ManualClock:
    """Starts at `wall_ms` (milliseconds since 1970 UTC) and `tick` (nanoseconds). May be moved by any thread.

    A correction is ignored; put a SyncedClock around it to see one. Setting `boot_id` is a boot of the machine;
    `synced` says whether its time needs no telling.
    """

    def __init__(
        self, wall_ms: float = 1_700_000_000_000.0, tick: int = 0, *, boot_id: str = "by-hand", synced: bool = True
    ) -> None:
        self.boot_id = boot_id
        self.synced = synced
        self._lock = threading.Lock()
        self._anchor = Anchor(tick, wall_ms)
        self._tick = tick
        self._stepped_ms = 0.0

    def tick(self) -> int:
        """The monotonic stamp in nanoseconds."""
        return self._tick

    def wall_ms(self, tick: int) -> float:
        """The time of a tick, milliseconds since 1970 UTC."""
        return self._anchor.wall_ms(tick)

    def raw_wall_ms(self) -> float:
        """The machine's own clock now, its steps included, milliseconds since 1970 UTC."""
        return self._anchor.wall_ms(self._tick) + self._stepped_ms

    def correct(self, tick: int, wall_ms: float) -> None:
        """Ignored: the time is what the test says."""

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks; raises ValueError for less than none."""
        if seconds < 0:
            raise ValueError(f"time does not go back: advance({seconds}); step() moves the machine's clock alone")
        with self._lock:
            self._tick += round(seconds * 1e9)

    def step(self, seconds: float) -> None:
        """Set the machine's clock forward or back, as NTP or a person does; ticks and `wall_ms` go on evenly."""
        with self._lock:
            self._stepped_ms += seconds * 1_000.0

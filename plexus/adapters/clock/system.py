"""The machine's clock, as the program found it when it started."""

from __future__ import annotations

import os
import time
from pathlib import Path

from plexus.adapters.clock.anchor import Anchor

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")

_this_process = os.urandom(16).hex()
"""Names the boot where the system does not: ticks of two processes are then not compared."""


class SystemClock:
    """Monotonic ticks, and the machine's time anchored to them when the clock is made.

    So a step of the machine's time afterwards (NTP landing) does not tear a recording: stamps go on evenly, and
    `raw_wall_ms` shows the step. A correction is ignored; a SyncedClock around this one follows it.
    """

    def __init__(self, boot_id_file: Path = BOOT_ID_FILE) -> None:
        self._anchor = Anchor(time.monotonic_ns(), self.raw_wall_ms())
        self._boot_id = _read_boot_id(boot_id_file)

    @property
    def boot_id(self) -> str:
        """The kernel's name for this boot; on other systems than Linux one for this process."""
        return self._boot_id

    @property
    def synced(self) -> bool:
        """True: by itself it is the machine's time, and waits for nobody to tell it another."""
        return True

    def tick(self) -> int:
        """A monotonic stamp in nanoseconds."""
        return time.monotonic_ns()

    def wall_ms(self, tick: int) -> float:
        """The time of a tick by the machine's clock as it was found, milliseconds since 1970 UTC."""
        return self._anchor.wall_ms(tick)

    def raw_wall_ms(self) -> float:
        """The machine's own clock now, milliseconds since 1970 UTC."""
        return time.time_ns() / 1e6

    def correct(self, tick: int, wall_ms: float) -> None:
        """Ignored: this is the machine's time and nothing else."""


def _read_boot_id(file: Path) -> str:
    try:
        named = file.read_text("ascii").strip()
    except (OSError, ValueError):
        return _this_process
    return named or _this_process

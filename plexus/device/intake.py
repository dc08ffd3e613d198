"""Where callers put readings and the uplink takes them out: one deque, no lock, no wake-up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from plexus.device import counters
from plexus.device.counters import Counters
from plexus.domain.point import Reading
from plexus.ports.clock import Clock

LIMIT = 1_000_000
"""Readings that may wait here while the uplink is held up by a disk or a socket; a thousandth of it is usual."""


class Intake:
    """`readings.append` is all that `send` does, and to call `alarm`, after it, where there is one."""

    def __init__(self, clock: Clock, tally: Counters, limit: int = LIMIT) -> None:
        self.readings: deque[Reading] = deque()
        self.alarm: Callable[[], None] | None = None
        self._clock = clock
        self._counters = tally
        self._limit = limit

    def raise_once(self, error: Exception) -> None:
        """Have the next `send` raise this, after its reading is safe."""

        def alarm() -> None:
            self.alarm = None
            raise error

        self.alarm = alarm

    def shut(self) -> None:
        """Nobody takes readings out any more: count what comes as dropped, so that it is not lost in silence."""
        self._discard(counters.CLOSED, "they were sent after close()")

    def abandon(self) -> None:
        """This is a forked child: what is here is the parent's, and what comes has nowhere to go."""
        self.readings.clear()
        self._discard(counters.FORKED, "they were sent by a forked child; make a Plexus in the child itself")

    def _discard(self, reason: str, detail: str) -> None:
        def alarm() -> None:
            self._counters.drop(reason, len(self.take(len(self.readings))), detail)

        self.alarm = alarm
        alarm()

    def __len__(self) -> int:
        return len(self.readings)

    def age_s(self) -> float:
        """How long ago the oldest reading here was taken, in seconds; 0 if there is none."""
        if not self.readings:
            return 0.0
        return max(0.0, (self._clock.tick() - self.readings[0][6]) / 1e9)

    def take(self, count: int) -> list[Reading]:
        """Up to `count` of the oldest readings."""
        pop = self.readings.popleft
        taken = [pop() for _ in range(min(count, len(self.readings)))]
        self._counters.took(len(taken))
        return taken

    def trim(self) -> None:
        """Let the oldest go where there are more than can be kept."""
        excess = len(self.readings) - self._limit
        if excess > 0:
            self.take(excess)
            self._counters.drop(counters.BUFFER_FULL, excess, "readings came faster than they could be sealed")

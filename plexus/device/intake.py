"""Where callers put readings and the uplink takes them out: two deques, no wake-up, and no lock for `send`."""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any

import attrs

from plexus.device import counters
from plexus.device.counters import Counters
from plexus.domain.point import Reading, milliseconds_of
from plexus.ports.clock import Clock

LIMIT = 1_000_000
"""Readings that may wait here while the uplink is held up by a disk or a socket; a thousandth of it is usual."""

SERIES_LIMIT = 4_000_000
"""Samples of high-rate blocks that may wait beside them: one weighs 16 bytes at most, its time included, so 64 MB."""

SERIES_AT_ONCE = 10_000
"""Samples that are taken out at a time: what a gateway takes in one message."""


@attrs.frozen(eq=False)
class Samples:
    """A high-rate block as `send_series` took it: at most `SERIES_AT_ONCE` values of one metric.

    `t_ns` are their times, nanoseconds since 1970 UTC, or their distance from the instant of the call (`is_made`).
    """

    metric: str
    values: array[Any]
    t_ns: Sequence[int]
    is_made: bool
    tags: Mapping[str, str] | None
    run_id: str | None
    tick: int

    def __len__(self) -> int:
        return len(self.values)


@attrs.frozen(eq=False)
class Taken:
    """What was taken out at once, oldest first."""

    readings: Sequence[Reading]
    series: Sequence[Samples] = ()

    def __len__(self) -> int:
        return len(self.readings) + sum(map(len, self.series))


class Intake:
    """`readings.append` is all that `send` does, and to call `alarm`, after it, where there is one."""

    def __init__(self, clock: Clock, tally: Counters, limit: int = LIMIT, series_limit: int = SERIES_LIMIT) -> None:
        self.readings: deque[Reading] = deque()
        self.series: deque[Samples] = deque()
        self.alarm: Callable[[], None] | None = None
        self._clock = clock
        self._counters = tally
        self._limit = limit
        self._series_limit = series_limit
        self._samples = 0
        self._lock = threading.RLock()

    def add(self, blocks: Sequence[Samples]) -> None:
        """Take blocks in."""
        with self._lock:
            self.series.extend(blocks)
            self._samples += sum(map(len, blocks))

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
        # Another thread of the parent may have held the lock, and that thread is not in the child.
        self._lock = threading.RLock()
        self.readings.clear()
        self.series.clear()
        self._samples = 0
        self._discard(counters.FORKED, "they were sent by a forked child; make a Plexus in the child itself")

    def _discard(self, reason: str, detail: str) -> None:
        def alarm() -> None:
            self._drop(reason, detail, len(self.readings), self._samples)

        self.alarm = alarm
        alarm()

    def __len__(self) -> int:
        return len(self.readings) + self._samples

    def age_s(self) -> float:
        """How long ago the oldest reading here was taken, in seconds; 0 if there is none."""
        ticks = [self.readings[0][6]] if self.readings else []
        if self.series:
            ticks.append(self.series[0].tick)
        return max(0.0, (self._clock.tick() - min(ticks)) / 1e9) if ticks else 0.0

    def take(self, count: int) -> Taken:
        """Up to `count` of the oldest readings, and of the oldest blocks as many as fit one message."""
        taken = Taken(self._take_readings(count), self._take_series(SERIES_AT_ONCE))
        self._counters.took(len(taken))
        return taken

    def trim(self) -> None:
        """Let the oldest go where there are more than can be kept."""
        readings, samples = len(self.readings) - self._limit, self._samples - self._series_limit
        if readings > 0 or samples > 0:
            self._drop(counters.BUFFER_FULL, "readings came faster than they could be sealed", readings, samples)

    def _take_readings(self, count: int) -> list[Reading]:
        return list(map(deque.popleft, repeat(self.readings, min(count, len(self.readings)))))

    def _take_series(self, count: int) -> list[Samples]:
        if not self.series:
            return []
        taken: list[Samples] = []
        with self._lock:
            while self.series and (not taken or len(self.series[0]) <= count):
                taken.append(self.series.popleft())
                count -= len(taken[-1])
            self._samples -= sum(map(len, taken))
        return taken

    def _drop(self, reason: str, detail: str, readings: int, samples: int) -> None:
        # After the end any thread that sends comes here, and two must not take out the same.
        with self._lock:
            series: list[Samples] = []
            while samples > 0 and (more := self._take_series(samples)):
                series += more
                samples -= sum(map(len, more))
            taken = Taken(self._take_readings(max(0, readings)), series)
        self._counters.took(len(taken))
        times = self._times_ms(taken)
        first, last = (min(times), max(times)) if times else (None, None)
        self._counters.drop(reason, len(taken), detail, first_ms=first, last_ms=last)

    def _times_ms(self, taken: Taken) -> list[float]:
        wall_ms = self._clock.wall_ms
        times = [
            wall_ms(reading[6]) if reading[2] is None else milliseconds_of(reading[2]) for reading in taken.readings
        ]
        for block in taken.series:
            made_ms = wall_ms(block.tick) if block.is_made else 0.0
            times += [made_ms + milliseconds_of(min(block.t_ns)), made_ms + milliseconds_of(max(block.t_ns))]
        return times

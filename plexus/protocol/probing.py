"""What time a gateway has: samples from what it says of its clock, without I/O (protocol page, extension `clock`).

The device asks at `t0`, the gateway has it at `t1` and answers at `t2`, the device hears it at `t3`. The gateway's
clock was (t1 + t2) / 2 in the middle between `t0` and `t3`, and at most half of what the two ways took together off.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from plexus.protocol.frames import ClockPing, ClockPong
from plexus.protocol.messages import ClockSample

TIME_HEADER = "x-plexus-time-us"
"""`<t1>,<t2>` in an answer over HTTP: when the request came and when the answer left, µs since 1970 UTC."""

GREETING_PINGS = 4
HEARTBEAT_PINGS = 3

MAX_DRIFT = 150e-6
"""How fast two clocks may part: crystals are within 100 parts in a million, and NTP steers a gateway's beside."""

ROUNDING_MS = 0.001
"""What is lost by telling a time in whole microseconds."""

_LATEST_US = 10**16
"""The year 2286: what claims to be later is no time."""


def halfway(asked: int, heard: int, wall_ms: float) -> ClockSample:
    """A sample from one time that was told between two ticks: it was so in the middle, give or take half the trip.

    A whole number of milliseconds was rounded by the gateway, nobody knows which way.
    """
    sample = _sample(asked, heard, wall_ms, 0.0)
    return attrs.evolve(sample, error_ms=sample.error_ms + 1.0) if wall_ms == int(wall_ms) else sample


def between(asked: int, heard: int, t1: int, t2: int) -> ClockSample | None:
    """A sample from a question and its answer; None where the gateway's two times cannot be, so that nobody trusts it.

    `asked` and `heard` are ticks of the device, nanoseconds; `t1` and `t2` the gateway's time, microseconds.
    """
    if not 0 <= t1 <= t2 < _LATEST_US or (t2 - t1) * 1_000 > heard - asked:
        return None
    return _sample(asked, heard, (t1 + t2) / 2e3 + ROUNDING_MS / 2, (t2 - t1) / 1e3)


def _sample(asked: int, heard: int, wall_ms: float, busy_ms: float) -> ClockSample:
    trip_ms = (heard - asked) / 1e6
    # The two clocks part during the trip, too.
    error_ms = (trip_ms - busy_ms + trip_ms * MAX_DRIFT) / 2 + ROUNDING_MS
    return ClockSample((asked + heard) // 2, wall_ms, error_ms)


def dump_times(t1_ns: int, t2_ns: int) -> str:
    """The value of `TIME_HEADER`, from nanoseconds since 1970 UTC."""
    return f"{t1_ns // 1_000},{t2_ns // 1_000}"


def read_times(value: str | None) -> tuple[int, int] | None:
    """The two times of `TIME_HEADER`; None where it is not there or holds something else."""
    parts = [part.strip() for part in (value or "").split(",")]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 18 for part in parts):
        return None
    return int(parts[0]), int(parts[1])


class ClockProbe:
    """Asks a few times, one question at a time, and keeps the best answer. `tick`: the device's clock, nanoseconds."""

    def __init__(self, tick: Callable[[], int]) -> None:
        self._tick = tick
        self._left = 0
        self._t0 = 0
        self._asked: int | None = None
        self._best: ClockSample | None = None

    def begin(self, pings: int) -> None:
        """Begin to ask; what is left of an earlier round is given up, and its answers are not waited for."""
        self._left, self._asked, self._best = pings, None, None

    def ping(self) -> ClockPing | None:
        """The next question, if one is due; its clock starts now, so it is to be written at once."""
        if not self._left or self._asked is not None:
            return None
        self._left -= 1
        self._asked = self._tick()
        # Never one that was used before: an answer that comes late must not pass for another's.
        self._t0 = max(self._t0 + 1, self._asked // 1_000)
        return ClockPing(self._t0)

    def heard(self, pong: ClockPong) -> ClockSample | None:
        """An answer came; the best sample once all are there. One to a question that is not open is passed over."""
        if self._asked is None or pong.t0 != self._t0:
            return None
        sample, self._asked = between(self._asked, self._tick(), pong.t1, pong.t2), None
        if sample is not None and (self._best is None or sample.error_ms < self._best.error_ms):
            self._best = sample
        return None if self._left else self._best

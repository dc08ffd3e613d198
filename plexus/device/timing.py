"""The gateway's time, put together from what samples say of it.

A sample bounds the gateway's clock against this machine's ticks: half the round trip either way, however unevenly the
way there and the way back shared it. The bounds are kept as one interval. It widens with age, by what two clocks may
drift apart, and is narrowed to what the next sample leaves possible: so a good sample counts for as long as it is
better than the fresh ones, a slow or lopsided one takes nothing away, and the truth never leaves the interval. A sample
that contradicts it is a clock that was set, and is believed at once.
"""

from __future__ import annotations

import attrs

from plexus.ports.clock import Clock
from plexus.protocol.messages import ClockSample
from plexus.protocol.probing import MAX_DRIFT

MAX_SLEW = 500e-6
"""How fast the clock is turned towards the middle of what is possible, so that a recording stays even; NTP's own."""


@attrs.frozen
class _Known:
    """At `tick` the gateway's time minus the tick lay within `low` and `high`, milliseconds; `best` is believed."""

    tick: int
    low: float
    best: float
    high: float

    def at(self, tick: int) -> _Known:
        """The same as it is known at another tick."""
        grown = abs(tick - self.tick) / 1e6 * MAX_DRIFT
        return _Known(tick, self.low - grown, self.best, self.high + grown)


class Synchroniser:
    """Keeps a clock by the gateway's. `heard` is for one thread; the properties may be read by any."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Replaced whole, never changed: a reader sees one or the next, and no mixture.
        self._known: _Known | None = None

    @property
    def offset_ms(self) -> float | None:
        """How far the gateway is ahead of this machine's own clock, as that is now; None before it told its time."""
        known = self._known
        if known is None:
            return None
        return known.best + self._clock.tick() / 1e6 - self._clock.raw_wall_ms()

    @property
    def error_ms(self) -> float:
        """How wrong that may be now: it grows until the next sample. 0 before the first one."""
        if self._known is None:
            return 0.0
        known = self._known.at(self._clock.tick())
        return max(known.best - known.low, known.high - known.best)

    def heard(self, sample: ClockSample) -> None:
        """Take one sample in, and correct the clock where that moves the time."""
        former, known = self._known, _told_by(sample)
        if former is not None:
            known = _narrowed(former, known)
        self._known = known
        if former is None or known.best != former.best:
            self._clock.correct(sample.tick, known.best + sample.tick / 1e6)


def _told_by(sample: ClockSample) -> _Known:
    best = sample.wall_ms - sample.tick / 1e6
    return _Known(sample.tick, best - sample.error_ms, best, best + sample.error_ms)


def _narrowed(former: _Known, fresh: _Known) -> _Known:
    """What both leave possible; the fresh one alone where they contradict each other."""
    aged = former.at(fresh.tick)
    low, high = max(aged.low, fresh.low), min(aged.high, fresh.high)
    if low > high:
        return fresh
    most = abs(fresh.tick - former.tick) / 1e6 * MAX_SLEW
    turned = _within((low + high) / 2, former.best - most, former.best + most)
    return _Known(fresh.tick, low, _within(turned, low, high), high)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)

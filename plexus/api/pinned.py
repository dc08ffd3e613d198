"""Windows that do not move while they are worked on: whole microseconds, as fine as the API takes a moment. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import attrs

from plexus.api.times import DEFAULT_LAST, Instant, Length, instant_ms, length_s
from plexus.domain.errors import QueryError
from plexus.domain.run import Run

RESUMED_WITHIN_US = 3_600 * 1_000_000
"""A window that ends now is gone on with for so long at most, and no longer than its own length."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@attrs.frozen
class Window:
    """From `start_us` to before `end_us`, microseconds since 1970 UTC.

    `length_us` is not None where it is that of a window that ends now, and `open_end` where only its start was given:
    asked for again a moment later, such a window is another one.
    """

    start_us: int
    end_us: int
    length_us: int | None = None
    open_end: bool = False

    @property
    def asked(self) -> Mapping[str, Any]:
        """What does not change when the same is asked for again."""
        if self.length_us is not None:
            return {"length_us": self.length_us}
        return {"start_us": self.start_us, "end_us": None if self.open_end else self.end_us}

    def still_meant(self, earlier_end_us: int) -> bool:
        """Whether work on the same question, pinned to an earlier now, is what is asked for still."""
        if self.length_us is None and not self.open_end:
            return True
        age_us = self.end_us - earlier_end_us
        return 0 <= age_us <= min(RESUMED_WITHIN_US, self.end_us - self.start_us)


def window_of(last: Length | None, start: Instant | None, end: Instant | None, now_ms: float) -> Window:
    """A window; none given is the last hour, no `end` is now. `now_ms` is the reader's clock. QueryError."""
    now_us = _us(now_ms)
    if last is not None and (start is not None or end is not None):
        raise QueryError("give either last= or start=/end=, not both")
    if start is None:
        if end is not None:
            raise QueryError("end= needs start= beside it: say where the window begins, or use last=")
        length_us = _us(length_s(DEFAULT_LAST if last is None else last) * 1_000)
        return Window(now_us - length_us, now_us, length_us)
    start_us = _us(instant_ms(start, "start"))
    end_us = now_us if end is None else _us(instant_ms(end, "end"))
    if start_us >= end_us:
        until = "now" if end is None else iso(end_us)
        raise QueryError(f"start ({iso(start_us)}) must be before end ({until})")
    return Window(start_us, end_us, open_end=end is None)


def run_window(run: Run, now_ms: float) -> Window:
    """The window of a run: to the microsecond in which it ended and with it, or until now while it is running."""
    start_us = _us(run.started_ms)
    if run.ended_ms is None:
        return Window(start_us, max(_us(now_ms), start_us + 1), open_end=True)
    return Window(start_us, _us(run.ended_ms) + 1)


def iso(us: int) -> str:
    """Microseconds since 1970 UTC as ISO 8601."""
    return moment(us).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(us: int) -> datetime:
    """Microseconds since 1970 UTC as an aware datetime."""
    return _EPOCH + timedelta(microseconds=us)


def _us(ms: float) -> int:
    return round(ms * 1_000)

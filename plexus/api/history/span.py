"""The stretch of time that a reader asks for, as the plan of a whole history needs it: fixed, whole microseconds."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

from plexus.api.history.plan import Span
from plexus.api.times import DEFAULT_LAST, Instant, Length, instant_ms, length_s, window
from plexus.domain.series import INTERVAL_MS, check_interval

US_PER_MS = 1_000

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def span_of(*, last: Length | None, start: Instant | None, end: Instant | None, interval: str, now_ms: float) -> Span:
    """The window that `times.window` describes, which ends at `now_ms` where it says no end. Raises QueryError."""
    check_interval(interval)
    window(last=last, start=start, end=end, now_ms=now_ms)  # refuses what makes no sense, in its own words
    step_us = INTERVAL_MS[interval] * US_PER_MS if interval in INTERVAL_MS else 1
    # What is stamped this very moment is in it.
    end_us = math.floor(now_ms * US_PER_MS) + 1 if end is None else round(instant_ms(end, "end") * US_PER_MS)
    if start is None:
        length_us = round(length_s(DEFAULT_LAST if last is None else last) * 1_000_000)
        return Span(end_us - 1 - length_us, end_us, step_us)
    start_us = round(instant_ms(start, "start") * US_PER_MS)
    return Span(start_us, max(end_us, start_us + 1), step_us)


def iso(us: int) -> str:
    """Microseconds since 1970 UTC as the data API takes a moment."""
    text = (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")

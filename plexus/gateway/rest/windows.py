"""Stretches of time as a query names them, and the interval that answers them. Pure: the caller says what now is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import attrs

from plexus.domain.errors import QueryError
from plexus.domain.isotime import parse_iso
from plexus.domain.point import MAX_ABS_MS
from plexus.domain.series import INTERVAL_MS, Interval, check_interval, choose_interval
from plexus.ports.store import Window

DEFAULT_LAST = "1h"
NS_PER_MS = 1_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_length = re.compile(r"([0-9]{1,9})([mhd])\Z", re.ASCII)
_UNIT_MS: Mapping[str, int] = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_lost_plus = re.compile(r"(T[0-9:.,]+) ([0-9]{2}:?[0-9]{2})\Z", re.ASCII)


@attrs.frozen
class Asked:
    """The window that a query asks for, and its length as the query names it."""

    window: Window
    length_ms: float


def parse_window(last: str | None, start: str | None, end: str | None, now_ns: int) -> Asked:
    """The window of `last` ("90m", "6h", "7d"), which wins, or of `start` and `end` (ISO 8601 with an offset).

    None of the three is the last hour; no `end` is now. A window that ends now takes in what is stamped this very
    moment. Raises QueryError saying what is allowed.
    """
    if last is None and start is None:
        if end is not None:
            raise QueryError("end needs start beside it: say where the window begins, or use last, for example last=1h")
        last = DEFAULT_LAST
    if last is not None:
        length_ms = parse_last(last)
        return Asked(Window(now_ns - length_ms * NS_PER_MS, now_ns + 1), length_ms)
    assert start is not None
    start_ns = parse_instant(start, "start")
    end_ns = now_ns + 1 if end is None else parse_instant(end, "end")
    if start_ns >= end_ns:
        raise QueryError(f"start ({start}) must be before end ({'now' if end is None else end})")
    return Asked(Window(start_ns, end_ns), (end_ns - start_ns) / NS_PER_MS)


def parse_last(text: str) -> int:
    """A length such as "30m" in milliseconds; raises QueryError."""
    match = _length.match(text)
    length_ms = int(match[1]) * _UNIT_MS[match[2]] if match else 0
    if not 0 < length_ms <= MAX_ABS_MS / 4:
        raise QueryError(f"last={text[:64]!r} is not a window: write a number and m, h or d, for example 30m, 6h or 7d")
    return length_ms


def parse_instant(text: str, field: str) -> int:
    """ISO 8601 with an offset in nanoseconds since 1970 UTC; raises QueryError naming `field`."""
    try:
        # A + that was not escaped in a URL arrives as a space.
        moment = parse_iso(_lost_plus.sub(r"\1+\2", text.strip()))
    except ValueError as exc:
        raise QueryError(
            f"{field}={text[:64]!r} is not ISO 8601: write for example 2026-05-01T12:00:00Z or "
            "2026-05-01T14:00:00+02:00"
        ) from exc
    if moment.tzinfo is None:
        raise QueryError(f"{field}={text[:64]!r} has no offset: add Z for UTC, or an offset such as +02:00")
    whole = (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
    if abs(whole) > MAX_ABS_MS * NS_PER_MS:
        raise QueryError(f"{field}={text[:64]!r} must lie between the years 1678 and 2261")
    return whole


def format_instant(ms: float) -> str:
    """Milliseconds since 1970 UTC as ISO 8601 in UTC, to the microsecond."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat()


def pick_interval(asked: Asked, interval: str | None) -> tuple[Interval, bool]:
    """The interval of the answer, and whether it was chosen because the window is long. Raises QueryError."""
    if interval is not None:
        return check_interval(interval), False
    chosen = choose_interval(0, asked.length_ms)
    return chosen, chosen != "raw"


def fit_interval(asked: Asked, chosen: Interval, series: int, limit: int, *, auto: bool) -> Interval:
    """The interval at which `series` series have at most `limit` buckets: the chosen one, or where it was chosen here
    (`auto`) a longer one. Raises QueryError when there is none.
    """
    longer = list(INTERVAL_MS)[list(INTERVAL_MS).index(chosen) :] if auto else [chosen]
    for name in longer:
        if series * bucket_count(asked.window, INTERVAL_MS[name]) <= limit:
            return name  # type: ignore[return-value]  # INTERVAL_MS has the names of Interval
    most = series * bucket_count(asked.window, INTERVAL_MS[longer[-1]])
    raise QueryError(
        f"the answer could have {most} buckets of {longer[-1]} ({series} metrics); one answer holds {limit}: "
        "narrow the window, take a longer interval or name fewer metrics, or ask GET /v1/export"
    )


def bucket_count(window: Window, bucket_ms: int) -> int:
    """How many buckets lie in a window, in part or as a whole."""
    length = bucket_ms * NS_PER_MS
    return (window.end_ns - 1) // length - window.start_ns // length + 1


def pick_fleet_interval(asked: Asked, interval: str | None) -> Interval:
    """The same for the fleet, which is never answered raw."""
    if interval is not None and interval not in INTERVAL_MS:
        raise QueryError(f"interval {interval[:64]!r} is not known for the fleet; use one of {', '.join(INTERVAL_MS)}")
    chosen, _ = pick_interval(asked, interval)
    return "1m" if chosen == "raw" else chosen

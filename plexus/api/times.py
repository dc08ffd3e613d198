"""Stretches of time as a person says them, turned into what the data API takes. Pure: the caller says what now is.

window(last="1h")                                   the last hour
window(last=timedelta(minutes=30))
window(start="2026-05-01T12:00:00+02:00")           from then until now
window(start=1_777_629_600, end=1_777_633_200)      epoch seconds, or milliseconds
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Union

from plexus.domain.errors import ProtocolError, QueryError
from plexus.domain.isotime import parse_iso
from plexus.domain.point import MAX_ABS_MS, to_milliseconds
from plexus.domain.values import is_number

Instant = Union[datetime, str, int, float]
"""An aware datetime, ISO 8601 text with an offset, or seconds or milliseconds since 1970 UTC."""

Length = Union[timedelta, str]
"""A timedelta, or text such as "90s", "15m", "1h", "7d"."""

DEFAULT_LAST = "1h"

_length = re.compile(r"([0-9]{1,9})([smhd])\Z", re.ASCII)
_UNIT_S: Mapping[str, int] = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def window(
    *, last: Length | None = None, start: Instant | None = None, end: Instant | None = None, now_ms: float
) -> tuple[tuple[str, str], ...]:
    """The query parameters of a stretch of time; none given is the last hour, no `end` is now.

    `now_ms` is the reader's clock (milliseconds since 1970 UTC). Raises QueryError saying what to write instead.
    """
    if last is not None and (start is not None or end is not None):
        raise QueryError("give either last= or start=/end=, not both: the server would pass over start and end")
    if start is None:
        if end is not None:
            raise QueryError("end= needs start= beside it: say where the window begins, or use last=")
        return _last_params(length_s(DEFAULT_LAST if last is None else last), now_ms)
    start_ms = instant_ms(start, "start")
    end_ms = now_ms if end is None else instant_ms(end, "end")
    if start_ms >= end_ms:
        until = "now" if end is None else iso(end_ms)
        raise QueryError(f"start ({iso(start_ms)}) must be before end ({until})")
    return (("start", iso(start_ms)), ("end", iso(end_ms)))


def length_s(last: Length) -> float:
    """A length of time in seconds; raises QueryError."""
    if isinstance(last, timedelta):
        seconds = last.total_seconds()
    else:
        match = _length.match(last.strip()) if isinstance(last, str) else None
        if match is None:
            raise QueryError(f'last={last!r} is not a length of time: write "90s", "15m", "1h", "7d", or a timedelta')
        seconds = float(int(match[1]) * _UNIT_S[match[2]])
    if not 0 < seconds * 1000.0 <= MAX_ABS_MS:
        raise QueryError(f"last={last!r} must be longer than nothing and shorter than 292 years")
    return seconds


def is_length(text: str) -> bool:
    """Whether text says a length of time, such as "15m", and no moment."""
    return _length.match(text.strip()) is not None


def instant_ms(value: Instant, field: str) -> float:
    """A moment in milliseconds since 1970 UTC; raises QueryError naming `field`."""
    if isinstance(value, str):
        value = _parse_iso(value, field)
    if isinstance(value, datetime):
        ms = _aware(value, field)
    elif is_number(value):
        ms = to_milliseconds(value)
    else:
        raise QueryError(
            f"{field} must be an aware datetime, ISO text with an offset, or epoch seconds, not {type(value).__name__}"
        )
    if not abs(ms) <= MAX_ABS_MS:
        raise QueryError(f"{field}={value!r} must lie between the years 1678 and 2261")
    return ms


def read_instant_ms(raw: Any, field: str) -> float:
    """A moment of an answer, ISO 8601 with an offset, in milliseconds since 1970 UTC; raises ProtocolError."""
    try:
        if isinstance(raw, str):
            return instant_ms(raw, field)
    except QueryError as exc:
        raise ProtocolError(f"has {field} {raw[:64]!r}, which is no time with an offset", field=field) from exc
    raise ProtocolError(f"has a {field} that is no text", field=field)


def iso(ms: float) -> str:
    """Milliseconds since 1970 UTC as the data API takes a moment, to the microsecond."""
    text = (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def _parse_iso(text: str, field: str) -> datetime:
    try:
        return parse_iso(text)
    except ValueError as exc:
        raise QueryError(
            f'{field}={text!r} is not ISO 8601: write for example "2026-05-01T12:00:00+02:00" or "2026-05-01T10:00:00Z"'
        ) from exc


def _aware(value: datetime, field: str) -> float:
    if value.tzinfo is None or value.utcoffset() is None:
        raise QueryError(
            f"{field} has no time zone, so it could mean any of 38 moments: for this machine's local time use "
            f"{field}.astimezone(), for UTC {field}.replace(tzinfo=timezone.utc); in text, add Z or an offset"
        )
    return (value - _EPOCH) / timedelta(milliseconds=1)


def _last_params(seconds: float, now_ms: float) -> tuple[tuple[str, str], ...]:
    # The API's `last` knows whole minutes and up; anything finer is a window on the reader's own clock.
    if seconds % 60:
        return (("start", iso(now_ms - seconds * 1000.0)), ("end", iso(now_ms)))
    for unit in ("d", "h"):
        if not seconds % _UNIT_S[unit]:
            return (("last", f"{seconds // _UNIT_S[unit]:.0f}{unit}"),)
    return (("last", f"{seconds // 60:.0f}m"),)

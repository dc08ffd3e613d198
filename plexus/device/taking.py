"""What a caller passes to `send`, checked and taken as it is at the call. Errors name the metric and the way out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Union

from plexus.domain.errors import ConfigurationError, UnsupportedValueError
from plexus.domain.names import MAX_TAGS, metric_fault
from plexus.domain.point import MAX_ABS_MS, Reading, to_milliseconds
from plexus.domain.values import freeze

Timestamp = Union[float, datetime]
"""Seconds or milliseconds since 1970 UTC, or an aware datetime."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def take_reading(
    metric: str,
    value: object,
    timestamp: Timestamp | None,
    tags: Mapping[str, Any] | None,
    data_class: str,
    run_id: str | None,
    tick: int,
) -> Reading:
    """One reading, with nothing in it that the caller can still change.

    Raises UnsupportedValueError (a TypeError) for a type that no wire carries, ConfigurationError (a ValueError) for a
    name, tags, time or class that cannot be right.
    """
    check_metric(metric)
    if data_class not in ("metric", "event"):
        raise ConfigurationError(f"metric {metric!r}: data_class must be 'metric' or 'event', not {data_class!r}")
    return (
        str(metric),
        freeze(value, metric),
        take_time(timestamp, metric),
        take_tags(tags, metric),
        data_class,
        run_id,
        tick,
    )


def check_metric(metric: object) -> None:
    """Refuse what can be no metric's name."""
    if not isinstance(metric, str):
        raise UnsupportedValueError(f"a metric's name must be text such as 'motor.rpm', not {metric!r}")
    fault = metric_fault(metric)
    if fault is None and not _is_sayable(metric):
        fault = "metric holds a lone surrogate, which UTF-8 cannot carry"
    if fault is not None:
        raise ConfigurationError(f"metric {metric[:80]!r}: {fault}")


def take_time(timestamp: Timestamp | None, metric: str) -> float | None:
    """A caller's time as milliseconds since 1970 UTC: positive numbers under 1e12 are seconds, None stays None."""
    if timestamp is None:
        return None
    if isinstance(timestamp, datetime):
        if timestamp.utcoffset() is None:
            raise ConfigurationError(
                f"metric {metric!r}: the timestamp {timestamp} has no time zone; use datetime.now(timezone.utc)"
            )
        return (timestamp - _EPOCH) / _MICROSECOND / 1_000.0
    number = _number(timestamp)
    if number is None:
        raise UnsupportedValueError(
            f"metric {metric!r}: the timestamp must be seconds or milliseconds since 1970 or an aware datetime, "
            f"not {type(timestamp).__name__}"
        )
    milliseconds = to_milliseconds(number)
    # Also false for NaN.
    if not abs(milliseconds) <= MAX_ABS_MS:
        raise ConfigurationError(
            f"metric {metric!r}: the timestamp {timestamp!r} is no time between the years 1678 and 2261; "
            "use seconds or milliseconds since 1970"
        )
    return round(milliseconds, 3) if isinstance(milliseconds, float) else milliseconds


def take_tags(tags: Mapping[str, Any] | None, metric: str) -> dict[str, str] | None:
    """A copy of the tags, None for none; numbers and booleans become text."""
    if tags is None:
        return None
    if not isinstance(tags, Mapping):
        raise UnsupportedValueError(f"metric {metric!r}: tags must be a dict of texts, not {type(tags).__name__}")
    if len(tags) > MAX_TAGS:
        raise ConfigurationError(f"metric {metric!r}: tags must be at most {MAX_TAGS}, not {len(tags)}")
    return {_tag(name, metric): _tag(text, metric) for name, text in tags.items()} or None


def _tag(text: object, metric: str) -> str:
    if not isinstance(text, (str, int, float)):
        raise UnsupportedValueError(f"metric {metric!r}: tags must be texts, not {type(text).__name__}")
    if not _is_sayable(str(text)):
        raise ConfigurationError(f"metric {metric!r}: a tag holds a lone surrogate, which UTF-8 cannot carry")
    return str(text)


def _number(timestamp: object) -> float | None:
    item = getattr(timestamp, "item", None)
    plain = item() if callable(item) else timestamp
    if isinstance(plain, bool) or not isinstance(plain, (int, float)):
        return None
    return plain if isinstance(plain, int) or math.isfinite(plain) else math.nan


def _is_sayable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

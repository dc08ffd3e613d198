"""What a caller passes to `send`, checked and taken as it is at the call. Errors name the metric and the way out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Union

from plexus.domain.errors import ConfigurationError, UnsupportedValueError
from plexus.domain.names import MAX_TAGS, metric_fault
from plexus.domain.point import MAX_ABS_NS, Reading, nanoseconds_of
from plexus.domain.values import freeze

Timestamp = Union[float, datetime]
"""Seconds or milliseconds since 1970 UTC, or an aware datetime."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def take_reading(
    metric: str,
    value: object,
    t_ns: int | None,
    tags: Mapping[str, Any] | None,
    data_class: str,
    run_id: str | None,
    tick: int,
) -> Reading:
    """One reading, with nothing in it that the caller can still change.

    `metric` passed `check_metric`, and `t_ns` is what `take_time` made of its time. Raises UnsupportedValueError (a
    TypeError) for a value that no wire carries, ConfigurationError (a ValueError) for tags or a class that cannot be
    right.
    """
    if data_class not in ("metric", "event"):
        raise ConfigurationError(f"metric {metric!r}: data_class must be 'metric' or 'event', not {data_class!r}")
    return (str.__str__(metric), freeze(value, metric), t_ns, take_tags(tags, metric), data_class, run_id, tick)


def check_metric(metric: object) -> None:
    """Refuse what can be no metric's name."""
    if not isinstance(metric, str):
        raise UnsupportedValueError(f"a metric's name must be text such as 'motor.rpm', not {metric!r}")
    fault = metric_fault(metric)
    if fault is None and not _is_sayable(metric):
        fault = "metric holds a lone surrogate, which UTF-8 cannot carry"
    if fault is not None:
        raise ConfigurationError(f"metric {metric[:80]!r}: {fault}")


def take_time(timestamp: Timestamp | None, metric: str, timestamp_ns: int | None = None) -> int | None:
    """A caller's time as whole nanoseconds since 1970 UTC; None when it gave none.

    `timestamp`: positive numbers under 1e12 are seconds, others milliseconds; fractions count to the microsecond.
    `timestamp_ns` is exact. A `numpy.datetime64` is taken as UTC, as numpy does.
    """
    if timestamp_ns is not None:
        return _exact_time(timestamp, metric, timestamp_ns)
    if timestamp is None:
        return None
    if isinstance(timestamp, datetime):
        if timestamp.utcoffset() is None:
            raise ConfigurationError(
                f"metric {metric!r}: the timestamp {timestamp} has no time zone; use datetime.now(timezone.utc)"
            )
        return (timestamp - _EPOCH) // _MICROSECOND * 1_000
    t_ns = _date64(timestamp) if type(timestamp).__name__ == "datetime64" else _nanoseconds(timestamp, metric)
    if t_ns is None or not -MAX_ABS_NS <= t_ns <= MAX_ABS_NS:
        raise ConfigurationError(
            f"metric {metric!r}: the timestamp {timestamp!r} is no time between the years 1678 and 2261; "
            "use seconds or milliseconds since 1970"
        )
    return t_ns


def _exact_time(timestamp: Timestamp | None, metric: str, timestamp_ns: object) -> int:
    if timestamp is not None:
        raise ConfigurationError(f"metric {metric!r}: give timestamp or timestamp_ns, not both")
    t_ns = plain_scalar(timestamp_ns)
    if not isinstance(t_ns, int) or isinstance(t_ns, bool):
        raise UnsupportedValueError(
            f"metric {metric!r}: timestamp_ns must be a whole number of nanoseconds since 1970, "
            f"not {type(timestamp_ns).__name__}"
        )
    if not -MAX_ABS_NS <= t_ns <= MAX_ABS_NS:
        raise ConfigurationError(f"metric {metric!r}: timestamp_ns {t_ns} is no time between the years 1678 and 2261")
    return int(t_ns)


def _date64(timestamp: Any) -> int:
    # "Not a time" is the lowest integer, which is no time for us either.
    return int(timestamp.astype("datetime64[ns]").astype("int64"))


def _nanoseconds(timestamp: object, metric: str) -> int | None:
    """A number of seconds or milliseconds; None when it is none that can be right."""
    number = plain_scalar(timestamp)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise UnsupportedValueError(
            f"metric {metric!r}: the timestamp must be seconds or milliseconds since 1970 or an aware datetime, "
            f"not {type(number).__name__}"
        )
    return nanoseconds_of(number)


def plain_scalar(value: object) -> Any:
    """A scalar of numpy or the like as Python has it; anything else as it is."""
    item = getattr(value, "item", None)
    return item() if callable(item) else value


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


def _is_sayable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

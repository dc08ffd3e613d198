"""A point: one value of one metric of one source at one time.

Users and adapters exchange `Point`. The device's hot path carries the same facts as a plain tuple, `Reading`, because
making one costs 0.07 µs where a frozen object costs 0.49.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from plexus.domain.values import Value, is_number

PointClass = Literal["metric", "event"]

SECONDS_BELOW = 1e12
"""A positive timestamp under this is in seconds, anything else in milliseconds (protocol page, section 2)."""

MAX_ABS_MS = 9.2e12
"""Times are kept as nanoseconds in 64 bits: the years 1678 to 2261."""

MAX_ABS_NS = int(MAX_ABS_MS) * 1_000_000

Reading = tuple[str, Value, int | None, Mapping[str, str] | None, str, str | None, int]
"""`(metric, value, t_ns or None, tags, class, run_id, tick)`; `t_ns` is the caller's time, nanoseconds since 1970 UTC,
and `tick` is `Clock.tick()` at the call."""


@attrs.frozen
class Point:
    """One reading.

    Attributes:
        metric: dot-separated name, `<subsystem>.<metric>`.
        value: number, text, bool, dict or list.
        timestamp_ms: milliseconds since 1970 UTC, fractions allowed; None means "stamp it on arrival".
        tags: at most 16 pairs of text.
        point_class: "metric" or "event".
        run_id: the run it belongs to, if the device said so.
        source_id: where it came from; None means "the source of the envelope".
    """

    metric: str
    value: Value
    timestamp_ms: float | None = None
    tags: Mapping[str, str] | None = None
    point_class: PointClass = "metric"
    run_id: str | None = None
    source_id: str | None = None


def to_milliseconds(timestamp: float) -> float:
    """A caller's number as milliseconds: positive values under 1e12 are seconds."""
    return timestamp * 1000.0 if 0 < timestamp < SECONDS_BELOW else timestamp


def nanoseconds_of(timestamp: float) -> int | None:
    """A number of seconds or milliseconds as nanoseconds, fractions to the microsecond; None when it is no time.

    A float holds microseconds until the year 2248, and its further digits are noise.
    """
    in_seconds = 0 < timestamp < SECONDS_BELOW
    # Also false for NaN.
    if not abs(timestamp) <= (MAX_ABS_MS / 1e3 if in_seconds else MAX_ABS_MS):
        return None
    whole = int(timestamp)
    unit_ns, unit_us = (1_000_000_000, 1e6) if in_seconds else (1_000_000, 1e3)
    # The fraction apart: a product of the whole would lose what the float still knows.
    return whole * unit_ns + round((timestamp - whole) * unit_us) * 1_000


def milliseconds_of(t_ns: int) -> float:
    """Nanoseconds as milliseconds, to the microsecond: finer than that a float of our days does not go."""
    return t_ns // 1_000 / 1e3


def default_class(value: object) -> PointClass:
    """The class of a point that names none: a number is a metric, anything else an event."""
    return "metric" if is_number(value) else "event"

"""Points on the wire (protocol page, section 2): the reference decoder, and fitting points to an older gateway.

Every other decoder is compared with this one: same columns, same faults, for any input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from plexus.domain.errors import ProtocolError
from plexus.domain.names import MAX_TAGS, is_gateway_source_id, metric_fault
from plexus.domain.point import MAX_ABS_MS, Point, default_class, to_milliseconds
from plexus.domain.values import MAX_INT, MIN_INT, Value, is_non_finite, is_number
from plexus.protocol.columns import Columns, Decoded, PointFault
from plexus.protocol.extensions import ANY_METRIC, NON_FINITE, PRECISION, Features

NON_FINITE_NAMES: Mapping[str, float] = {
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}


class _FaultError(Exception):
    """Carries the reason out of one point's decoding; never leaves this module."""


def decode_points(raw: Any, *, source_id: str | None, arrival_ns: int) -> Decoded:
    """Decode the `points` of one message.

    `source_id` is the envelope's (a point's own wins), `arrival_ns` stamps points that bring no time.
    Raises ProtocolError when `raw` is no array; a bad point inside becomes a PointFault.
    """
    if not isinstance(raw, list):
        raise ProtocolError("points must be an array", field="points")
    columns = Columns()
    faults: list[PointFault] = []
    for index, item in enumerate(raw):
        try:
            _decode_one(columns, item, source_id, arrival_ns)
        except _FaultError as fault:
            faults.append(PointFault(index, str(fault)))
    return Decoded(columns, tuple(faults))


def _decode_one(columns: Columns, item: Any, source_id: str | None, arrival_ns: int) -> None:
    if not isinstance(item, dict):
        raise _FaultError("point must be an object")
    metric = item.get("metric")
    if (reason := metric_fault(metric)) is not None:
        raise _FaultError(reason)
    value = _value(item)
    is_event = _is_event(item.get("class"), value)
    t_ns = timestamp_ns(item.get("timestamp"), arrival_ns)
    tags = _tags(item.get("tags"))
    run_id = item.get("run_id")
    if run_id is not None and not isinstance(run_id, str):
        raise _FaultError("run_id must be a string")
    source = _source(item.get("source_id"), source_id)
    columns.add(source, str(metric), t_ns, is_event=is_event, value=value, tags=tags, run_id=run_id)


def _value(item: Mapping[str, Any]) -> Value:
    if "value" not in item:
        raise _FaultError("value is required")
    value = item["value"]
    if item.get("non_finite") is True and isinstance(value, str):
        if value not in NON_FINITE_NAMES:
            raise _FaultError("value must be NaN, Infinity or -Infinity when non_finite is set")
        return NON_FINITE_NAMES[value]
    if value is None:
        raise _FaultError("value must not be null")
    if isinstance(value, int) and not MIN_INT <= value <= MAX_INT:
        raise _FaultError("value must fit 64 bits; send a larger integer as text")
    return value  # type: ignore[no-any-return]


def _is_event(name: Any, value: Value) -> bool:
    if name is None:
        return default_class(value) == "event"
    if name not in ("metric", "event"):
        raise _FaultError("class must be 'metric' or 'event'")
    return bool(name == "event")


def timestamp_ns(timestamp: Any, arrival_ns: int) -> int:
    """A wire timestamp as nanoseconds; raises _FaultError (inside this module) when it is none."""
    if timestamp is None:
        return arrival_ns
    if not is_number(timestamp):
        raise _FaultError("timestamp must be a number")
    ms = to_milliseconds(timestamp)
    if not abs(ms) <= MAX_ABS_MS:
        raise _FaultError("timestamp must be milliseconds or seconds since 1970, between the years 1678 and 2261")
    if isinstance(ms, int):
        return ms * 1_000_000
    # Whole milliseconds and the fraction apart: their product would lose what a float still knows.
    whole = int(ms)
    return whole * 1_000_000 + round((ms - whole) * 1_000_000)


def _tags(tags: Any) -> Mapping[str, str] | None:
    if tags is None:
        return None
    if not isinstance(tags, dict):
        raise _FaultError("tags must be an object of strings")
    if len(tags) > MAX_TAGS:
        raise _FaultError(f"tags must be at most {MAX_TAGS}, not {len(tags)}")
    if not all(isinstance(text, str) for text in tags.values()):
        raise _FaultError("tags must be an object of strings")
    return tags or None


def _source(own: Any, envelope: str | None) -> str:
    if own is None:
        if envelope is None:
            raise _FaultError("source_id is required, in the point or in the envelope")
        return envelope
    if not is_gateway_source_id(own):
        raise _FaultError("source_id is not a valid name")
    return str(own)


def encode_point(point: Point) -> dict[str, Any]:
    """One point as the object that the wire carries; non-finite numbers in the form of the extension."""
    item: dict[str, Any] = {"class": point.point_class, "metric": point.metric, "value": point.value}
    if is_non_finite(point.value):
        item["value"] = non_finite_name(float(point.value))  # type: ignore[arg-type]
        item["non_finite"] = True
    if point.timestamp_ms is not None:
        item["timestamp"] = point.timestamp_ms
    if point.tags:
        item["tags"] = dict(point.tags)
    if point.run_id is not None:
        item["run_id"] = point.run_id
    if point.source_id is not None:
        item["source_id"] = point.source_id
    return item


def non_finite_name(value: float) -> str:
    """The extension's text for NaN and the infinities."""
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def needs(points: Iterable[Point]) -> Features:
    """The extensions without which these points cannot travel as they are."""
    needed: set[str] = set()
    for point in points:
        if is_non_finite(point.value):
            needed.add(NON_FINITE)
        elif point.point_class == "metric" and not is_number(point.value):
            needed.add(ANY_METRIC)
        if isinstance(point.timestamp_ms, float) and not point.timestamp_ms.is_integer():
            needed.add(PRECISION)
    return frozenset(needed)


def fit(points: Sequence[Point], features: Features) -> tuple[list[Point], int]:
    """Fit points to a gateway that has only `features`; returns them and how many non-finite ones had to go.

    Without `any_metric` what is no number becomes an event; without `precision` times are whole milliseconds.
    """
    kept = [point for point in points if NON_FINITE in features or not is_non_finite(point.value)]
    fitted = [_fit_one(point, features) for point in kept]
    return fitted, len(points) - len(kept)


def _fit_one(point: Point, features: Features) -> Point:
    if ANY_METRIC not in features and point.point_class == "metric" and not is_number(point.value):
        point = attrs.evolve(point, point_class="event")
    if PRECISION not in features and isinstance(point.timestamp_ms, float):
        point = attrs.evolve(point, timestamp_ms=round(point.timestamp_ms))
    return point

"""Points on the wire (protocol page, section 2): the reference decoder, and a batch's points as JSON objects.

Every other decoder is compared with this one: same columns, same faults, for any input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plexus.domain.errors import ProtocolError
from plexus.domain.event import event_fault
from plexus.domain.names import MAX_TAGS, is_gateway_source_id, metric_fault
from plexus.domain.point import MAX_ABS_MS, SECONDS_BELOW, default_class, nanoseconds_of, to_milliseconds
from plexus.domain.values import MAX_INT, MIN_INT, Value, inner_fault, is_non_finite, is_number
from plexus.protocol.block import Block, Tags
from plexus.protocol.columns import Columns, Decoded, PointFault

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
    if is_event and (reason := event_fault(value)) is not None:
        raise _FaultError(reason)
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
    if isinstance(value, (dict, list)) and (fault := inner_fault(value)) is not None:
        raise _FaultError(f"value cannot be kept: {fault}")
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
    # Whole milliseconds and the fraction apart: their product would lose what a float still knows. What it holds
    # beyond a microsecond is the float's own error.
    whole = int(ms)
    return whole * 1_000_000 + round((ms - whole) * 1_000) * 1_000


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


def write_points(block: Block) -> list[dict[str, Any]]:
    """The points of a block as the objects that the wire carries; non-finite numbers in the form of the extension.

    Times are milliseconds, those of the years 1970 to 2001 seconds, with microseconds as a fraction where needed.
    Raises ProtocolError for a non-finite number inside an object or array, which JSON has no form for.
    """
    columns = zip(
        block.metrics(), block.value, block.t_ns, block.events(), block.tag_list(), block.run_ids(), strict=True
    )
    return [_write_point(*point) for point in columns]


def _write_point(
    metric: str, value: Value, t_ns: int, is_event: bool, tags: Tags | None, run_id: str | None
) -> dict[str, Any]:
    item: dict[str, Any] = {
        "class": "event" if is_event else "metric",
        "metric": metric,
        "value": value,
        "timestamp": _written_stamp(t_ns),
    }
    if isinstance(value, float):
        # Infinity minus itself is NaN, so only finite numbers give zero.
        if value - value != 0.0:
            item["value"] = non_finite_name(value)
            item["non_finite"] = True
    elif isinstance(value, (dict, list)) and has_non_finite(value):
        raise ProtocolError(f"metric {metric!r}: JSON has no NaN or infinity inside an object or array", field="value")
    if tags:
        item["tags"] = tags if type(tags) is dict else dict(tags)
    if run_id is not None:
        item["run_id"] = run_id
    return item


def _written_stamp(t_ns: int) -> float:
    # Milliseconds of the years before 2001 would be read as seconds, so they are written as seconds.
    us = t_ns // 1_000
    if 0 < us < SECONDS_BELOW * 1_000:
        return us / 1e6
    return us / 1e3 if us % 1_000 else us // 1_000


def read_block(items: Sequence[Any]) -> Block:
    """The block of objects that `write_points` made; raises ProtocolError when they are none."""
    try:
        points = [_read_point(item) for item in items]
    except _FaultError as fault:
        raise ProtocolError(f"not an encoded point: {fault}") from None
    metrics, values, times, events, tags, run_ids = map(list, zip(*points, strict=True))
    return Block(_one(metrics), times, values, _one(events), _one(tags), _one(run_ids))


def _one(column: list[Any]) -> Any:
    return column[0] if column.count(column[0]) == len(column) else column


def _read_point(item: Any) -> tuple[str, Value, int, bool, Tags | None, str | None]:
    if not isinstance(item, dict):
        raise _FaultError("point must be an object")
    metric, timestamp, point_class, run_id = (item.get(name) for name in ("metric", "timestamp", "class", "run_id"))
    if (reason := metric_fault(metric)) is not None:
        raise _FaultError(reason)
    if point_class not in ("metric", "event"):
        raise _FaultError("class must be 'metric' or 'event'")
    if run_id is not None and not isinstance(run_id, str):
        raise _FaultError("run_id must be a string")
    return (str(metric), _value(item), _read_stamp(timestamp), point_class == "event", _tags(item.get("tags")), run_id)


def _read_stamp(timestamp: Any) -> int:
    if isinstance(timestamp, bool) or not isinstance(timestamp, (int, float)):
        raise _FaultError("timestamp must be a number")
    t_ns = nanoseconds_of(timestamp)
    if t_ns is None:
        raise _FaultError("timestamp must be milliseconds or seconds since 1970, between the years 1678 and 2261")
    return t_ns


def has_non_finite(value: Value) -> bool:
    """Whether a NaN or an infinity is in this value, at any depth."""
    if isinstance(value, dict):
        return any(has_non_finite(item) for item in value.values())
    if isinstance(value, list):
        return any(has_non_finite(item) for item in value)
    return is_non_finite(value)


def non_finite_name(value: float) -> str:
    """The extension's text for NaN and the infinities."""
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"

"""The frames of the live streams (protocol page, section 7): what a gateway sends and a consumer reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union

import attrs

from plexus.domain.errors import ProtocolError
from plexus.domain.event import Event
from plexus.domain.live import LivePoint
from plexus.domain.values import is_non_finite
from plexus.protocol import fields, jsontext
from plexus.protocol.points import NON_FINITE_NAMES, non_finite_name

AUTH_TIMEOUT_S = 10.0
UNAUTHORIZED = 4401
PLAN = 4402
INTERNAL = 1011
TRY_LATER = 1013


@attrs.frozen
class LivePoints:
    """A `telemetry` frame."""

    points: tuple[LivePoint, ...]


@attrs.frozen
class LiveEvent:
    """An `event` frame."""

    event: Event


@attrs.frozen
class Reconnecting:
    """`gateway_reconnecting`: for information, the socket stays."""

    attempt: int
    delay_s: float


@attrs.frozen
class Other:
    """A frame of another type; ignored."""

    type: str


LiveFrame = Union[LivePoints, LiveEvent, Reconnecting, Other]


def auth_message(api_key: str) -> str:
    """The first frame of a consumer."""
    return jsontext.dumps({"type": "auth", "api_key": api_key})


def parse_auth(message: str | bytes) -> str:
    """The key of an `auth` frame; raises ProtocolError for anything else."""
    raw = jsontext.loads(message)
    if not isinstance(raw, dict) or raw.get("type") != "auth":
        raise ProtocolError("the first frame must be auth", field="type")
    return fields.text(raw, "api_key")


def wire_value(value: Any) -> dict[str, Any]:
    """A value's fields in an answer: JSON has no NaN, so it travels as the extension `non_finite` says."""
    if is_non_finite(value):
        return {"value": non_finite_name(value), "non_finite": True}
    return {"value": value}


def wire_time(t_ns: int) -> int | float:
    """Nanoseconds as milliseconds: whole where they are whole, with a fraction (microseconds) where not."""
    whole, rest = divmod(t_ns, 1_000_000)
    return whole if rest == 0 else round(t_ns / 1_000_000, 3)


def points_message(points: Sequence[Mapping[str, Any]]) -> str:
    """A `telemetry` frame around points that are wire objects already."""
    return jsontext.dumps({"type": "telemetry", "points": points})


def point_object(source_id: str, metric: str, value: Any, t_ns: int, alert: int = 0) -> dict[str, Any]:
    """One point of a `telemetry` frame."""
    return {
        "source_id": source_id,
        "metric": metric,
        **wire_value(value),
        "timestamp": wire_time(t_ns),
        "class": "metric",
        "alert": alert,
    }


def event_message(source_id: str, metric: str, value: Any, t_ns: int, tags: Mapping[str, str] | None = None) -> str:
    """An `event` frame."""
    frame = {
        "type": "event",
        "source_id": source_id,
        "metric": metric,
        **wire_value(value),
        "timestamp": wire_time(t_ns),
        "class": "event",
    }
    return jsontext.dumps({**frame, "tags": dict(tags)} if tags else frame)


def parse(message: str | bytes) -> LiveFrame:
    """Read one frame of a stream; raises ProtocolError naming the field at fault."""
    raw = jsontext.loads(message)
    if not isinstance(raw, dict):
        raise ProtocolError("a frame must be a JSON object")
    kind = fields.text(raw, "type")
    if kind == "telemetry":
        return LivePoints(tuple(_point(item) for item in fields.objects(raw, "points")))
    if kind == "event":
        return LiveEvent(_event(raw))
    if kind == "gateway_reconnecting":
        return Reconnecting(fields.whole(raw, "attempt"), fields.number(raw, "delay_s"))
    return Other(kind)


def read_value(raw: Mapping[str, Any]) -> Any:
    """The value of a wire object, with non-finite numbers restored."""
    value = raw.get("value")
    if raw.get("non_finite") is True and isinstance(value, str):
        return NON_FINITE_NAMES.get(value, value)
    return value


def _required_value(raw: Mapping[str, Any]) -> Any:
    if raw.get("value") is None:
        raise ProtocolError("value is required", field="value")
    return read_value(raw)


def _point(raw: Mapping[str, Any]) -> LivePoint:
    return LivePoint(
        source_id=fields.text(raw, "source_id"),
        metric=fields.text(raw, "metric"),
        value=_required_value(raw),
        timestamp_ms=fields.number(raw, "timestamp"),
        alert=fields.optional_whole(raw, "alert") or 0,
        tags=fields.mapping(raw, "tags"),
    )


def _event(raw: Mapping[str, Any]) -> Event:
    return Event(
        name=fields.text(raw, "metric"),
        value=_required_value(raw),
        timestamp_ms=fields.number(raw, "timestamp"),
        tags=fields.mapping(raw, "tags"),
        source_id=fields.optional_text(raw, "source_id"),
    )

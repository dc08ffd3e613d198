"""The frames of the live streams (protocol page, section 7): what a gateway sends and a consumer reads.

Extension `resume`: `telemetry` and `event` carry a `cursor`; `ready`, `missed` and `cursor` say what a reader sees and
what it does not. Readers pass over types that they do not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union

import attrs

from plexus.domain.errors import ProtocolError
from plexus.domain.event import Event
from plexus.domain.live import LivePoint
from plexus.domain.values import is_non_finite
from plexus.protocol import extensions, fields, jsontext
from plexus.protocol.points import NON_FINITE_NAMES, non_finite_name

AUTH_TIMEOUT_S = 10.0
UNAUTHORIZED = 4401
PLAN = 4402
VIDEO_UNAUTHORIZED = 4001
VIDEO_PLAN = 4002
VIDEO_TIMEOUT = 4008
REFUSED = 1008
INTERNAL = 1011
TRY_LATER = 1013


@attrs.frozen
class LivePoints:
    """A `telemetry` frame; `cursor` is the place right after it."""

    points: tuple[LivePoint, ...]
    cursor: str | None = None


@attrs.frozen
class LiveEvent:
    """An `event` frame; `cursor` is the place right after it."""

    event: Event
    cursor: str | None = None


@attrs.frozen
class Ready:
    """`ready`: what is committed after `cursor` is on its way, all of it.

    Attributes:
        cursor: the place to begin from.
        resumed: whether that is the place that was asked for; None when none was.
        since_ms: when it is not: everything from then on, milliseconds since 1970 UTC, is on its way.
        reason: and why it is not.
    """

    cursor: str
    resumed: bool | None = None
    since_ms: float | None = None
    reason: str = ""


@attrs.frozen
class Missed:
    """`missed`: the reader was too slow for this many points or events, which were to come before what comes next."""

    count: int


@attrs.frozen
class Reconnecting:
    """`gateway_reconnecting`: for information, the socket stays."""

    attempt: int
    delay_s: float


@attrs.frozen
class Place:
    """`cursor`: there was nothing for the reader up to here, so it may go on from here."""

    cursor: str


@attrs.frozen
class Other:
    """A frame of another type; ignored."""

    type: str


LiveFrame = Union[LivePoints, LiveEvent, Reconnecting, Ready, Missed, Place, Other]


@attrs.frozen
class Auth:
    """The first frame of a consumer; `ext` offers extensions."""

    api_key: str = attrs.field(repr=False)
    ext: Mapping[str, int] = attrs.field(factory=dict)


def auth_message(api_key: str, ext: Mapping[str, int] | None = None) -> str:
    """The first frame of a consumer."""
    return jsontext.dumps({"type": "auth", "api_key": api_key, **({"ext": dict(ext)} if ext else {})})


def parse_auth(message: str | bytes) -> Auth:
    """Read an `auth` frame; raises ProtocolError for anything else."""
    raw = jsontext.loads(message)
    if not isinstance(raw, dict) or raw.get("type") != "auth":
        raise ProtocolError("the first frame must be auth", field="type")
    return Auth(fields.text(raw, "api_key"), extensions.parse_map(raw.get("ext")))


def ready_message(ready: Ready) -> str:
    """A `ready` frame."""
    frame: dict[str, Any] = {"type": "ready", "ext": {extensions.RESUME: 1}, "cursor": ready.cursor}
    if ready.resumed is not None:
        frame["resumed"] = ready.resumed
    if ready.since_ms is not None:
        frame |= {"since": ready.since_ms, "reason": ready.reason}
    return jsontext.dumps(frame)


def cursor_message(cursor: str) -> str:
    """A `cursor` frame."""
    return jsontext.dumps({"type": "cursor", "cursor": cursor})


def missed_message(count: int) -> str:
    """A `missed` frame."""
    return jsontext.dumps({"type": "missed", "count": count})


def wire_value(value: Any) -> dict[str, Any]:
    """A value's fields in an answer: JSON has no NaN, so it travels as the extension `non_finite` says."""
    if is_non_finite(value):
        return {"value": non_finite_name(value), "non_finite": True}
    return {"value": value}


def wire_time(t_ns: int) -> int | float:
    """Nanoseconds as milliseconds: whole where they are whole, with a fraction (microseconds) where not."""
    whole, rest = divmod(t_ns, 1_000_000)
    return whole if rest == 0 else round(t_ns / 1_000_000, 3)


def points_frame(points: Sequence[Mapping[str, Any]], cursor: str | None = None) -> dict[str, Any]:
    """A `telemetry` frame, as an object, around points that are wire objects already."""
    frame: dict[str, Any] = {"type": "telemetry", "points": points}
    return frame if cursor is None else {**frame, "cursor": cursor}


def points_message(points: Sequence[Mapping[str, Any]], cursor: str | None = None) -> str:
    """The same as text."""
    return jsontext.dumps(points_frame(points, cursor))


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


def event_frame(
    source_id: str,
    metric: str,
    value: Any,
    t_ns: int,
    tags: Mapping[str, str] | None = None,
    cursor: str | None = None,
) -> dict[str, Any]:
    """An `event` frame, as an object."""
    frame = {
        "type": "event",
        "source_id": source_id,
        "metric": metric,
        **wire_value(value),
        "timestamp": wire_time(t_ns),
        "class": "event",
    }
    if tags:
        frame["tags"] = dict(tags)
    if cursor is not None:
        frame["cursor"] = cursor
    return frame


def event_message(source_id: str, metric: str, value: Any, t_ns: int, tags: Mapping[str, str] | None = None) -> str:
    """The same as text."""
    return jsontext.dumps(event_frame(source_id, metric, value, t_ns, tags))


def parse(message: str | bytes) -> LiveFrame:
    """Read one frame of a stream; raises ProtocolError naming the field at fault."""
    raw = jsontext.loads(message)
    if not isinstance(raw, dict):
        raise ProtocolError("a frame must be a JSON object")
    kind = fields.text(raw, "type")
    if kind == "telemetry":
        points = tuple(_point(item) for item in fields.objects(raw, "points"))
        return LivePoints(points, fields.optional_text(raw, "cursor"))
    if kind == "event":
        return LiveEvent(_event(raw), fields.optional_text(raw, "cursor"))
    if kind == "gateway_reconnecting":
        return Reconnecting(fields.whole(raw, "attempt"), fields.number(raw, "delay_s"))
    if kind == "ready":
        return _ready(raw)
    if kind == "missed":
        return Missed(fields.whole(raw, "count"))
    if kind == "cursor":
        return Place(fields.text(raw, "cursor"))
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


def _ready(raw: Mapping[str, Any]) -> Ready:
    resumed = raw.get("resumed")
    return Ready(
        fields.text(raw, "cursor"),
        resumed if isinstance(resumed, bool) else None,
        fields.optional_number(raw, "since"),
        fields.text(raw, "reason", ""),
    )


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

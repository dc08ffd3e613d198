"""The frames of the live streams (protocol page, section 7): what a gateway sends and a consumer reads.

Extension `resume`: `telemetry` and `event` carry a `cursor`; `ready`, `missed` and `cursor` say what a reader sees and
what it does not. Readers pass over types that they do not know.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Union

import attrs

from plexus.domain.errors import ProtocolError
from plexus.domain.event import Event
from plexus.domain.live import LivePoint
from plexus.domain.values import is_non_finite
from plexus.domain.video import VideoFrame
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
class LivePicture:
    """A `video_frame`, its picture decoded."""

    frame: VideoFrame


@attrs.frozen
class Online:
    """`init`, the first frame of a video stream: the cameras of each source that is online."""

    cameras: Mapping[str, Sequence[str]]


@attrs.frozen
class Other:
    """A frame of another type; ignored."""

    type: str


LiveFrame = Union[LivePoints, LiveEvent, LivePicture, Reconnecting, Ready, Missed, Place, Online, Other]


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
    """Nanoseconds as milliseconds, whole or with a fraction to the microsecond, rounded as the history rounds columns:
    whoever joins both has to find the same number."""
    whole, rest = divmod(t_ns, 1_000_000)
    return whole if rest == 0 else round(t_ns / 1_000_000 * 1e3) / 1e3


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
    return _parse_rare(kind, raw)


def _parse_rare(kind: str, raw: Mapping[str, Any]) -> LiveFrame:
    if kind == "video_frame":
        return LivePicture(_picture(raw))
    if kind == "gateway_reconnecting":
        return Reconnecting(fields.whole(raw, "attempt"), fields.number(raw, "delay_s"))
    if kind == "ready":
        return _ready(raw)
    if kind == "missed":
        return Missed(fields.whole(raw, "count"))
    if kind == "cursor":
        return Place(fields.text(raw, "cursor"))
    if kind == "init":
        return _online(raw)
    return Other(kind)


def read_value(raw: Mapping[str, Any]) -> Any:
    """The value of a wire object, with non-finite numbers restored."""
    value = raw.get("value")
    if raw.get("non_finite") is True and isinstance(value, str):
        return NON_FINITE_NAMES.get(value, value)
    return value


_FAR = 2**63
"""Whole numbers beyond fit no field."""


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
    """One point; the plain ones, which are nearly all, without a call for each field."""
    source_id, metric, value = raw.get("source_id"), raw.get("metric"), raw.get("value")
    time, alert = raw.get("timestamp"), raw.get("alert", 0)
    if (
        type(source_id) is str
        and type(metric) is str
        and (type(value) is float or type(value) is int)
        and (type(time) is float or (type(time) is int and -_FAR <= time < _FAR))
        and (type(alert) is int and -_FAR <= alert < _FAR)
        and "tags" not in raw
    ):
        return LivePoint(source_id, metric, value, time, alert)
    return _any_point(raw)


def _any_point(raw: Mapping[str, Any]) -> LivePoint:
    return LivePoint(
        source_id=fields.text(raw, "source_id"),
        metric=fields.text(raw, "metric"),
        value=_required_value(raw),
        timestamp_ms=fields.number(raw, "timestamp"),
        alert=fields.optional_whole(raw, "alert") or 0,
        tags=fields.mapping(raw, "tags"),
    )


def _picture(raw: Mapping[str, Any]) -> VideoFrame:
    try:
        jpeg = base64.b64decode(fields.text(raw, "frame"), validate=True)
    except ValueError as exc:
        if isinstance(exc, ProtocolError):
            raise
        raise ProtocolError("frame must be base64", field="frame") from exc
    return VideoFrame(
        source_id=fields.text(raw, "source_id"),
        camera_id=fields.text(raw, "camera_id"),
        jpeg=jpeg,
        width=fields.optional_whole(raw, "width") or 0,
        height=fields.optional_whole(raw, "height") or 0,
        timestamp_ms=round(fields.number(raw, "timestamp")),
    )


def _online(raw: Mapping[str, Any]) -> Online:
    found = fields.objects(raw, "online_sources")
    return Online({fields.text(one, "source_id"): _texts(one.get("cameras")) for one in found})


def _texts(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list) or not all(isinstance(text, str) for text in raw):
        raise ProtocolError("cameras must be an array of strings", field="cameras")
    return tuple(raw)


def _event(raw: Mapping[str, Any]) -> Event:
    return Event(
        name=fields.text(raw, "metric"),
        value=_required_value(raw),
        timestamp_ms=fields.number(raw, "timestamp"),
        tags=fields.mapping(raw, "tags"),
        source_id=fields.optional_text(raw, "source_id"),
    )

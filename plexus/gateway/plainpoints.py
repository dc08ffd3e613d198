"""Points of the plain kind: JSON straight into columns, at a third of a microsecond a point.

Plain is a message in which every point has a scalar value in 64 bits, a time that is milliseconds already or none, a
short name, and nothing unknown. All else is None here, without a judgement: `decoding` has the reference read it.

Most points name neither a run nor a source, and those are read with two fields less. Tags are left unread and looked
up: a sensor sends the same ones with every point. So points that have the same tags share one object, which those who
come after make use of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, TypeGuard, TypeVar, Union, cast

import msgspec
from msgspec import Meta, Raw

from plexus.domain.event import MAX_TEXT_BYTES
from plexus.domain.names import MAX_METRIC_BYTES, MAX_TAGS, is_gateway_source_id
from plexus.domain.point import MAX_ABS_MS, SECONDS_BELOW
from plexus.domain.values import Value, is_number
from plexus.protocol.columns import Columns

_NS_PER_MS, _US_PER_MS, _NS_PER_US = 1_000_000, 1_000, 1_000

_Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Whole = Annotated[int, Meta(ge=int(SECONDS_BELOW), le=int(MAX_ABS_MS))]
_Fraction = Annotated[float, Meta(ge=SECONDS_BELOW, le=MAX_ABS_MS)]
# A character of UTF-8 takes up to four bytes: a name within a quarter of the limit needs no closer look.
_Metric = Annotated[str, Meta(min_length=1, max_length=MAX_METRIC_BYTES // 4)]
_Class = Union[Literal["metric", "event"], None]
_BatchObject = Union[dict[str, Union[int, float, str]], None]

_NO_TAGS = Raw()


class Lean(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A point that names neither a run nor a source."""

    metric: _Metric
    value: _Int | float | str | bool
    timestamp: _Whole | _Fraction | None = None
    point_class: _Class = msgspec.field(name="class", default=None)
    tags: Raw = _NO_TAGS


class Full(Lean, forbid_unknown_fields=True, gc=False):
    """A point with every field that there is."""

    run_id: str | None = None
    source_id: str | None = None


P = TypeVar("P", bound=Lean)


class Frame(msgspec.Struct, Generic[P], forbid_unknown_fields=True, gc=False):
    """A telemetry frame."""

    type: Literal["telemetry"]
    points: list[P]
    seq: int | float | None = None
    batch: _BatchObject = None


class Body(msgspec.Struct, Generic[P], forbid_unknown_fields=True, gc=False):
    """The body of an HTTP ingest."""

    points: list[P]
    source_id: str | None = None
    batch: _BatchObject = None


Points = Union[list[Lean], list[Full]]

UNUSUAL = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""How msgspec says that a message is not of the plain kind."""

SHORT = 2_048
"""Characters of a message in which reading twice what turns out to be full would cost more than lean points save."""

MAX_KEPT_TAGS, MAX_KEPT_BYTES = 10_000, 512
"""Texts of tags that are remembered, and how long one may be: some megabytes."""

_lean_frames, _frames = msgspec.json.Decoder(Frame[Lean]), msgspec.json.Decoder(Frame[Full])
_lean_bodies, _bodies = msgspec.json.Decoder(Body[Lean]), msgspec.json.Decoder(Body[Full])
_lean_lists, _lists = msgspec.json.Decoder(list[Lean]), msgspec.json.Decoder(list[Full])
_tags_decoder = msgspec.json.Decoder(Union[Annotated[dict[str, str], Meta(max_length=MAX_TAGS)], None])


def frame(message: str | bytes) -> Frame[Lean] | Frame[Full] | None:
    """The plain frame that a message is."""
    found: Frame[Lean] | Frame[Full] | None = _either(_lean_frames, _frames, message)
    return found


def body(message: bytes) -> Body[Lean] | Body[Full] | None:
    """The plain body that a message is."""
    found: Body[Lean] | Body[Full] | None = _either(_lean_bodies, _bodies, message)
    return found


def points(message: bytes) -> Points | None:
    """The plain points that an array holds."""
    found: Points | None = _either(_lean_lists, _lists, message)
    return found


def columns(points: Points, envelope: str | None, arrival_ns: int) -> Columns | None:
    """The columns of plain points; None when a closer look finds that they are not so plain after all.

    `envelope` is the source of those that name none, `arrival_ns` the time of those that have none, since 1970 UTC.
    """
    try:
        if _are_full(points):
            return _full(points, envelope, arrival_ns)
        return _lean(cast("list[Lean]", points), envelope, arrival_ns)
    except UNUSUAL:
        return None  # what the tags hold was not looked at before


def _are_full(points: Points) -> TypeGuard[list[Full]]:
    return bool(points) and isinstance(points[0], Full)


def _either(lean: msgspec.json.Decoder[Any], full: msgspec.json.Decoder[Any], message: str | bytes) -> Any:
    if len(message) > SHORT:
        try:
            return lean.decode(message)
        except UNUSUAL:
            pass
    try:
        return full.decode(message)
    except UNUSUAL:
        return None


def _lean(points: list[Lean], envelope: str | None, arrival_ns: int) -> Columns | None:
    if envelope is None and points:
        return None
    return _columns(points, [envelope or ""] * len(points), [None] * len(points), arrival_ns)


def _full(points: list[Full], envelope: str | None, arrival_ns: int) -> Columns | None:
    if len(points) == 1:
        return _one(points[0], envelope, arrival_ns)
    sources = _sources([point.source_id for point in points], envelope)
    if sources is None:
        return None
    return _columns(points, sources, [point.run_id for point in points], arrival_ns)


def _columns(points: Points, sources: list[str], run_ids: list[str | None], arrival_ns: int) -> Columns | None:
    values: list[Value] = [point.value for point in points]
    events = _events([point.point_class for point in points], values)
    if events is None:
        return None
    return Columns(
        source_id=sources,
        metric=[point.metric for point in points],
        t_ns=_times(points, arrival_ns),
        is_event=events,
        value=values,
        tags=_tags_of(points),
        run_id=run_ids,
    )


def _one(point: Full, envelope: str | None, arrival_ns: int) -> Columns | None:
    """The same for a message of one point, of which a slow sensor sends a great many."""
    source_id = point.source_id
    if source_id is None:
        source_id = envelope
    elif not is_gateway_source_id(source_id):
        return None
    if source_id is None:
        return None
    stamp, name = point.timestamp, point.point_class
    is_event = not is_number(point.value) if name is None else name == "event"
    if not _is_short(is_event, point.value):
        return None
    return Columns(
        [source_id],
        [point.metric],
        [stamp * _NS_PER_MS if type(stamp) is int else _nanoseconds(stamp, arrival_ns)],
        [is_event],
        [point.value],
        [None if point.tags is _NO_TAGS else _tags(point.tags)],
        [point.run_id],
    )


def _sources(own: list[str | None], envelope: str | None) -> list[str] | None:
    if own.count(None) == len(own):
        return None if envelope is None and own else [envelope or ""] * len(own)
    named = set(own)
    if None in named and envelope is None:
        return None
    if not all(is_gateway_source_id(name) for name in named - {None}):
        return None
    return [name or envelope or "" for name in own]


def _times(points: Points, arrival_ns: int) -> list[int]:
    return [
        stamp * _NS_PER_MS if type(stamp := point.timestamp) is int else _nanoseconds(stamp, arrival_ns)
        for point in points
    ]


def _nanoseconds(stamp: float | None, arrival_ns: int) -> int:
    if stamp is None:
        return arrival_ns
    # As `protocol.points.timestamp_ns`: whole milliseconds and the fraction apart.
    whole = int(stamp)
    return whole * _NS_PER_MS + round((stamp - whole) * _US_PER_MS) * _NS_PER_US


def _events(classes: list[_Class], values: list[Any]) -> list[bool] | None:
    """Which points are events; None when one of them may be too long for one."""
    if classes.count("metric") == len(classes):
        return [False] * len(classes)
    events = [
        name == "event" if name is not None else not is_number(value)
        for name, value in zip(classes, values, strict=True)
    ]
    return events if all(map(_is_short, events, values)) else None


def _is_short(is_event: bool, value: Value) -> bool:
    """Whether an event's text is within its limit, whatever its characters are."""
    return not is_event or not isinstance(value, str) or len(value) <= MAX_TEXT_BYTES // 4


# --- tags --------------------------------------------------------------------------------------------------------


class _KnownTags(dict[bytes, Union[Mapping[str, str], None]]):
    """Tags by their text; one that is not known is read. Used by any thread: at worst, two read the same."""

    def __missing__(self, text: bytes) -> Mapping[str, str] | None:
        tags = _tags_decoder.decode(text) or None
        if len(text) <= MAX_KEPT_BYTES:
            if len(self) >= MAX_KEPT_TAGS:
                self.clear()
            self[text] = tags
        return tags


_known_tags = _KnownTags()


def _tags(raw: Raw) -> Mapping[str, str] | None:
    return _known_tags[bytes(raw)]


def _tags_of(points: Points) -> list[Mapping[str, str] | None]:
    known = _known_tags
    return [None if (raw := point.tags) is _NO_TAGS else known[bytes(raw)] for point in points]

"""The gateway's decoder: telemetry straight into columns, several times faster than the reference, never different.

The fast path takes a message only when every point in it is of the plain kind: scalar values in 64 bits, times that
are milliseconds already, short names, nothing unknown. Whatever else it meets, it gives up without a judgement and the
reference decoder (`protocol.frames.parse`, `protocol.points`) reads the message from its beginning. So the fast path
can only be right or absent; a fuzz test holds the two against each other. A columnar message (extension `columnar`) is
read by its own decoder, `protocol.columnar`, and faster by `protocol.columnar.arrayreading`, under the same rule: the
same tests hold both against the others.

A large JSON message is taken apart first and read a thousand points at a time, so that the thread it is read in lets
others have their turn, and one unusual point costs only its neighbours the fast path.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import attrs
import msgspec
from msgspec import Meta

from plexus.domain.errors import ProtocolError
from plexus.domain.event import MAX_TEXT_BYTES
from plexus.domain.loss import Loss
from plexus.domain.names import MAX_METRIC_BYTES, MAX_TAGS, check_gateway_source_id, is_gateway_source_id
from plexus.domain.point import MAX_ABS_MS, SECONDS_BELOW
from plexus.domain.values import Value, is_number
from plexus.protocol import binaryframe, fields, frames, jsontext
from plexus.protocol import points as reference
from plexus.protocol.batch import BatchName, parse_batch_name
from plexus.protocol.columnar import TooManyPointsError
from plexus.protocol.columnar.arrayreading import decode_points
from plexus.protocol.columns import Columns, Decoded, PointFault

_NS_PER_MS, _US_PER_MS, _NS_PER_US = 1_000_000, 1_000, 1_000

_Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Whole = Annotated[int, Meta(ge=int(SECONDS_BELOW), le=int(MAX_ABS_MS))]
_Fraction = Annotated[float, Meta(ge=SECONDS_BELOW, le=MAX_ABS_MS)]


class _Point(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    # A character of UTF-8 takes up to four bytes: a name within a quarter of the limit needs no closer look.
    metric: Annotated[str, Meta(min_length=1, max_length=MAX_METRIC_BYTES // 4)]
    value: _Int | float | str | bool
    timestamp: _Whole | _Fraction | None = None
    point_class: Literal["metric", "event"] | None = msgspec.field(name="class", default=None)
    tags: Annotated[dict[str, str], Meta(max_length=MAX_TAGS)] | None = None
    run_id: str | None = None
    source_id: str | None = None


class _Frame(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["telemetry"]
    points: list[_Point]
    seq: int | float | None = None
    batch: dict[str, int | float | str] | None = None


class _Body(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    points: list[_Point]
    source_id: str | None = None
    batch: dict[str, int | float | str] | None = None


class _Large(msgspec.Struct, gc=False):
    points: msgspec.Raw


_frame_decoder = msgspec.json.Decoder(_Frame)
_body_decoder = msgspec.json.Decoder(_Body)
_large_decoder = msgspec.json.Decoder(_Large)
_raw_points_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_points_decoder = msgspec.json.Decoder(list[_Point])

EXACT = 2**53

LARGE = 256 * 1024
"""Bytes of a message that is large."""

PIECE = 1_000
"""Points of a large message that are read at once: 0.3 ms, in which no other thread has a turn."""

_UNUSUAL = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""How msgspec says that a message is not of the plain kind."""


@attrs.frozen
class Ingest:
    """What the body of an HTTP ingest holds. `source_id` is the envelope's, None when it names none."""

    source_id: str | None
    decoded: Decoded
    batch: BatchName | None
    gaps: tuple[Loss, ...] = ()


def parse(message: str | bytes, envelope: frames.Envelope, max_points: int = binaryframe.MAX_POINTS) -> frames.Frame:
    """Read one frame of `/ws/device`: the same as `protocol.binaryframe.parse`, faster. Raises ProtocolError.

    `max_points` bounds a columnar body, of which it does not follow from the length, and a large one in JSON.
    """
    if isinstance(message, bytes) and binaryframe.is_binary_frame(message):
        return binaryframe.parse_telemetry(message, envelope, max_points, decode_points)
    if len(message) > LARGE:
        return _large_frame(message, envelope, max_points)
    try:
        frame = _frame_decoder.decode(message)
    except _UNUSUAL:
        return frames.parse(message, envelope)
    columns = _columns(frame.points, envelope.source_id or None, envelope.arrival_ns)
    if columns is None:
        return frames.parse(message, envelope)
    return frames.Telemetry(Decoded(columns), _seq(frame.seq), parse_batch_name(frame.batch))


def parse_body(body: bytes, arrival_ns: int, max_points: int = binaryframe.MAX_POINTS) -> Ingest:
    """Read the body of an HTTP ingest. Raises ProtocolError naming the field; bad points inside become faults."""
    if binaryframe.is_binary_frame(body):
        return _binary_body(body, arrival_ns, max_points)
    if len(body) > LARGE:
        return _large_body(body, arrival_ns, max_points)
    try:
        plain = _body_decoder.decode(body)
    except _UNUSUAL:
        return reference_body(body, arrival_ns)
    if plain.source_id is not None:
        check_gateway_source_id(plain.source_id)
    columns = _columns(plain.points, plain.source_id, arrival_ns)
    if columns is None:
        return reference_body(body, arrival_ns)
    return Ingest(plain.source_id, Decoded(columns), parse_batch_name(plain.batch))


def reference_body(body: str | bytes, arrival_ns: int) -> Ingest:
    """The same by the reference decoder, for any body."""
    raw = jsontext.loads(body)
    if not isinstance(raw, dict):
        raise ProtocolError("the body must be a JSON object with points")
    source_id = raw.get("source_id")
    if source_id is not None:
        check_gateway_source_id(source_id)
    decoded = reference.decode_points(raw.get("points"), source_id=source_id, arrival_ns=arrival_ns)
    return Ingest(source_id, decoded, parse_batch_name(raw.get("batch")), frames.parse_gaps(raw))


def _seq(seq: float | None) -> int | None:
    """The number of a frame; mostly a whole one that needs no closer look."""
    return seq if type(seq) is int and 0 < seq < EXACT else fields.optional_whole({"seq": seq}, "seq")


def _large_frame(message: str | bytes, envelope: frames.Envelope, max_points: int) -> frames.Frame:
    around, points = _apart(message)
    frame: frames.Frame | None = None
    with contextlib.suppress(ProtocolError):
        frame = frames.parse(around, envelope)
    if not points or not isinstance(frame, frames.Telemetry):
        return frames.parse(message, envelope)  # it has the last word on what else this is, or what is wrong first
    decoded = _in_pieces(points, envelope.source_id or None, envelope.arrival_ns, max_points)
    return attrs.evolve(frame, decoded=decoded)


def _large_body(body: bytes, arrival_ns: int, max_points: int) -> Ingest:
    around, points = _apart(body)
    ingest = None
    with contextlib.suppress(ProtocolError):
        ingest = reference_body(around, arrival_ns)
    if not points or ingest is None:
        return reference_body(body, arrival_ns)
    return attrs.evolve(ingest, decoded=_in_pieces(points, ingest.source_id, arrival_ns, max_points))


def _apart(message: str | bytes) -> tuple[str | bytes, Sequence[msgspec.Raw]]:
    """A message without its points, and each of them unread; all of it and none when it has no such form.

    What is left is for the reference decoder, so it finds all that is wrong around the points.
    """
    try:
        points = _large_decoder.decode(message).points
        unread = _raw_points_decoder.decode(points)
        if isinstance(message, str):
            return message.replace(bytes(points).decode(), "[]", 1), unread
        return message.replace(bytes(points), b"[]", 1), unread
    except _UNUSUAL:
        return message, ()


def _in_pieces(points: Sequence[msgspec.Raw], source_id: str | None, arrival_ns: int, max_points: int) -> Decoded:
    if len(points) > max_points:
        raise TooManyPointsError(f"points must be at most {max_points} a message", field="points")
    columns = Columns()
    faults: list[PointFault] = []
    for first in range(0, len(points), PIECE):
        piece = b"[" + b",".join(map(memoryview, points[first : first + PIECE])) + b"]"
        decoded = _piece(piece, source_id, arrival_ns)
        columns.extend(decoded.columns)
        faults += [PointFault(first + fault.index, fault.error, fault.code) for fault in decoded.faults]
    return Decoded(columns, tuple(faults))


def _piece(piece: bytes, source_id: str | None, arrival_ns: int) -> Decoded:
    try:
        columns = _columns(_points_decoder.decode(piece), source_id, arrival_ns)
    except _UNUSUAL:
        columns = None
    if columns is not None:
        return Decoded(columns)
    return reference.decode_points(jsontext.loads(piece), source_id=source_id, arrival_ns=arrival_ns)


def _binary_body(body: bytes, arrival_ns: int, max_points: int) -> Ingest:
    source_id = binaryframe.split(body).header.get("source_id")
    if source_id is not None:
        check_gateway_source_id(source_id)
    frame = binaryframe.parse_telemetry(body, frames.Envelope(source_id or "", arrival_ns), max_points, decode_points)
    return Ingest(source_id, frame.decoded, frame.batch, frame.gaps)


# --- columns of plain points; None: not so plain after all --------------------------------------------------


def _columns(points: Sequence[_Point], envelope: str | None, arrival_ns: int) -> Columns | None:
    if len(points) == 1:
        return _one(points[0], envelope, arrival_ns)
    sources = _sources([point.source_id for point in points], envelope)
    if sources is None:
        return None
    values: list[Value] = [point.value for point in points]
    events = _events([point.point_class for point in points], values)
    if True in events and not all(map(_is_short, events, values)):
        return None
    return Columns(
        source_id=sources,
        metric=[point.metric for point in points],
        t_ns=_times([point.timestamp for point in points], arrival_ns),
        is_event=events,
        value=values,
        tags=_tags([point.tags for point in points]),
        run_id=[point.run_id for point in points],
    )


def _one(point: _Point, envelope: str | None, arrival_ns: int) -> Columns | None:
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
        [arrival_ns if stamp is None else _nanoseconds(stamp)],
        [is_event],
        [point.value],
        [point.tags or None],
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


def _times(stamps: list[Any], arrival_ns: int) -> list[int]:
    if None in stamps:
        return [arrival_ns if stamp is None else _nanoseconds(stamp) for stamp in stamps]
    # As `protocol.points.timestamp_ns`: whole milliseconds and the fraction apart.
    return [
        stamp * _NS_PER_MS
        if stamp.__class__ is int
        else (whole := int(stamp)) * _NS_PER_MS + round((stamp - whole) * _US_PER_MS) * _NS_PER_US
        for stamp in stamps
    ]


def _nanoseconds(stamp: float) -> int:
    if isinstance(stamp, int):
        return stamp * _NS_PER_MS
    whole = int(stamp)
    return whole * _NS_PER_MS + round((stamp - whole) * _US_PER_MS) * _NS_PER_US


def _events(classes: list[Literal["metric", "event"] | None], values: list[Any]) -> list[bool]:
    if classes.count("metric") == len(classes):
        return [False] * len(classes)
    return [
        name == "event" if name is not None else not is_number(value)
        for name, value in zip(classes, values, strict=True)
    ]


def _is_short(is_event: bool, value: Value) -> bool:
    """Whether an event's text is within its limit, whatever its characters are."""
    return not is_event or not isinstance(value, str) or len(value) <= MAX_TEXT_BYTES // 4


def _tags(tags: list[dict[str, str] | None]) -> list[Mapping[str, str] | None]:
    if tags.count(None) == len(tags):
        return list(tags)
    return [pairs or None for pairs in tags]

"""The gateway's decoder: telemetry straight into columns, several times faster than the reference, never different.

The fast path takes a message only when every point in it is of the plain kind (`plainpoints`). Whatever else it meets,
it gives up without a judgement and the
reference decoder (`protocol.frames.parse`, `protocol.points`) reads the message from its beginning. So the fast path
can only be right or absent; a fuzz test holds the two against each other. A columnar message (extension `columnar`) is
read by its own decoder, `protocol.columnar`, and faster by `protocol.columnar.arrayreading`, under the same rule: the
same tests hold both against the others.

A large JSON message is taken apart first and read a thousand points at a time, so that the thread it is read in lets
others have their turn, and one unusual point costs only its neighbours the fast path.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import attrs
import msgspec

from plexus.domain.errors import ProtocolError
from plexus.domain.loss import Loss
from plexus.domain.names import check_gateway_source_id
from plexus.gateway import plainpoints
from plexus.protocol import binaryframe, fields, frames, jsontext
from plexus.protocol import points as reference
from plexus.protocol.batch import BatchName, parse_batch_name
from plexus.protocol.columnar import TooManyPointsError
from plexus.protocol.columnar.arrayreading import decode_points
from plexus.protocol.columns import Columns, Decoded, PointFault


class _Large(msgspec.Struct, gc=False):
    points: msgspec.Raw


_large_decoder = msgspec.json.Decoder(_Large)
_raw_points_decoder = msgspec.json.Decoder(list[msgspec.Raw])

EXACT = 2**53

LARGE = 256 * 1024
"""Bytes of a message that is large."""

PIECE = 1_000
"""Points of a large message that are read at once: 0.3 ms, in which no other thread has a turn."""


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
    frame = plainpoints.frame(message)
    if frame is None:
        return frames.parse(message, envelope)
    columns = plainpoints.columns(frame.points, envelope.source_id or None, envelope.arrival_ns)
    if columns is None:
        return frames.parse(message, envelope)
    return frames.Telemetry(Decoded(columns), _seq(frame.seq), parse_batch_name(frame.batch))


def parse_body(body: bytes, arrival_ns: int, max_points: int = binaryframe.MAX_POINTS) -> Ingest:
    """Read the body of an HTTP ingest. Raises ProtocolError naming the field; bad points inside become faults."""
    if binaryframe.is_binary_frame(body):
        return _binary_body(body, arrival_ns, max_points)
    if len(body) > LARGE:
        return _large_body(body, arrival_ns, max_points)
    plain = plainpoints.body(body)
    if plain is None:
        return reference_body(body, arrival_ns)
    if plain.source_id is not None:
        check_gateway_source_id(plain.source_id)
    columns = plainpoints.columns(plain.points, plain.source_id, arrival_ns)
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
    except plainpoints.UNUSUAL:
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
    points = plainpoints.points(piece)
    columns = None if points is None else plainpoints.columns(points, source_id, arrival_ns)
    if columns is not None:
        return Decoded(columns)
    return reference.decode_points(jsontext.loads(piece), source_id=source_id, arrival_ns=arrival_ns)


def _binary_body(body: bytes, arrival_ns: int, max_points: int) -> Ingest:
    source_id = binaryframe.split(body).header.get("source_id")
    if source_id is not None:
        check_gateway_source_id(source_id)
    frame = binaryframe.parse_telemetry(body, frames.Envelope(source_id or "", arrival_ns), max_points, decode_points)
    return Ingest(source_id, frame.decoded, frame.batch, frame.gaps)

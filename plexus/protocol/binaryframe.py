"""Telemetry as a binary message (extension `columnar`), for a body that is no JSON.

    "PXT1" · uint16 length of the header, big-endian · header, a JSON object · body

The header holds what stands beside `points` in a text frame: `seq`, `batch`, `gaps`, and over HTTP the envelope's
`source_id`. The first byte tells it from a video frame, which begins with 0x01, and from a JSON body. Over HTTP the
same bytes are the body of an ingest, of type `CONTENT_TYPE`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

import attrs

from plexus.domain.errors import ProtocolError
from plexus.domain.loss import Loss
from plexus.protocol import columnar, fields, frames, jsontext
from plexus.protocol.batch import BatchName, parse_batch_name
from plexus.protocol.columns import Decoded
from plexus.protocol.frames import Envelope, Frame, Salvaged, Telemetry

MAGIC = b"PXT1"
CONTENT_TYPE = "application/vnd.plexus.columnar"
MAX_HEADER_BYTES = 0xFFFF
MAX_POINTS = 100_000
"""What a gateway takes in one message unless it says otherwise."""

NOBODY = Envelope("", 0)
"""The envelope of what is no telemetry, or for one who does not care whose it is."""

Decoder = Callable[[Union[str, bytes], Envelope], Frame]
"""One message of a device in, a text or a binary frame, one frame out; raises ProtocolError. `parse` is the reference.
"""

PointsDecoder = Callable[..., Decoded]
"""What reads a body: `columnar.decode_points`, or a faster one with the same arguments and the same answer."""

_length = struct.Struct(">H")
_START = len(MAGIC) + _length.size


@attrs.frozen
class BinaryFrame:
    """A message taken apart; what is in it is not looked at yet."""

    header: Mapping[str, Any]
    body: bytes


def is_binary_body(body: bytes) -> bool:
    """Whether a batch's body travels in a binary frame; one in JSON is part of a text frame."""
    return body.startswith(columnar.MAGIC)


def dump_telemetry(
    body: bytes, *, seq: int | None = None, batch: BatchName | None = None, gaps: Sequence[Loss] = ()
) -> str | bytes:
    """A telemetry message in the form that the body needs: text around JSON, binary around columns."""
    dump_as = dump if is_binary_body(body) else frames.dump_telemetry
    return dump_as(body, seq=seq, batch=batch, gaps=gaps)


def is_binary_frame(message: object) -> bool:
    """Whether a message is telemetry in this form."""
    return isinstance(message, bytes) and message.startswith(MAGIC)


def dump(
    body: bytes,
    *,
    seq: int | None = None,
    batch: BatchName | None = None,
    gaps: Sequence[Loss] = (),
    source_id: str | None = None,
) -> bytes:
    """A message around an encoded body. Raises ProtocolError when the header does not fit its 64 KiB."""
    header: dict[str, Any] = {}
    if source_id is not None:
        header["source_id"] = source_id
    if seq is not None:
        header["seq"] = seq
    if batch is not None:
        header["batch"] = batch.to_wire()
    if gaps:
        header["gaps"] = frames.write_gaps(gaps)
    text = jsontext.dumps(header).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise ProtocolError(f"the header of a binary frame must be at most {MAX_HEADER_BYTES} bytes, not {len(text)}")
    return b"".join((MAGIC, _length.pack(len(text)), text, body))


def split(message: bytes) -> BinaryFrame:
    """Take a message apart; raises ProtocolError, whatever the bytes are."""
    if not is_binary_frame(message) or len(message) < _START:
        raise ProtocolError("a binary telemetry frame must begin with PXT1 and the length of its header")
    (length,) = _length.unpack_from(message, len(MAGIC))
    text = message[_START : _START + length]
    if len(text) != length:
        raise ProtocolError("the binary frame ends inside its header")
    header = jsontext.loads(text)
    if not isinstance(header, dict):
        raise ProtocolError("the header of a binary frame must be a JSON object")
    return BinaryFrame(header, message[_START + length :])


def parse(message: str | bytes, envelope: Envelope = NOBODY, max_points: int = MAX_POINTS) -> Frame:
    """Read one message of a device, telemetry in either form or any text frame. Raises ProtocolError only."""
    if not isinstance(message, bytes) or not is_binary_frame(message):
        return frames.parse(message, envelope)
    return parse_telemetry(message, envelope, max_points)


def parse_telemetry(
    message: bytes, envelope: Envelope, max_points: int, decode: PointsDecoder = columnar.decode_points
) -> Telemetry:
    """Read a binary message, of at most `max_points` points. Raises ProtocolError only."""
    frame = split(message)
    decoded = decode(frame.body, source_id=envelope.source_id or None, max_points=max_points)
    seq, batch = fields.optional_whole(frame.header, "seq"), parse_batch_name(frame.header.get("batch"))
    return Telemetry(decoded, seq, batch, frames.parse_gaps(frame.header))


def salvage(message: str | bytes) -> Salvaged | None:
    """The names of a telemetry message in either form that `parse` refused, as far as they can be read."""
    if not isinstance(message, bytes) or not is_binary_frame(message):
        return frames.salvage(message)
    try:
        header = split(message).header
    except ProtocolError:
        return None
    return frames.salvage(jsontext.dumps({**header, "type": "telemetry"}))

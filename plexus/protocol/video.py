"""The binary video frame (protocol page, section 4, Video): all integers big-endian.

1 byte version · 1+N source_id · 1+M camera_id · uint32 width · uint32 height · int64 timestamp_ms · JPEG
"""

from __future__ import annotations

import struct

from plexus.domain.errors import ProtocolError
from plexus.domain.video import VideoFrame

VERSION = 1
MAX_NAME_BYTES = 255
MAX_JPEG_BYTES = 750_000
"""A larger JPEG would pass the gateway's 1 MB once it is relayed as base64."""

_tail = struct.Struct(">IIq")


def pack(frame: VideoFrame) -> bytes:
    """One frame as a binary message; raises ProtocolError naming the field that does not fit."""
    try:
        tail = _tail.pack(frame.width, frame.height, frame.timestamp_ms)
    except struct.error as exc:
        raise ProtocolError(f"width, height or timestamp_ms does not fit the frame: {exc}") from exc
    head = bytes([VERSION]) + _name(frame.source_id, "source_id") + _name(frame.camera_id, "camera_id")
    return head + tail + frame.jpeg


def unpack(message: bytes) -> VideoFrame:
    """Read a binary message; raises ProtocolError naming what is missing."""
    if not message or message[0] != VERSION:
        raise ProtocolError("a binary frame must start with version 1", field="version")
    source_id, at = _read_name(message, 1, "source_id")
    camera_id, at = _read_name(message, at, "camera_id")
    if len(message) < at + _tail.size:
        raise ProtocolError("the video frame ends before its timestamp", field="timestamp_ms")
    width, height, timestamp_ms = _tail.unpack_from(message, at)
    return VideoFrame(source_id, camera_id, message[at + _tail.size :], width, height, timestamp_ms)


def _name(text: str, field: str) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError as exc:
        raise ProtocolError(f"{field} holds a lone surrogate, which UTF-8 cannot carry", field=field) from exc
    if len(raw) > MAX_NAME_BYTES:
        raise ProtocolError(f"{field} must be at most {MAX_NAME_BYTES} bytes", field=field)
    return bytes([len(raw)]) + raw


def _read_name(message: bytes, at: int, field: str) -> tuple[str, int]:
    length = message[at] if at < len(message) else MAX_NAME_BYTES
    raw = message[at + 1 : at + 1 + length]
    if len(raw) != length:
        raise ProtocolError(f"the video frame ends inside {field}", field=field)
    try:
        return raw.decode(), at + 1 + length
    except UnicodeDecodeError as exc:
        raise ProtocolError(f"{field} is not UTF-8", field=field) from exc

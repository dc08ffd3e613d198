"""Video on the wire (protocol page, sections 4 and 7): the device's frames, binary and text, and the viewer's.

Binary, all integers big-endian:
1 byte version · 1+N source_id · 1+M camera_id · uint32 width · uint32 height · int64 timestamp_ms · JPEG

Text, as releases before 0.5.1 and thermal cameras send it: a JSON object with the JPEG in base64. That is also what
viewers get of either; the source is the one that the device was let in as, whatever its frame says.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union

import attrs

from plexus.domain.errors import ProtocolError
from plexus.domain.video import VideoFrame
from plexus.protocol import fields, jsontext

VERSION = 1
MAX_NAME_BYTES = 255
MAX_JPEG_BYTES = 750_000
"""A larger JPEG would pass the gateway's 1 MB once it is relayed as base64."""

MAX_RELAYED_BYTES = 1024 * 1024
"""What a gateway relays: the whole text frame. A JPEG of `MAX_JPEG_BYTES` fits with room for its fields."""

DEFAULT_CAMERA = "camera:0"

THERMAL = ("video_type", "sensor_width", "sensor_height", "temp_min", "temp_max", "temps")
"""What thermal cameras add; relayed as it came."""

_tail = struct.Struct(">IIq")
_base64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


@attrs.frozen
class Relay:
    """One frame on its way to viewers: `head` is everything but the picture, as a JSON object's text.

    `picture` is a JPEG, or the base64 text of one.
    """

    camera_id: str
    head: str
    picture: Union[bytes, str] = attrs.field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of the text frame, before it is made."""
        picture = self.picture
        length = len(picture) if isinstance(picture, str) else 4 * ((len(picture) + 2) // 3)
        return len(self.head.encode()) + length + len(',"frame":""')

    def text(self) -> str:
        """The `video_frame` that viewers get."""
        picture = self.picture
        encoded = picture if isinstance(picture, str) else base64.b64encode(picture).decode("ascii")
        return f'{self.head[:-1]},"frame":"{encoded}"}}'


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


def relay_binary(message: bytes, source_id: str) -> Relay:
    """What viewers of `source_id` get of a device's binary message; raises ProtocolError."""
    frame = unpack(message)
    camera_id = frame.camera_id or DEFAULT_CAMERA
    return Relay(camera_id, _head(source_id, camera_id, frame.width, frame.height, frame.timestamp_ms), frame.jpeg)


def relay_text(raw: Mapping[str, Any], source_id: str, arrival_ms: float) -> Relay:
    """What viewers of `source_id` get of a device's text frame, stamped on arrival when it has no time.

    Raises ProtocolError naming the field.
    """
    picture = fields.text(raw, "frame")
    if not _base64.fullmatch(picture):
        raise ProtocolError("frame must be base64", field="frame")
    camera_id = fields.text(raw, "camera_id", "") or DEFAULT_CAMERA
    _name(camera_id, "camera_id")
    timestamp = fields.optional_number(raw, "timestamp")
    head = _head(
        source_id,
        camera_id,
        fields.optional_whole(raw, "width") or 0,
        fields.optional_whole(raw, "height") or 0,
        arrival_ms if timestamp is None else timestamp,
        {name: raw[name] for name in THERMAL if raw.get(name) is not None},
    )
    return Relay(camera_id, head, picture)


def init_message(online: Mapping[str, Iterable[str]]) -> str:
    """The viewer's first frame: the sources that are online, with the cameras that they send."""
    sources = [{"source_id": source_id, "cameras": list(cameras)} for source_id, cameras in online.items()]
    return jsontext.dumps({"type": "init", "online_sources": sources})


def cameras_wanted(asked: Sequence[str]) -> frozenset[str]:
    """The cameras that a viewer's `camera_id` parameters name.

    None of them means `default`, which is also the camera of a device that names none.
    """
    wanted = set(asked) or {"default"}
    return frozenset(wanted | {DEFAULT_CAMERA} if "default" in wanted else wanted)


def _head(
    source_id: str,
    camera_id: str,
    width: int,
    height: int,
    timestamp: float,
    more: Mapping[str, Any] | None = None,
) -> str:
    return jsontext.dumps(
        {
            "type": "video_frame",
            "source_id": source_id,
            "camera_id": camera_id,
            "width": width,
            "height": height,
            "timestamp": timestamp,
            **(more or {}),
        }
    )


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

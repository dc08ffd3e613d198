"""Video frames on their way out: made into JPEGs that a gateway relays, and handed over newest first.

Colours. The published contract says nothing of the order of an array's channels, so this is ours: an array's channels
are red, green, blue, as Pillow, imageio and most cameras' own libraries have them. OpenCV has them the other way round:
say `channels="bgr"` for its arrays, or send what `cv2.imencode(".jpg", frame)` made.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from plexus.device.pictures import Channels, Picture, picture_of, read_jpeg
from plexus.domain.errors import ConfigurationError, UnsupportedValueError
from plexus.domain.video import VideoFrame
from plexus.protocol import video as wire
from plexus.protocol.video import MAX_JPEG_BYTES

Fitted = tuple[bytes, int, int]
"""A JPEG with its width and height in pixels; 0 and 0 when it could not be fitted to the gateway's limit."""

MAX_CAMERAS = 64
_SMALLER_QUALITIES = (75, 60, 45, 30)
_HALVINGS = 6
_SOI = b"\xff\xd8"
_NOT_A_SIZE = frozenset({0xC4, 0xC8, 0xCC})
"""Markers among 0xC0 to 0xCF that are no frame header: tables, reserved, arithmetic conditioning."""


def fit_frame(
    frame: object, quality: int = 85, *, channels: Channels = "rgb", max_bytes: int = MAX_JPEG_BYTES
) -> Fitted:
    """One frame as a JPEG of at most `max_bytes`.

    `frame` is a complete JPEG as bytes, which passes through as it is; an array of `uint8`, height x width for grey or
    height x width x 3 (or 4, the fourth is left out) in the order of `channels`; or a Pillow image. `quality`, 1 to 95,
    is what arrays and images are encoded with, by Pillow, or by OpenCV where that is what there is. What is too large
    is encoded at lower qualities and then at lower resolutions; without either of them a JPEG that is too large is
    given back as it is, with width and height 0.

    Raises UnsupportedValueError for what is no frame, ConfigurationError when one of them is needed and none is there.
    """
    if not isinstance(quality, int) or not 1 <= quality <= 95:
        raise ConfigurationError(f"quality {quality!r} is not valid: use a whole number from 1 to 95")
    if channels not in ("rgb", "bgr"):
        raise ConfigurationError(f"channels {channels!r} is not valid: use 'rgb' or 'bgr'")
    if isinstance(frame, (bytes, bytearray, memoryview)):
        return _fit_jpeg(bytes(frame), max_bytes)
    return _encode(picture_of(frame, channels), (quality, *_lower(quality)), max_bytes)


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Width and height that a JPEG's frame header tells; 0 and 0 when there is none to be found."""
    at = len(_SOI)
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in _NOT_A_SIZE:
            header = jpeg[at + 5 : at + 9]
            return int.from_bytes(header[2:], "big"), int.from_bytes(header[:2], "big")
        else:
            at += 2 + max(int.from_bytes(jpeg[at + 2 : at + 4], "big"), 2)
    return 0, 0


class VideoOutbox:
    """Frames that wait for the link, at most one a camera: a newer one takes the place of one that was not sent.

    `put` is called by whoever has frames and never waits for the link; `take` by the uplink. A frame that gave way is
    counted in `replaced`: a live picture is worth nothing late, but it is not lost unseen. `ring` wakes the uplink.
    """

    def __init__(self, ring: Callable[[], None] = lambda: None) -> None:
        self.replaced = 0
        self._ring = ring
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, bytes] = OrderedDict()

    def put(self, frame: VideoFrame) -> None:
        """Let `frame` be sent next for its camera; raises ProtocolError naming a field that does not fit the wire."""
        message = wire.pack(frame)
        with self._lock:
            # A camera keeps its turn: one that is fast must not starve the others.
            if frame.camera_id in self._waiting or len(self._waiting) >= MAX_CAMERAS:
                self.replaced += 1
            if frame.camera_id not in self._waiting and len(self._waiting) >= MAX_CAMERAS:
                self._waiting.popitem(last=False)
            self._waiting[frame.camera_id] = message
        self._ring()

    def take(self) -> list[bytes]:
        """All messages that wait, in the order in which their cameras began to wait."""
        with self._lock:
            messages = list(self._waiting.values())
            self._waiting.clear()
        return messages

    def __len__(self) -> int:
        """How many frames wait."""
        return len(self._waiting)


# --- JPEGs --------------------------------------------------------------------------------------------------


def _fit_jpeg(jpeg: bytes, max_bytes: int) -> Fitted:
    if not jpeg.startswith(_SOI):
        raise UnsupportedValueError(
            "a video frame of bytes must be one complete JPEG; pass raw pixels as an array or a Pillow image"
        )
    if len(jpeg) <= max_bytes:
        return (jpeg, *jpeg_size(jpeg))
    picture = read_jpeg(jpeg)
    # What nobody here can make smaller, the gateway decides about.
    return (jpeg, 0, 0) if picture is None else _encode(picture, _SMALLER_QUALITIES, max_bytes)


def _lower(quality: int) -> tuple[int, ...]:
    return tuple(each for each in _SMALLER_QUALITIES if each < quality)


def _encode(picture: Picture, qualities: tuple[int, ...], max_bytes: int) -> Fitted:
    jpeg = b""
    for _ in range(_HALVINGS):
        for quality in qualities:
            jpeg = picture.jpeg(quality)
            if len(jpeg) <= max_bytes:
                return (jpeg, *picture.size)
        picture = picture.halved()
        # A smaller picture that looks good beats a large one that does not.
        qualities = _SMALLER_QUALITIES
    return jpeg, 0, 0

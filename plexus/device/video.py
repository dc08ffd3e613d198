"""Video frames on their way out: made into JPEGs that a gateway relays, and handed over newest first.

Colours. The published contract says nothing of the order of an array's channels, so this is ours: an array's channels
are red, green, blue, as Pillow, imageio and most cameras' own libraries have them. OpenCV has them the other way round:
say `channels="bgr"` for its arrays, or send what `cv2.imencode(".jpg", frame)` made.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal

from plexus.domain.errors import ConfigurationError, UnsupportedValueError
from plexus.domain.video import VideoFrame
from plexus.protocol import video as wire
from plexus.protocol.video import MAX_JPEG_BYTES

if TYPE_CHECKING:
    from PIL.Image import Image

Channels = Literal["rgb", "bgr"]
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
    is what arrays and images are encoded with. What is too large is encoded at lower qualities and then at lower
    resolutions; without Pillow a JPEG that is too large is given back as it is, with width and height 0.

    Raises UnsupportedValueError for what is no frame, ConfigurationError when Pillow is needed and not there.
    """
    if not isinstance(quality, int) or not 1 <= quality <= 95:
        raise ConfigurationError(f"quality {quality!r} is not valid: use a whole number from 1 to 95")
    if channels not in ("rgb", "bgr"):
        raise ConfigurationError(f"channels {channels!r} is not valid: use 'rgb' or 'bgr'")
    if isinstance(frame, (bytes, bytearray, memoryview)):
        return _fit_jpeg(bytes(frame), max_bytes)
    return _encode(_image_of(frame, channels), (quality, *_lower(quality)), max_bytes)


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
    counted in `replaced`: a live picture is worth nothing late, but it is not lost unseen.
    """

    def __init__(self) -> None:
        self.replaced = 0
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
    image = _decoded(jpeg)
    # What Pillow cannot make smaller, the gateway decides about.
    return (jpeg, 0, 0) if image is None else _encode(image, _SMALLER_QUALITIES, max_bytes)


def _decoded(jpeg: bytes) -> Image | None:
    """The picture, None where there is no Pillow or it cannot read this."""
    try:
        from PIL import Image
    except ImportError:
        return None
    try:
        image = Image.open(io.BytesIO(jpeg))
        image.load()
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return image


def _lower(quality: int) -> tuple[int, ...]:
    return tuple(each for each in _SMALLER_QUALITIES if each < quality)


def _encode(image: Image, qualities: tuple[int, ...], max_bytes: int) -> Fitted:
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    jpeg = b""
    for _ in range(_HALVINGS):
        for quality in qualities:
            out = io.BytesIO()
            image.save(out, "JPEG", quality=quality)
            jpeg = out.getvalue()
            if len(jpeg) <= max_bytes:
                return jpeg, image.width, image.height
        image = image.resize((max(image.width // 2, 1), max(image.height // 2, 1)))
        # A smaller picture that looks good beats a large one that does not.
        qualities = _SMALLER_QUALITIES
    return jpeg, 0, 0


# --- pixels -------------------------------------------------------------------------------------------------


def _image_of(frame: object, channels: Channels) -> Image:
    """A Pillow image of an array or an image; Pillow is loaded by the first frame that needs it."""
    is_array = hasattr(frame, "__array_interface__")
    if not is_array and not hasattr(frame, "convert"):
        raise UnsupportedValueError(
            f"a video frame of type {type(frame).__name__} cannot be sent; pass JPEG bytes, an array or a Pillow image"
        )
    try:
        from PIL import Image
    except ImportError as exc:
        raise ConfigurationError(
            "encoding a frame that is no JPEG yet needs Pillow: install the extra `video` "
            "(pip install '.[video]' in the Plexus checkout), or send JPEG bytes"
        ) from exc
    if isinstance(frame, Image.Image):
        return frame
    if not is_array:
        raise UnsupportedValueError(f"a video frame of type {type(frame).__name__} is no Pillow image")
    return Image.fromarray(_pixels(frame, channels))


def _pixels(array: Any, channels: Channels) -> Any:
    """The array as Pillow takes it: height x width, or height x width x 3 in the order red, green, blue."""
    interface = array.__array_interface__
    shape, kind = tuple(interface["shape"]), interface["typestr"]
    fits = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    if kind not in ("|u1", "u1") or not fits or 0 in shape:
        raise UnsupportedValueError(
            f"a video frame of shape {shape} and type {kind} cannot be sent; "
            "use uint8, height x width, or height x width x 3"
        )
    if len(shape) == 2:
        return array
    if shape[2] == 1:
        return array[:, :, 0]
    return array[:, :, 2::-1] if channels == "bgr" else array[:, :, :3]

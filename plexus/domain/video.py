"""A video frame: one JPEG of one camera."""

from __future__ import annotations

import attrs


@attrs.frozen
class VideoFrame:
    """One frame.

    Attributes:
        source_id, camera_id: at most 255 bytes of UTF-8 each.
        jpeg: one complete JPEG.
        width, height: pixels; 0 when the sender could not tell.
        timestamp_ms: milliseconds since 1970 UTC.
    """

    source_id: str
    camera_id: str
    jpeg: bytes
    width: int
    height: int
    timestamp_ms: int

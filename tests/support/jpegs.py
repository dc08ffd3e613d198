"""JPEGs made by hand: the structure of real ones, with any content."""

from __future__ import annotations

from collections.abc import Sequence

SOI, EOI = b"\xff\xd8", b"\xff\xd9"


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def frame_header(width: int, height: int, *, marker: int = 0xC0) -> bytes:
    return segment(marker, b"\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x01\x01\x11\x00")


def scan(data: bytes) -> bytes:
    """A scan around entropy-coded `data`, in which 0xFF is stuffed as an encoder does."""
    return segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + data.replace(b"\xff", b"\xff\x00")


def jpeg(
    data: bytes = b"picture", *, segments: Sequence[bytes] = (), scans: int = 1, size: tuple[int, int] = (8, 6)
) -> bytes:
    body = b"".join(segment(0xE1, content) for content in segments)
    return SOI + body + frame_header(*size) + scan(data) * scans + EOI

"""Single JPEGs out of a stream of them, such as `ffmpeg -f mjpeg pipe:1` writes.

A frame is found by walking its structure and not by looking for the next end marker: the thumbnail that cameras embed
is a JPEG inside a JPEG, with an end marker of its own.

    SOI, segments (marker, length, content), SOS segment, entropy-coded data (0xFF only before 0x00 or RSTn),
    possibly more segments and scans, EOI

What does not have this structure is passed over up to the next start marker. Memory is bounded by `max_bytes`, by
default 16 MiB: a frame that is longer is passed over too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

MAX_FRAME_BYTES = 16 * 1024 * 1024
SOI = b"\xff\xd8"

_SOI, _EOI, _SOS, _TEM, _FILL, _STUFFED = 0xD8, 0xD9, 0xDA, 0x01, 0xFF, 0x00
_RESTARTS = range(0xD0, 0xD8)
_marker_in_scan = re.compile(rb"\xff[^\x00\xd0-\xd7]", re.DOTALL)


def read_mjpeg_frames(pipe: BinaryIO, chunk: int = 65536) -> Iterator[bytes]:
    """Yield the JPEGs of a stream as they become complete, until it ends; reads at most `chunk` bytes at once."""
    # `read` of a buffered pipe waits for all that was asked for; a live picture is wanted as soon as it is there.
    read = getattr(pipe, "read1", pipe.read)
    splitter = JpegSplitter()
    while data := read(chunk):
        yield from splitter.feed(data)


class JpegSplitter:
    """Takes bytes in pieces of any size, gives whole JPEGs."""

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._at = 0
        self._in_scan = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take in `data`; returns the frames that it completes."""
        self._data += data
        frames = []
        while end := self._walk():
            if end <= self._max_bytes:
                frames.append(bytes(self._data[:end]))
            self._drop(end)
        return frames

    def _find_start(self) -> bool:
        """Bring a start marker to the front of what is held; False when more bytes are needed."""
        if self._at:
            return True
        start = self._data.find(SOI)
        if start < 0:
            # The last byte may be the first half of a marker.
            del self._data[: max(len(self._data) - 1, 0)]
            return False
        del self._data[:start]
        self._at = len(SOI)
        return True

    def _walk(self) -> int:
        """Go on through the frame at the front; its end when it is complete, 0 when more bytes are needed."""
        while self._find_start():
            end = self._skip_scan() if self._in_scan else self._skip_segment()
            if end is None and len(self._data) > self._max_bytes:
                self._drop(self._at)
            elif end is None:
                return 0
            elif end:
                return end
        return 0

    # Each step gives the frame's end, 0 when it went on without reaching it, None when more bytes are needed.

    def _skip_segment(self) -> int | None:
        """Pass over one marker and what belongs to it."""
        data, at = self._data, self._at
        while at < len(data) and data[at] == _FILL:
            at += 1
        if at == len(data):
            # Of a run of fill bytes only the last one matters.
            self._at = max(self._at, at - 1)
            return None
        marker = data[at]
        if marker == _SOI and at > self._at:
            # The next frame's start: this one was cut short.
            self._drop(at - 1)
        elif at == self._at or marker == _STUFFED:
            # No marker where one must be: the start was none.
            self._drop(len(SOI))
        elif marker == _EOI:
            return at + 1
        elif marker in _RESTARTS or marker == _TEM:
            self._at = at + 1
        else:
            return self._skip_content(marker, at + 1)
        return 0

    def _skip_content(self, marker: int, at: int) -> int | None:
        length = int.from_bytes(self._data[at : at + 2], "big")
        if len(self._data) >= at + 2 and length < 2:
            self._drop(len(SOI))
            return 0
        if len(self._data) < at + max(length, 2):
            return None
        self._at = at + length
        self._in_scan = marker == _SOS
        return 0

    def _skip_scan(self) -> int | None:
        """Pass over entropy-coded data as far as it is there; a marker ends it."""
        found = _marker_after(self._data, self._at)
        if found < 0:
            # The last byte may be the first half of a marker.
            self._at = max(self._at, len(self._data) - self._data.endswith(b"\xff"))
            return None
        self._at, self._in_scan = found, False
        return 0

    def _drop(self, count: int) -> None:
        del self._data[:count]
        self._at, self._in_scan = 0, False


def _marker_after(data: bytearray, at: int) -> int:
    # In a function of its own: a match that is alive would keep the bytes from being dropped.
    match = _marker_in_scan.search(data, at)
    return match.start() if match else -1

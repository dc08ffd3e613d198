"""WebSocket frames to messages, over a socket that never blocks: reading goes on where it stopped.

websocket-client frames the bytes; whole messages, their limits and the control frames are put together here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Union

import attrs
import websocket
from websocket import ABNF

from plexus.domain.errors import TransportError

READ_BYTES = 65_536
MAX_CONTROL_BYTES = 125
NO_STATUS = 1005
PROTOCOL_ERROR, INVALID_TEXT, TOO_BIG = 1002, 1007, 1009


class Nothing(Exception):  # noqa: N818 - no fault: what has arrived does not make a frame yet
    """No whole frame is there yet."""


class Malformed(TransportError):  # noqa: N818 - named as Nothing, Closing and Pinged are, by what came
    """The peer breaks the framing; `code` is the close code to answer with."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@attrs.frozen
class Closing:
    """A close frame. `code` is 1005 when it names none."""

    code: int
    reason: str


@attrs.frozen
class Pinged:
    """A ping that wants `payload` back."""

    payload: bytes


Incoming = Union[str, bytes, Closing, Pinged, None]


def encode(payload: str | bytes) -> bytes:
    """A text or binary message as one masked frame."""
    if isinstance(payload, str):
        return _frame(payload.encode(), ABNF.OPCODE_TEXT)
    return _frame(bytes(payload), ABNF.OPCODE_BINARY)


def encode_pong(payload: bytes) -> bytes:
    """The answer to a ping."""
    return _frame(payload, ABNF.OPCODE_PONG)


def encode_close(code: int) -> bytes:
    """A close frame with a code, or without one when there is none to name."""
    return _frame(b"" if code == NO_STATUS else struct.pack("!H", code), ABNF.OPCODE_CLOSE)


def _frame(payload: bytes, opcode: int) -> bytes:
    data: bytes = ABNF.create_frame(payload, opcode).format()
    return data


class FrameReader:
    """Puts messages together. `read` gives some bytes, or raises Nothing; it is called until it does."""

    def __init__(self, read: Callable[[int], bytes], max_message_bytes: int) -> None:
        self._read = read
        self._limit = max_message_bytes
        # Validating UTF-8 byte by byte in Python is slow; decoding the whole message finds the same faults.
        self._frames = websocket.WebSocket(skip_utf8_validation=True, enable_multithread=False).frame_buffer
        self._frames.recv = self._take
        self._ready, self._taken = b"", 0
        self._opcode = 0
        self._parts: list[bytes] = []
        self._size = 0

    def next(self) -> Incoming:
        """The next frame's outcome, None for one that completes no message; raises Nothing or Malformed."""
        try:
            frame = self._frames.recv_frame()
        except websocket.WebSocketException as exc:
            raise Malformed(f"the gateway sent what is no WebSocket frame: {exc}", PROTOCOL_ERROR) from exc
        if frame.opcode >= ABNF.OPCODE_CLOSE and len(frame.data) > MAX_CONTROL_BYTES:
            raise Malformed("the gateway sent a control frame that is too long", PROTOCOL_ERROR)
        if frame.opcode == ABNF.OPCODE_CLOSE:
            return _closing(_content(frame))
        if frame.opcode == ABNF.OPCODE_PING:
            return Pinged(_content(frame))
        if frame.opcode == ABNF.OPCODE_PONG:
            return None
        return self._data(frame)

    def _data(self, frame: ABNF) -> str | bytes | None:
        starts = frame.opcode != ABNF.OPCODE_CONT
        if starts == bool(self._opcode):
            raise Malformed("the gateway sent the fragments of a message in the wrong order", PROTOCOL_ERROR)
        if starts:
            self._opcode = frame.opcode
        if frame.data:  # empty fragments, however many, take no room
            self._parts.append(_content(frame))
            self._size += len(frame.data)
        return self._finish() if frame.fin else None

    def _finish(self) -> str | bytes:
        opcode, payload = self._opcode, b"".join(self._parts)
        self._opcode, self._parts, self._size = 0, [], 0
        if opcode == ABNF.OPCODE_BINARY:
            return payload
        try:
            return payload.decode()
        except UnicodeDecodeError as exc:
            raise Malformed("the gateway sent a text message that is not UTF-8", INVALID_TEXT) from exc

    def _take(self, count: int) -> bytes:
        # The announced length is known before any of the payload is kept.
        if self._size + (self._frames.length or 0) > self._limit:
            raise Malformed(f"the gateway sent a message over the limit of {self._limit} bytes", TOO_BIG)
        if self._taken == len(self._ready):
            self._ready, self._taken = self._read(READ_BYTES), 0
        taken = self._ready[self._taken : self._taken + count]
        self._taken += len(taken)
        return taken


def _content(frame: ABNF) -> bytes:
    # The library allows itself text here, for frames that it is given to send.
    return frame.data if isinstance(frame.data, bytes) else frame.data.encode()


def _closing(payload: bytes) -> Closing:
    if len(payload) < 2:
        return Closing(NO_STATUS, "")
    return Closing(struct.unpack("!H", payload[:2])[0], payload[2:].decode("utf-8", "replace"))

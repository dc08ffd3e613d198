"""WebSocket frames to messages, over a socket that never blocks: reading goes on where it stopped.

websocket-client would frame them too, and loads TLS, an HTTP client and OpenSSL for it: 7 MiB, more than all the rest
of a client that waits for a reading.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Union

import attrs

from plexus.domain.errors import TransportError

READ_BYTES = 65_536
MAX_CONTROL_BYTES = 125
NO_STATUS = 1005
NO_MASK = bytes(4)
PROTOCOL_ERROR, INVALID_TEXT, TOO_BIG = 1002, 1007, 1009

_CONT, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_OPCODES = frozenset({_CONT, _TEXT, _BINARY, _CLOSE, _PING, _PONG})
_NO_CLOSE_CODES = frozenset({1004, NO_STATUS, 1006, 1015})
"""Reserved: they stand for what no frame can say."""


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


def encode(payload: str | bytes, *, hidden: bool = False) -> bytes:
    """A text or binary message as one frame. `hidden`: what is written cannot be read on its way, see `_frame`."""
    if isinstance(payload, str):
        return _frame(payload.encode(), _TEXT, hidden=hidden)
    return _frame(bytes(payload), _BINARY, hidden=hidden)


def encode_pong(payload: bytes) -> bytes:
    """The answer to a ping."""
    return _frame(payload, _PONG)


def encode_close(code: int) -> bytes:
    """A close frame with a code, or without one when there is none to name."""
    return _frame(b"" if code == NO_STATUS else struct.pack("!H", code), _CLOSE)


def _frame(payload: bytes, opcode: int, *, hidden: bool = False) -> bytes:
    """One whole frame from a client, masked (RFC 6455, 5.3).

    The mask keeps whoever chooses a payload from choosing the bytes that a proxy on the way sees. Where nobody is on
    the way (TLS, or this machine alone) it hides nothing from anybody and costs more than everything else that is
    done with a message, so the mask is zero there: a mask to the other end like any.
    """
    size, first = len(payload), 0x80 | opcode
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    if hidden:
        return b"".join((head, NO_MASK, payload))
    mask = os.urandom(4)
    return b"".join((head, mask, _masked(payload, mask)))


def _masked(payload: bytes, mask: bytes) -> bytes:
    # As one number each: three passes over the bytes in C, where any loop in Python would take a hundred.
    size = len(payload)
    pattern = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(payload, "little") ^ pattern).to_bytes(size, "little")


class FrameReader:
    """Puts messages together. `read` gives some bytes, or raises Nothing; it is called until it does."""

    def __init__(self, read: Callable[[int], bytes], max_message_bytes: int) -> None:
        self._read = read
        self._limit = max_message_bytes
        self._data = bytearray()
        self._opcode = 0
        self._parts: list[bytes] = []
        self._size = 0

    def next(self) -> Incoming:
        """The next frame's outcome, None for one that completes no message; raises Nothing or Malformed."""
        while (frame := self._take()) is None:
            self._data += self._read(READ_BYTES)
        opcode, is_last, payload = frame
        if opcode == _CLOSE:
            return _closing(payload)
        if opcode == _PING:
            return Pinged(payload)
        if opcode == _PONG:
            return None
        return self._add(opcode, payload, is_last=is_last)

    def _take(self) -> tuple[int, bool, bytes] | None:
        """The frame at the front: opcode, whether it ends a message, payload; None when it is not whole yet."""
        data = self._data
        if len(data) < 2:
            return None
        opcode, is_last = data[0] & 0x0F, bool(data[0] & 0x80)
        _check(data[0], data[1] & 0x7F)
        found = _length(data)
        if found is None:
            return None
        start, size = found
        # The announced length is known before any of the payload is kept.
        if self._size + size > self._limit:
            raise Malformed(f"the gateway sent a message over the limit of {self._limit} bytes", TOO_BIG)
        masked = bool(data[1] & 0x80)
        end = start + 4 * masked + size
        if len(data) < end:
            return None
        payload = bytes(data[end - size : end])
        if masked:
            payload = _masked(payload, bytes(data[start : start + 4]))
        del data[:end]
        return opcode, is_last, payload

    def _add(self, opcode: int, payload: bytes, *, is_last: bool) -> str | bytes | None:
        starts = opcode != _CONT
        if starts == bool(self._opcode):
            raise Malformed("the gateway sent the fragments of a message in the wrong order", PROTOCOL_ERROR)
        if starts:
            self._opcode = opcode
        if payload:  # empty fragments, however many, take no room
            self._parts.append(payload)
            self._size += len(payload)
        return self._finish() if is_last else None

    def _finish(self) -> str | bytes:
        opcode, payload = self._opcode, b"".join(self._parts)
        self._opcode, self._parts, self._size = 0, [], 0
        if opcode == _BINARY:
            return payload
        try:
            return payload.decode()
        except UnicodeDecodeError as exc:
            raise Malformed("the gateway sent a text message that is not UTF-8", INVALID_TEXT) from exc


def _check(first: int, length: int) -> None:
    """Refuse a frame by its first byte, and the seven bits that are its length or tell how long that is."""
    opcode = first & 0x0F
    if first & 0x70:
        raise Malformed("the gateway sent what is no WebSocket frame: a reserved bit is set", PROTOCOL_ERROR)
    if opcode not in _OPCODES:
        raise Malformed(f"the gateway sent what is no WebSocket frame: there is no opcode {opcode}", PROTOCOL_ERROR)
    if opcode >= _CLOSE and length > MAX_CONTROL_BYTES:
        raise Malformed("the gateway sent a control frame that is too long", PROTOCOL_ERROR)
    if opcode >= _CLOSE and not first & 0x80:
        raise Malformed("the gateway sent what is no WebSocket frame: a control frame in fragments", PROTOCOL_ERROR)


def _length(data: bytearray) -> tuple[int, int] | None:
    """Where a frame's head ends (before a mask) and how long its payload is; None when that is not there yet."""
    short = data[1] & 0x7F
    if short < 126:
        return 2, short
    form, start = ("!H", 4) if short == 126 else ("!Q", 10)
    return (start, struct.unpack(form, data[2:start])[0]) if len(data) >= start else None


def _closing(payload: bytes) -> Closing:
    if not payload:
        return Closing(NO_STATUS, "")
    if len(payload) == 1:
        raise Malformed("the gateway sent what is no WebSocket frame: a close with half a code", PROTOCOL_ERROR)
    code = struct.unpack("!H", payload[:2])[0]
    if not 1000 <= code < 5000 or code in _NO_CLOSE_CODES or 1015 < code < 3000:
        raise Malformed(f"the gateway sent what is no WebSocket frame: a close with {code} for a code", PROTOCOL_ERROR)
    return Closing(code, payload[2:].decode("utf-8", "replace"))

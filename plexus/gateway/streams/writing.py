"""Frames that are made once and written to many sockets."""

from __future__ import annotations

import struct
from typing import Protocol

from plexus.gateway.asgi import Scope, Send

PREPARED_FRAMES = "plexus.prepared_frames"
"""A scope extension of our server: the socket as a `PreparedSocket`."""

_TEXT = 0x81
_SHORT, _MIDDLE = 126, 1 << 16


class Frame:
    """One text message: the bytes that go over the wire, made once, and how many points or events are in it."""

    __slots__ = ("_head", "points", "wire")

    def __init__(self, payload: bytes, points: int = 0) -> None:
        head = _head(len(payload))
        self._head = len(head)
        self.wire = head + payload
        self.points = points

    @property
    def text(self) -> str:
        """The message."""
        return self.wire[self._head :].decode()


class PreparedSocket(Protocol):
    """A WebSocket that takes whole frames as bytes."""

    def write_prepared(self, frame: bytes) -> bool:
        """Write a whole frame if the peer takes more just now; False when it does not, or is gone."""
        ...

    async def room(self) -> None:
        """Return when the peer takes more; raises OSError when it is gone."""
        ...


class Writer(Protocol):
    """The way to one peer."""

    def try_write(self, frame: Frame) -> bool:
        """Write without waiting; False when that cannot be."""
        ...

    async def write(self, frame: Frame) -> None:
        """Write when the peer takes more; raises OSError when it is gone."""
        ...


def writer_of(scope: Scope, send: Send) -> Writer:
    """The quick way where the server has one, else ASGI's."""
    socket = scope.get("extensions", {}).get(PREPARED_FRAMES)
    return _PlainWriter(send) if socket is None else _PreparedWriter(socket)


class _PreparedWriter:
    def __init__(self, socket: PreparedSocket) -> None:
        self._socket = socket
        self._write = socket.write_prepared

    def try_write(self, frame: Frame) -> bool:
        """Write without waiting."""
        return self._write(frame.wire)

    async def write(self, frame: Frame) -> None:
        """Write when there is room."""
        while not self._write(frame.wire):
            await self._socket.room()


class _PlainWriter:
    def __init__(self, send: Send) -> None:
        self._send = send

    def try_write(self, frame: Frame) -> bool:  # noqa: ARG002 - ASGI's send may wait, so it is never tried
        """ASGI has no such thing."""
        return False

    async def write(self, frame: Frame) -> None:
        """Write when there is room."""
        await self._send({"type": "websocket.send", "text": frame.text})


def _head(length: int) -> bytes:
    """The header of a whole, unmasked text frame (RFC 6455, section 5.2)."""
    if length < _SHORT:
        return bytes([_TEXT, length])
    if length < _MIDDLE:
        return struct.pack(">BBH", _TEXT, 126, length)
    return struct.pack(">BBQ", _TEXT, 127, length)

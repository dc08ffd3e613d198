"""A device's WebSocket that costs next to nothing: frames are made beforehand, answers are only looked through.

It speaks 0.16.0's dialect (acknowledged `seq`), so that a load measures the gateway and nothing of a client.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

HEAD_END = b"\r\n\r\n"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def packed(payload: bytes, opcode: int = TEXT) -> bytes:
    """One masked frame. The mask is zero, which the protocol allows and leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 2**16:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


class RawLink(asyncio.Protocol):
    """One socket. `acknowledged` is the highest `seq` that the gateway has stored; `on_ack` hears of it."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.on_ack: Callable[[int], None] = lambda _seq: None
        self.transport: asyncio.Transport
        self._data = b""
        self._upgraded = False
        self._greeting = b""
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not derive from it

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's shape
        if not self._ready.done():
            self._ready.set_exception(ConnectionError("the gateway closed the socket"))
        self._changed.set()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._upgraded:
            head, end, rest = self._data.partition(HEAD_END)
            if not end:
                return
            if b" 101 " not in head:
                raise ConnectionError(head.decode())
            self._upgraded, self._data = True, rest
            self.transport.write(self._greeting)
        self._frames()

    def _frames(self) -> None:
        data, at = self._data, 0
        while len(data) - at >= 2:
            size, start = data[at + 1] & 0x7F, at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if len(data) < start + size:
                break
            self._heard(data[at] & 0x0F, data[start : start + size])
            at = start + size
        self._data = data[at:]

    def _heard(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.transport.write(packed(payload, PONG))
        elif opcode == TEXT:
            message = json.loads(payload)
            if message["type"] == "telemetry_ack":
                self.acknowledged = message["seq"]
                self.on_ack(self.acknowledged)
                self._changed.set()
            elif message["type"] == "authenticated":
                self._ready.set_result(None)
            elif message["type"] == "error":
                raise ConnectionError(payload.decode())

    async def until(self, seq: int) -> None:
        """Wait until everything up to `seq` is acknowledged."""
        while self.acknowledged < seq:
            if self.transport.is_closing():
                raise ConnectionError("the gateway closed the socket")
            self._changed.clear()
            await self._changed.wait()

    async def send_all(self, frames: list[bytes], window: int) -> None:
        """Send frames whose `seq` counts from 1, with so many unacknowledged; returns when all are stored."""
        for number, frame in enumerate(frames, start=1):
            await self.until(number - window)
            self.transport.write(frame)
        await self.until(len(frames))

    async def greet(self, host: str, key: str, source_id: str, ext: Mapping[str, int] | None = None) -> None:
        """From the handshake to `authenticated`."""
        nonce = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET /ws/device HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {nonce}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        auth: dict[str, Any] = {"type": "device_auth", "api_key": key, "source_id": source_id, "acks": True}
        if ext:
            auth["ext"] = dict(ext)
        self._greeting = packed(json.dumps(auth).encode())
        self.transport.write(head.encode())
        await self._ready


async def open_link(url: str, key: str, source_id: str, ext: Mapping[str, int] | None = None) -> RawLink:
    """An authenticated socket of this source."""
    place = urlsplit(url)
    assert place.hostname is not None
    assert place.port is not None
    loop = asyncio.get_running_loop()
    _transport, link = await loop.create_connection(RawLink, place.hostname, place.port)
    await link.greet(place.netloc, key, source_id, ext)
    return link

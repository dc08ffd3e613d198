"""The few ASGI pieces that the bare handlers share: types, headers, bodies with a limit, JSON answers."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

import orjson
import zstandard

from plexus.gateway.pacing import Pace

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_CHUNK = 64 * 1024

_PLAUSIBLE = 20
_KEPT_AT_ONCE = 1024 * 1024
"""Telemetry in JSON shrinks to a tenth or so; what becomes more than so many times itself is looked through first."""

_GZIP_MEMBERS = 64
"""Every further member costs a copy of what is left of the body, so a body of tiny ones would cost its square."""

_ZSTD_WINDOW = 8 * 1024 * 1024
"""What RFC 8878 asks every decoder to take; a larger window is memory that a few bytes ask for."""


class HttpError(Exception):
    """An answer that is no success, raised where it is found and written by the gate as `{"error": …}`."""

    def __init__(self, status: int, message: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = tuple(headers)


class Disconnected(Exception):  # noqa: N818 - it is how a client leaves, not a fault
    """The client went away before its request was complete; there is nobody to answer."""


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of this (lower-case) name."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return None


async def send_json(
    send: Send, status: int, body: Mapping[str, Any], headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Answer with a JSON object."""
    payload = orjson.dumps(body)
    start = [(b"content-type", b"application/json"), (b"content-length", str(len(payload)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": payload})


async def read_body(scope: Scope, receive: Receive, limit: int, pace: Pace) -> bytes:
    """The whole body as it was sent; never holds more than `limit` bytes of it.

    Raises HttpError 413 over the limit, 408 when the body comes more slowly than at this pace.
    """
    declared = header(scope, b"content-length") or ""
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise too_large(limit)
    chunks: list[bytes] = []
    size, began = 0, pace.monotonic()
    while True:
        message = await _in_time(receive, pace, pace.left_s(began, size))
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def unpack(encoding: str | None, packed: bytes, limit: int) -> bytes:
    """A body without its content-encoding (gzip, zstd, or none), at most `limit` bytes.

    Raises HttpError 413 over the limit, 415 for an encoding that is not known, 400 for a body that is not what it says.
    """
    name = (encoding or "identity").strip().lower()
    if name == "identity":
        return packed
    if name in ("gzip", "x-gzip"):
        return _bounded(_gunzip, packed, limit)
    if name == "zstd":
        return _bounded(_unzstd, packed, limit)
    raise HttpError(415, "content-encoding must be gzip, zstd or identity")


def too_large(limit: int) -> HttpError:
    """The refusal of a body over the limit."""
    return HttpError(413, f"the body is over {limit} bytes; send fewer points in one message")


async def _in_time(receive: Receive, pace: Pace, left_s: float) -> Message:
    if left_s > 0:
        with contextlib.suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(receive(), left_s)
    raise HttpError(408, f"the body must come {pace}")


def _bounded(unpacked: Callable[[bytes], Iterator[bytes]], packed: bytes, limit: int) -> bytes:
    """All pieces as one, at most `limit` bytes.

    What unpacks to far more than telemetry does is looked through first and kept only if it ends within the limit, so
    that a bomb takes no memory.
    """
    out: list[bytes] | None = []
    size = 0
    for piece in unpacked(packed):
        size += len(piece)
        if size > limit:
            raise too_large(limit)
        if size > _KEPT_AT_ONCE + len(packed) * _PLAUSIBLE:
            out = None
        elif out is not None:
            out.append(piece)
    return b"".join(unpacked(packed) if out is None else out)


def _gunzip(packed: bytes) -> Iterator[bytes]:
    for _ in range(_GZIP_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        rest = packed
        try:
            while not member.eof and (piece := member.decompress(rest, _CHUNK)):
                rest = member.unconsumed_tail
                yield piece
        except zlib.error:
            raise HttpError(400, "the body is not gzip, as its content-encoding says") from None
        if not member.eof:
            raise HttpError(400, "the gzip body ends too early")
        packed = member.unused_data
        if not packed:
            return
    raise HttpError(400, f"the gzip body has more than {_GZIP_MEMBERS} members")


def _unzstd(packed: bytes) -> Iterator[bytes]:
    reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_reader(packed, read_across_frames=True)
    try:
        while piece := reader.read(_CHUNK):
            yield piece
    except zstandard.ZstdError:
        raise HttpError(400, "the body is not zstd, as its content-encoding says") from None

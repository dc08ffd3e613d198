"""A file that is made while it is sent.

A thread makes one part, the loop sends it, and only when it is on its way the next is made: memory holds one part, and
a reader sets the pace. It ends when the reader leaves or takes nothing for `Limits.export_stall_s`. What fails before
the first part is an error like any other; later the connection is cut, so that half a file is not taken for a whole.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.to_thread
from litestar import Response

from plexus.gateway.asgi import Disconnected, HttpError, Receive, Scope, Send
from plexus.gateway.core import Limits
from plexus.gateway.meters import Meters
from plexus.gateway.rest.questions import client_left
from plexus.ports.store import Question

BUSY_RETRY_S = 10


class Exports:
    """The exports that run: so many of one organisation beside each other."""

    def __init__(self, limits: Limits, meters: Meters) -> None:
        self.outcomes = meters.exports
        self._at_once = limits.exports_at_once
        self.stall_s = limits.export_stall_s
        self._running: Counter[str] = Counter()
        self.threads = anyio.CapacityLimiter(limits.exports_at_once)

    @contextmanager
    def one(self, org: str) -> Iterator[None]:
        """While this lasts, one more runs; raises HttpError 429 when that is too many."""
        if self._running[org] >= self._at_once:
            self.outcomes.labels("busy").inc()
            raise HttpError(
                429,
                f"{self._at_once} exports of this organisation run already; start again when one is done",
                [(b"retry-after", str(BUSY_RETRY_S).encode())],
            )
        self._running[org] += 1
        try:
            yield
        finally:
            self._running[org] -= 1
            if not self._running[org]:
                del self._running[org]


class Download(Response[Any]):
    """A file whose parts come from `sending`."""

    def __init__(self, sending: Sending, media_type: str, name: str) -> None:
        super().__init__(b"", media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})
        self._sending = sending

    def to_asgi_response(self, *_arguments: Any, **_named: Any) -> Any:
        """What Litestar calls with the request."""
        heads = [(b"content-type", str(self.media_type).encode())]
        heads += [(name.encode(), value.encode()) for name, value in self.headers.items()]

        async def send_file(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["state"].get("head"):
                await send({"type": "http.response.start", "status": 200, "headers": heads})
                await send({"type": "http.response.body", "body": b""})
            else:
                await self._sending(heads, receive, send)

        return send_file


class Sending:
    """Makes the parts of one export in threads and sends them; `question` is what ends the making of one."""

    def __init__(self, exports: Exports, org: str, parts: Generator[bytes], question: Question) -> None:
        self._exports = exports
        self._org = org
        self._parts = parts
        self._question = question

    async def __call__(self, heads: list[tuple[bytes, bytes]], receive: Receive, send: Send) -> None:
        """Send the whole file, or what its reader takes of it.

        Raises what the store does, and Disconnected when the reader left before the first part was there.
        """
        with self._exports.one(self._org):
            left = asyncio.ensure_future(client_left(receive))
            outcome = "failed"
            try:
                outcome = await self._send(heads, left, send)
            except Disconnected:
                outcome = "left"
                raise
            finally:
                self._exports.outcomes.labels(outcome).inc()
                left.cancel()
                self._question.cancel()
                await asyncio.shield(self._thread(self._parts.close))

    async def _send(self, heads: list[tuple[bytes, bytes]], left: asyncio.Future[None], send: Send) -> str:
        """How it ended."""
        part = await self._next(left)
        await send({"type": "http.response.start", "status": 200, "headers": heads})
        try:
            while part is not None:
                if part:
                    await self._out(send, part)
                part = await self._next(left)
        except Disconnected:
            return "left"  # the server cuts an answer that was not ended
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return "answered"

    async def _next(self, left: asyncio.Future[None]) -> bytes | None:
        """The next part, None behind the last."""
        job = asyncio.ensure_future(self._thread(self._parts.__next__))
        either: list[asyncio.Future[Any]] = [job, left]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if left.done():
            self._question.cancel()
            await asyncio.wait({job})
            job.exception()
            raise Disconnected
        return await job

    async def _thread(self, step: Callable[[], bytes | None]) -> bytes | None:
        def call() -> bytes | None:
            try:
                return step()
            except StopIteration:  # no coroutine may raise it
                return None

        return await anyio.to_thread.run_sync(call, limiter=self._exports.threads)

    async def _out(self, send: Send, part: bytes) -> None:
        try:
            body = {"type": "http.response.body", "body": part, "more_body": True}
            await asyncio.wait_for(send(body), self._exports.stall_s)
        except asyncio.TimeoutError:
            raise Disconnected from None

"""What every stream's socket has in common: the key in the first frame, the listening, the ways it ends."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from typing import Any

from plexus.domain.errors import ProtocolError
from plexus.gateway.access import identify, require
from plexus.gateway.asgi import HttpError, Message, Receive, Send
from plexus.gateway.core import SHUTTING_DOWN, Core
from plexus.ports.keyring import KeyInfo
from plexus.protocol import live
from plexus.protocol.gateway import CLOSE_GOING_AWAY


class StreamSocket(ABC):
    """One reader's connection. `kind` is what meters call it, `unauthorized` its close code for a bad key."""

    kind: str
    unauthorized = live.UNAUTHORIZED

    def __init__(self, core: Core, source_id: str, receive: Receive, send: Send) -> None:
        self._core = core
        self._source_id = source_id
        self._receive = receive
        self._send = send
        self._key: KeyInfo | None = None
        self._auth: live.Auth | None = None
        self._ended = asyncio.Event()
        self._close: tuple[int, str] | None = None

    @property
    def key_id(self) -> str:
        """The key that it came in with."""
        return "" if self._key is None else self._key.key_id

    def expel(self) -> None:
        """The key was revoked: close as if it had never been good."""
        self.end(self.unauthorized, "the API key was revoked")

    @property
    def place(self) -> tuple[str, str]:
        """Organisation and source that it is about."""
        return self._org, self._source_id

    def goodbye(self, code: int = CLOSE_GOING_AWAY, reason: str = SHUTTING_DOWN) -> None:
        """The reader is to leave."""
        self.end(code, reason)

    def end(self, code: int, reason: str) -> None:
        """Close; what was said first counts."""
        self._close = self._close or (code, reason)
        self._ended.set()

    async def run(self) -> None:
        """Serve the reader until either side closes."""
        await self._send({"type": "websocket.accept"})
        if not await self._greet():
            return
        self._core.sockets.add(self)
        sockets = self._core.meters.sockets.labels(self.kind)
        sockets.inc()
        try:
            await self._first_of(self._serve(), self._listen(), self._ended.wait())
            if self._close is not None:
                await self._say_close(*self._close)
        finally:
            sockets.dec()
            self._core.sockets.discard(self)

    @abstractmethod
    async def _serve(self) -> None:
        """Write to the reader; returning ends the socket, after `end` said how."""

    @property
    def _org(self) -> str:
        return "" if self._key is None else self._key.org

    async def _first_of(self, *work: Coroutine[Any, Any, Any]) -> None:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(part) for part in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()  # what went wrong in it goes to the gate

    async def _greet(self) -> bool:
        """The first frame, within 10 s, with a key that may read this source; closes if it is not."""
        try:
            message = await asyncio.wait_for(self._first_message(), live.AUTH_TIMEOUT_S)
            if message["type"] == "websocket.disconnect":
                return False
            text = message.get("text")
            self._auth = live.parse_auth(message["bytes"] if text is None else text)
            self._key = identify(self._core.keyring, self._auth.api_key)
            require(self._key, "read", self._source_id)
            self._require_settled()
        except asyncio.TimeoutError:
            await self._say_close(self.unauthorized, f"no auth frame within {live.AUTH_TIMEOUT_S:g} s")
        except ProtocolError as exc:
            await self._say_close(self.unauthorized, str(exc)[:100])
        except HttpError as exc:
            code = live.TRY_LATER if exc.status == 503 else self.unauthorized
            await self._say_close(code, exc.message[:100])
        else:
            return True
        return False

    def _require_settled(self) -> None:
        if self.place in self._core.moving.places:
            raise HttpError(503, "the source is being renamed or deleted just now; come back")

    async def _first_message(self) -> Message:
        message = await self._receive()
        while message["type"] == "websocket.connect":
            message = await self._receive()
        return message

    async def _listen(self) -> None:
        """A reader has nothing more to say; what comes is passed over until it leaves."""
        while (await self._receive())["type"] != "websocket.disconnect":
            pass

    async def _say_close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

"""The awaited link to a data API: sends calls, tries again, downloads. Owns an async httpx client for each host."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

import attrs
import httpx

from plexus.api import retry, wire
from plexus.api.calls import Call, T
from plexus.api.place import Place
from plexus.api.refusals import Answer
from plexus.api.requests import Request

R = TypeVar("R")


@attrs.frozen
class AsyncDownload:
    """An answer whose body comes piece by piece. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    _pieces: Callable[[int], AsyncIterator[bytes]] = attrs.field(repr=False)

    def chunks(self, size_bytes: int = 65_536) -> AsyncIterator[bytes]:
        """The body in pieces of this size, the last one shorter. TransportError when it breaks off before its end."""
        return self._pieces(size_bytes)


class AsyncLink:
    """One data API, within one event loop.

    `sleep` waits between tries (asyncio.sleep); `transport` takes the place of the network.
    """

    def __init__(
        self,
        place: Place,
        budget: retry.Budget,
        *,
        sleep: Callable[[float], Awaitable[None]] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._place = place
        self._budget = budget
        self._sleep = sleep or asyncio.sleep
        self._transport = transport
        self._clients = {place.api_url: self._made(app=False)}
        self._closed = False

    @property
    def base_url(self) -> str:
        """The data API's address."""
        return self._place.api_url

    @property
    def host(self) -> str:
        """The data API's host and port."""
        return self._place.host(app=False)

    @property
    def timeout(self) -> float:
        """Seconds for connecting, and for each wait for an answer."""
        return self._place.timeout

    async def ask(self, call: Call[T]) -> T:
        """Send a call and read its answer; raises the error tree."""
        return wire.read(call, await self._retried(self._once, call.request), self._place)

    @contextlib.asynccontextmanager
    async def download(self, request: Request) -> AsyncIterator[AsyncDownload]:
        """Begin a request whose body is read piece by piece, within the `async with`. Raises as `ask` does."""
        response = await self._retried(self._begun, request)
        try:
            yield AsyncDownload(response.status_code, wire.lowered(response.headers), self._pieces(response, request))
        finally:
            await response.aclose()

    def stream_target(self, request: Request) -> tuple[str, str]:
        """The address of a live stream (ws or wss), and the first message, which carries the key."""
        return self._place.stream_target(request)

    async def aclose(self) -> None:
        """Let go of the connections."""
        self._closed = True
        for client in list(self._clients.values()):
            await client.aclose()

    def _made(self, *, app: bool) -> httpx.AsyncClient:
        with wire.usable_proxies():
            return httpx.AsyncClient(transport=self._transport, **wire.client_arguments(self._place, app=app))

    def _client_for(self, request: Request) -> httpx.AsyncClient:
        base = self._place.base(app=request.app)
        if base not in self._clients:
            if self._closed:
                raise RuntimeError("closed")
            self._clients[base] = self._made(app=request.app)
        return self._clients[base]

    # --- one try --------------------------------------------------------------------------------------------

    async def _retried(self, once: Callable[[Request], Awaitable[R]], request: Request) -> R:
        try:
            if not request.idempotent:
                return await once(request)
            return await retry.async_policy(self._budget, self._sleep)(once, request)
        except retry.Again as again:
            raise again.error from again.error.__cause__

    async def _once(self, request: Request) -> Answer:
        try:
            response = await self._client_for(request).request(**wire.request_arguments(self._place, request))
        except wire.FAILURES as exc:
            raise wire.failure(exc, self._place, request) from exc
        return wire.judged(wire.answer_of(response, self._place), self._place, request)

    async def _begun(self, request: Request) -> httpx.Response:
        try:
            client = self._client_for(request)
            response = await client.send(
                client.build_request(**wire.request_arguments(self._place, request)), stream=True
            )
            if not response.is_success:
                await response.aread()
        except wire.FAILURES as exc:
            raise wire.failure(exc, self._place, request) from exc
        if not response.is_success:
            wire.judged(wire.answer_of(response, self._place), self._place, request)
        return response

    def _pieces(self, response: httpx.Response, request: Request) -> Callable[[int], AsyncIterator[bytes]]:
        async def chunks(size_bytes: int) -> AsyncIterator[bytes]:
            try:
                async for piece in response.aiter_bytes(size_bytes):
                    yield piece
            except wire.FAILURES as exc:
                raise wire.translated(exc, self._place, request) from exc

        return chunks

"""What the tests of exports share: a gateway with data of every kind, both clients, and links that fail on order."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx

from plexus import AsyncPlexusAPI, Gateway, PlexusAPI
from plexus.api.export import Exported
from plexus.api.pinned import iso
from plexus.ports.store import Submission
from plexus.protocol.columns import Columns
from tests.support.gateway import KEY

T0_NS = 1_746_969_660_000_000_000
T0_S = T0_NS / 1e9
STEP_NS = 1_000_000_007
WINDOW = {"start": T0_S - 1, "end": T0_S + 2_000}
QUERY = {"start": iso(T0_NS // 1_000 - 1_000_000), "end": iso(T0_NS // 1_000 + 2_000_000_000)}
POINTS = 2_800
EVENTS = 12

ODD = (0.5, 7, 'say "hi", then\r\nleave', math.nan, True, 2**60 + 1, {"x": [1, "y"]}, "=1+1")


def fill(gateway: Gateway) -> None:
    """Two sources with three metrics each, one of them long; values of every type; events."""
    for source_id in ("rig-1", "rig-2"):
        columns = Columns()
        for metric, count in (("a.b", 200), ("c,d", 200), ("zz", 1_000)):
            for index in range(count):
                value: Any = ODD[index % len(ODD)] if metric == "c,d" else index / 2
                tags = {"k": "v"} if index % 7 == 0 else None
                columns.add(source_id, metric, T0_NS + index * STEP_NS, is_event=False, value=value, tags=tags)
        for index in range(EVENTS // 2):
            at_ns = T0_NS + index * 10**9 + 5_000
            columns.add(source_id, "boot", at_ns, is_event=True, value={"n": index}, tags={"level": "ERROR"})
        gateway.core.store.commit([Submission("default", source_id, columns, T0_NS)])


def in_one_go(gateway: Gateway, **params: Any) -> bytes:
    """What the gateway itself answers to the whole question."""
    with httpx.Client(trust_env=False, timeout=30, headers={"x-api-key": KEY}) as client:
        answer = client.get(f"{gateway.url}/v1/export", params={**QUERY, **params})
        assert answer.status_code == 200, answer.text
        return answer.content


# --- both clients ---------------------------------------------------------------------------------------------


@attrs.frozen
class Client:
    """`export` of one of the clients, over a link that `weather` spoils."""

    name: str
    export: Callable[..., Exported]


class Weather:
    """Notes the targets of exports, and cuts the answers whose numbers are in `cuts` after so many bytes."""

    def __init__(self, cuts: dict[int, int] | None = None) -> None:
        self.cuts = cuts or {}
        self.targets: list[str] = []

    def limit(self, request: httpx.Request) -> int | None:
        """After how many bytes this answer breaks off; None: not at all."""
        if not request.url.path.endswith("/v1/export") or "estimate" in request.url.params:
            return None
        self.targets.append(request.url.raw_path.decode())
        return self.cuts.get(len(self.targets))


def blocking(gateway: Gateway, path: Path, weather: Weather | None = None, **arguments: Any) -> Exported:
    """`PlexusAPI.export`."""
    transport = None if weather is None else _Transport(weather)
    with PlexusAPI(KEY, gateway.url, transport=transport, sleep=lambda _s: None) as api:
        return api.export(path, **{**WINDOW, **arguments})


def awaited(gateway: Gateway, path: Path, weather: Weather | None = None, **arguments: Any) -> Exported:
    """`AsyncPlexusAPI.export`."""

    async def run() -> Exported:
        transport = None if weather is None else _AsyncTransport(weather)
        async with AsyncPlexusAPI(KEY, gateway.url, transport=transport) as api:
            return await api.export(path, **{**WINDOW, **arguments})

    return asyncio.run(run())


CLIENTS = (Client("blocking", blocking), Client("awaited", awaited))


class _Transport(httpx.HTTPTransport):
    def __init__(self, weather: Weather) -> None:
        super().__init__(trust_env=False)
        self._weather = weather

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        limit = self._weather.limit(request)
        answer = super().handle_request(request)
        if limit is not None:
            answer.stream = _Cut(answer.stream, limit)
        return answer


class _AsyncTransport(httpx.AsyncHTTPTransport):
    def __init__(self, weather: Weather) -> None:
        super().__init__(trust_env=False)
        self._weather = weather

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        limit = self._weather.limit(request)
        answer = await super().handle_async_request(request)
        if limit is not None:
            answer.stream = _AsyncCut(answer.stream, limit)
        return answer


class _Cut(httpx.SyncByteStream):
    """So many bytes of a body, and then the end of the connection."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream, self._limit = stream, limit

    def __iter__(self) -> Iterator[bytes]:
        left = self._limit
        for chunk in self._stream:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")

    def close(self) -> None:
        self._stream.close()


class _AsyncCut(httpx.AsyncByteStream):
    """The same, awaited."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream, self._limit = stream, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._limit
        async for chunk in self._stream:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")

    async def aclose(self) -> None:
        await self._stream.aclose()

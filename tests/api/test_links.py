"""The links below the two clients: downloads, addresses of streams, and closing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import attrs
import httpx
import pytest

from plexus.api import calls
from plexus.api.asynclink import AsyncLink
from plexus.api.link import Link
from plexus.api.place import Place
from plexus.api.requests import Request
from plexus.api.retry import Budget
from plexus.domain.errors import ApiError, ConfigurationError, NotFoundError, PlexusError, TransportError
from tests.api.asking import KEY, KINDS, URL, Kind

FILE = Request("GET", "/v1/export", (("last", "1h"),), accept="text/csv")
CONTENT = bytes(range(256)) * 1_000
PLACE = Place(URL, URL, KEY, 10.0)
Handler = Callable[[httpx.Request], httpx.Response]


@attrs.frozen
class Fetched:
    """What a download gave: its status, its content type, and its pieces."""

    status: int
    media_type: str
    pieces: list[bytes]


@attrs.frozen
class Fetching:
    """Downloads over a link of this kind; what is waited between tries is kept in `waits`."""

    kind: Kind
    waits: list[float] = attrs.field(factory=list)

    def __call__(
        self, handler: Handler | None, size: int = 65_536, request: Request = FILE, place: Place = PLACE
    ) -> Fetched:
        transport = None if handler is None else httpx.MockTransport(handler)
        if self.kind == "blocking":
            link = Link(place, Budget(3, 30.0), sleep=self.waits.append, transport=transport)
            with contextlib.closing(link), link.download(request) as download:
                pieces = list(download.chunks(size))
                return Fetched(download.status, download.headers["content-type"], pieces)
        return asyncio.run(self._awaited(transport, size, request, place))

    async def _awaited(
        self, transport: httpx.MockTransport | None, size: int, request: Request, place: Place
    ) -> Fetched:
        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        link = AsyncLink(place, Budget(3, 30.0), sleep=sleep, transport=transport)
        try:
            async with link.download(request) as download:
                pieces = [piece async for piece in download.chunks(size)]
                return Fetched(download.status, download.headers["content-type"], pieces)
        finally:
            await link.aclose()


@pytest.fixture(params=KINDS)
def fetch(request: pytest.FixtureRequest) -> Fetching:
    return Fetching(request.param)


def test_a_download_comes_in_pieces_of_the_size_that_is_asked_for(fetch: Fetching) -> None:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=CONTENT, headers={"Content-Type": "text/csv"})

    got = fetch(handler, 100_000)
    assert (got.status, got.media_type) == (200, "text/csv")
    assert [len(piece) for piece in got.pieces] == [100_000, 100_000, 56_000]
    assert b"".join(got.pieces) == CONTENT
    assert str(asked[0].url) == f"{URL}/v1/export?last=1h"
    assert (asked[0].headers["accept"], asked[0].headers["x-api-key"]) == ("text/csv", KEY)


def test_a_download_is_begun_again_after_what_may_pass(fetch: Fetching) -> None:
    replies = iter(
        [
            httpx.Response(429, headers={"retry-after": "2"}),
            httpx.Response(503, headers={"retry-after": "1"}),
            httpx.Response(200, content=b"rows", headers={"content-type": "text/csv"}),
        ]
    )
    assert fetch(lambda _request: next(replies)).pieces == [b"rows"]
    assert fetch.waits == [2.0, 1.0]


@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (400, ApiError), (307, ApiError)])
def test_a_refused_download_says_why(fetch: Fetching, status: int, error: type[ApiError]) -> None:
    def handler(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={"error": f"not so, {KEY}"}, headers={"x-request-id": "r-7"})

    with pytest.raises(error, match="not so") as caught:
        fetch(handler)
    assert (caught.value.status, caught.value.request_id) == (status, "r-7")
    assert KEY not in caught.value.body


@contextlib.contextmanager
def _breaking_off() -> Iterator[str]:
    """A server that begins an answer in chunks and leaves before its end."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n4\r\nrows\r\n"

    def serve(listening: socket.socket) -> None:
        connection, _peer = listening.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(head)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), name="breaking-off")
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            thread.join(timeout=10)
            assert not thread.is_alive()


def test_a_download_that_breaks_off_before_its_end_is_no_whole_one(fetch: Fetching) -> None:
    with _breaking_off() as url, pytest.raises(TransportError, match=r"127\.0\.0\.1"):
        fetch(None, place=Place(url, url, KEY, 10.0))


def test_a_download_that_is_left_early_gives_its_connection_back(fetch: Fetching) -> None:
    closed: list[str] = []

    class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield CONTENT

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield CONTENT

        def close(self) -> None:
            closed.append("blocking")

        async def aclose(self) -> None:
            closed.append("awaited")

    def handler(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Body(), headers={"content-type": "text/csv"})

    if fetch.kind == "blocking":
        _leave_early(httpx.MockTransport(handler))
    else:
        asyncio.run(_leave_early_awaited(httpx.MockTransport(handler)))
    assert closed == [fetch.kind]


def _leave_early(transport: httpx.MockTransport) -> None:
    link = Link(PLACE, Budget(0, 0), transport=transport)
    with contextlib.closing(link), link.download(FILE) as download:
        assert next(download.chunks(10)) == CONTENT[:10]


async def _leave_early_awaited(transport: httpx.MockTransport) -> None:
    link = AsyncLink(PLACE, Budget(0, 0), transport=transport)
    async with link.download(FILE) as download:
        async for piece in download.chunks(10):
            assert piece == CONTENT[:10]
            break
    await link.aclose()


def test_a_stream_s_address_is_that_of_the_data_api_and_its_first_message_has_the_key() -> None:
    place = Place("https://api.example", "https://app.example", KEY, 10.0)
    link = Link(place, Budget(0, 0))
    url, hello = link.stream_target(Request("GET", "/v1/sources/a1/events/stream"))
    link.close()
    assert url == "wss://api.example/v1/sources/a1/events/stream"
    assert KEY in hello
    assert KEY not in url
    assert (link.base_url, link.host, link.timeout) == ("https://api.example", "api.example", 10.0)


def test_a_call_s_answer_may_be_read_by_its_headers() -> None:
    call = calls.Call(FILE, lambda answer: (answer.status, answer.headers["x-rows"], answer.body))

    def handler(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=KEY.encode(), headers={"X-Rows": "3", "content-type": "application/x-any"})

    link = Link(PLACE, Budget(0, 0), transport=httpx.MockTransport(handler))
    # A binary answer is left as it came: what looks like the key in it may be anything.
    assert link.ask(call) == (200, "3", KEY.encode())
    link.close()


@pytest.mark.parametrize("app", [True, False])
def test_a_closed_link_opens_nothing_any_more(app: bool) -> None:
    link = Link(Place(URL, "http://127.0.0.1:8", KEY, 10.0), Budget(3, 30.0))
    link.close()
    link.close()
    with pytest.raises(ConfigurationError, match="closed"), link.download(attrs.evolve(FILE, app=app)):
        pass


def test_an_awaited_client_of_a_loop_that_has_ended_says_so() -> None:
    with _breaking_off() as url:
        link = AsyncLink(Place(url, url, KEY, 10.0), Budget(0, 0))
        with pytest.raises(PlexusError):
            asyncio.run(link.ask(calls.fleet_health()))
        asyncio.run(link.aclose())
    with pytest.raises(ConfigurationError, match="closed"):
        asyncio.run(link.ask(calls.fleet_health()))

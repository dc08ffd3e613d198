"""What an export asks of a server, which here is one of the contract's and no gateway of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from plexus import AsyncPlexusAPI, PlexusAPI
from plexus.api.export import Exported
from plexus.domain.errors import ApiError, AuthenticationError

URL = "http://127.0.0.1:9"
KEY = "plx_canary_of_this_test_never_to_be_seen_anywhere"
FILE = b"source,metric,timestamp,value\r\na1,rpm,2026-05-01T10:00:00Z,7\r\n"
ASKED = {
    "sources": "a1",
    "metrics": ["rpm", "gain,left"],
    "start": "2026-05-01T10:00:00Z",
    "end": "2026-05-01T11:00:00Z",
}
Exporting = Callable[..., Exported]


@pytest.fixture
def server() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        yield router


def blocking(path: Path, **arguments: Any) -> Exported:
    with PlexusAPI(KEY, URL, sleep=lambda _s: None) as api:
        return api.export(path, **{**ASKED, **arguments})


def awaited(path: Path, **arguments: Any) -> Exported:
    async def no_wait(_s: float) -> None:
        pass

    async def run() -> Exported:
        async with AsyncPlexusAPI(KEY, URL, sleep=no_wait) as api:
            return await api.export(path, **{**ASKED, **arguments})

    return asyncio.run(run())


@pytest.fixture(params=[blocking, awaited], ids=["blocking", "awaited"])
def export(request: pytest.FixtureRequest) -> Exporting:
    found: Exporting = request.param
    return found


def answering(rows: int, *files: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    """Estimates, and one file after the other."""
    waiting = iter(files)

    def answer(request: httpx.Request) -> httpx.Response:
        if "estimate" in request.url.params:
            return httpx.Response(200, json={"rows": rows})
        return next(waiting)

    return answer


def test_a_small_export_is_one_estimate_and_one_file(
    export: Exporting, server: respx.MockRouter, tmp_path: Path
) -> None:
    route = server.get("/v1/export").mock(side_effect=answering(1, httpx.Response(200, content=FILE)))
    made = export(tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_bytes() == FILE
    assert (made.rows, made.metrics) == (1, ("gain,left", "rpm"))
    estimate, file = (call.request for call in route.calls)
    assert file.url.params.multi_items() == [
        ("sources", "a1"),
        ("metrics", "rpm"),
        ("metric", "gain,left"),
        ("start", "2026-05-01T10:00:00.000000Z"),
        ("end", "2026-05-01T11:00:00.000000Z"),
        ("resolution", "raw"),
        ("format", "csv"),
    ]
    assert estimate.url.params.multi_items() == [*file.url.params.multi_items(), ("estimate", "1")]
    assert file.headers["x-api-key"] == KEY
    assert file.headers["accept"] == "*/*"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_part_is_asked_for_again_after_what_may_pass(
    export: Exporting, server: respx.MockRouter, tmp_path: Path, status: int
) -> None:
    files = (httpx.Response(status), httpx.Response(200, content=FILE))
    server.get("/v1/export").mock(side_effect=answering(1, *files))
    assert export(tmp_path / "x.csv").rows == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(400, ApiError), (401, AuthenticationError), (403, ApiError), (500, ApiError)]
)
def test_what_would_fail_again_is_told_and_no_file_is_there(
    export: Exporting, server: respx.MockRouter, tmp_path: Path, status: int, kind: type[Exception]
) -> None:
    refusal = httpx.Response(status, json={"error": "so it is"}, headers={"x-request-id": "r-7"})
    server.get("/v1/export").mock(side_effect=answering(1, refusal))
    with pytest.raises(kind, match=r"so it is.*r-7"):
        export(tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_an_estimate_that_breaks_the_contract_is_an_error_and_leaves_nothing(
    export: Exporting, server: respx.MockRouter, tmp_path: Path
) -> None:
    server.get("/v1/export").respond(200, content=b"<html>log in here</html>")
    with pytest.raises(ApiError, match="captive portal"):
        export(tmp_path / "x.csv")
    assert list(tmp_path.iterdir()) == []


def test_the_key_is_in_nothing_that_is_kept(export: Exporting, server: respx.MockRouter, tmp_path: Path) -> None:
    server.get("/v1/export").mock(side_effect=answering(1, httpx.Response(500)))
    with pytest.raises(ApiError):
        export(tmp_path / "x.csv")
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    assert all(KEY.encode() not in path.read_bytes() for path in kept)

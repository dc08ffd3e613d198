"""The web application: a page, its script, and `/live`, the pictures of the fleet as server-sent events.

The key stays here: browsers get what the page shows, and nothing of how it was asked for. Whoever reaches the address
sees the fleet, so it listens on this machine only; put your sign-in in front before you let others in.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from litestar import Litestar, get
from litestar.connection import Request
from litestar.datastructures import ResponseHeader, State
from litestar.exceptions import NotFoundException
from litestar.response import Response, Stream

from plexus import AsyncPlexusAPI

from .fleet import Fleet

PAGE = Path(__file__).parent / "page"
TYPES = {"index.html": "text/html", "fleet.js": "text/javascript", "fleet.css": "text/css"}
FILES = {name: (PAGE / name).read_bytes() for name in TYPES}

NAMES = frozenset({"127.0.0.1", "localhost"})
"""What this server is called. A page of another site may have its own name point here, and is not answered."""

HEADERS = [
    # Should a device's text ever get into the page as markup, nothing of it runs.
    ResponseHeader(name="content-security-policy", value="default-src 'self'; frame-ancestors 'none'; base-uri 'none'"),
    ResponseHeader(name="x-content-type-options", value="nosniff"),
    ResponseHeader(name="referrer-policy", value="no-referrer"),
    ResponseHeader(name="cache-control", value="no-store"),
]


@get(["/", "/{name:str}"])
async def page(name: str = "index.html") -> Response[bytes]:
    """One of the page's files, and no other."""
    if name not in FILES:
        raise NotFoundException(f"there is no {name}")
    return Response(FILES[name], media_type=TYPES[name])


@get("/live")
async def live(state: State) -> Stream:
    """Pictures of the fleet until the browser goes or the server stops."""
    fleet: Fleet = state.fleet
    return Stream(_events(fleet), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


def only_by_its_name(request: Request[None, None, State]) -> Response[dict[str, str]] | None:
    """Refuse what was asked under another name than this server's."""
    if request.headers.get("host", "").partition(":")[0] in NAMES:
        return None
    return Response({"error": "ask for this server as http://127.0.0.1 with its port"}, status_code=421)


def create_app(connect: Callable[[], AsyncPlexusAPI] = AsyncPlexusAPI) -> Litestar:
    """The application. `connect` gives it its client when it starts; the client is closed when it stops."""

    @asynccontextmanager
    async def following(app: Litestar) -> AsyncIterator[None]:
        async with connect() as api, Fleet(api) as fleet:
            app.state.fleet = fleet
            yield

    return Litestar(
        [page, live],
        lifespan=[following],
        before_request=only_by_its_name,
        response_headers=HEADERS,
        openapi_config=None,
        logging_config=None,
    )


async def _events(fleet: Fleet) -> AsyncIterator[str]:
    async for picture in fleet.pictures():
        # JSON has no line break of its own, so that one line is one event; a comment is a sign of life.
        yield ": still here\n\n" if picture is None else f"data: {json.dumps(picture, allow_nan=False)}\n\n"

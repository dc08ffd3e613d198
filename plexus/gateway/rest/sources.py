"""Sources: which there are, and whether they are online."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import attrs
import msgspec
from litestar import Request, Response, get, post, route
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Redirect

from plexus.domain.errors import QueryError
from plexus.domain.names import GATEWAY_SOURCE_ID_RULE, MAX_SOURCE_ID_BYTES, is_gateway_source_id
from plexus.domain.source import Source
from plexus.gateway.asgi import HttpError
from plexus.gateway.claims import make_room
from plexus.gateway.rest.answers import Sources
from plexus.gateway.rest.caller import ANY_KEY, READ, WRITE, Asking
from plexus.gateway.rest.faults import REFUSALS, TAKEN
from plexus.gateway.rest.params import SOURCE_ID
from plexus.protocol import jsontext

_STATUSES = ("online", "offline")

Status = Annotated[
    str | None, QueryParameter(description="Only these: online or offline.", schema_extra={"enum": list(_STATUSES)})
]


class NewSource(msgspec.Struct):
    """A source to register before it sends."""

    slug: Annotated[str, msgspec.Meta(extra_json_schema={"extra": SOURCE_ID})]
    source_type: str | None = None
    device_type: str | None = None
    metadata: dict[str, Any] | None = None


@attrs.frozen
class RegisteredSource:
    """A source that is registered now; `slug` and `source_id` are its name."""

    source_id: str
    slug: str


@get("/v1/sources", opt=READ, responses=REFUSALS)
async def list_sources(caller: Asking, status: Status = None) -> Sources:
    """All sources, with when each was last heard of."""
    if status is not None and status not in _STATUSES:
        raise QueryError(f"status={status[:64]!r} is not known; use {' or '.join(_STATUSES)}, or leave it out")
    found = await caller.sources()
    return Sources([source for source in found if status is None or source.online == (status == "online")])


@get("/v1/sources/{source_id:str}", opt=READ, responses=REFUSALS)
async def get_source(caller: Asking, source_id: FromPath[str]) -> Source:
    """One source."""
    return await caller.source(source_id)


@post("/api/sources", opt=WRITE, status_code=201, responses={**REFUSALS, 409: TAKEN})
async def register_source(caller: Asking, data: JSONBody[NewSource]) -> RegisteredSource:
    """Register a source by name; 409 when it is registered already, 400 when it is one source too many."""
    if not is_gateway_source_id(data.slug):
        raise QueryError(f"slug must match {GATEWAY_SOURCE_ID_RULE} and be at most {MAX_SOURCE_ID_BYTES} bytes")
    if not caller.sees(data.slug):
        raise HttpError(403, f"this key is for the source {caller.key.source_id!r} only")
    kept = {"source_type": data.source_type, "device_type": data.device_type, "metadata": data.metadata}
    await make_room(caller.core, caller.org, data.slug)
    if not await caller.ask(caller.core.registry.register, caller.org, data.slug, jsontext.dumps(kept)):
        raise HttpError(409, f"the source {data.slug!r} is registered already")
    await caller.note("source.register", data.slug)
    return RegisteredSource(data.slug, data.slug)


@route(
    ["/v1/devices", "/v1/devices/{rest:path}"],
    http_method=["GET", "POST", "PUT", "PATCH", "DELETE"],
    opt=ANY_KEY,
    include_in_schema=False,
)
async def devices_moved(request: Request[Any, Any, Any]) -> Response[Any]:
    """Sources were called devices once."""
    path = quote(request.scope["path"].replace("/v1/devices", "/v1/sources", 1))
    query = request.scope["query_string"].decode("latin-1")
    return Redirect(f"{path}?{query}" if query else path, status_code=307)

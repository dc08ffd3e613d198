"""Events of one source."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import FromPath, QueryParameter

from plexus.domain.errors import QueryError
from plexus.gateway.rest.answers import EventItem, event_item
from plexus.gateway.rest.caller import READ, Asking
from plexus.gateway.rest.faults import REFUSALS
from plexus.gateway.rest.params import InWindow

MAX_EVENTS = 10_000

Name = Annotated[str | None, QueryParameter(description="Only events of this name.")]
Limit = Annotated[int | None, QueryParameter(ge=1, le=MAX_EVENTS, description="So many of the oldest at most.")]
Tail = Annotated[int | None, QueryParameter(ge=1, le=MAX_EVENTS, description="So many of the newest at most.")]


@get(
    ["/v1/sources/{source_id:str}/events", "/v1/sources/{source_id:str}/logs"],
    opt=READ,
    responses=REFUSALS,
)
async def list_events(
    caller: Asking,
    asked: InWindow,
    source_id: FromPath[str],
    name: Name = None,
    limit: Limit = None,
    tail: Tail = None,
) -> list[EventItem]:
    """Events over a window, oldest first, at most 10,000."""
    if limit is not None and tail is not None:
        raise QueryError("give limit (the oldest so many) or tail (the newest so many), not both")
    await caller.source(source_id)
    found = await caller.ask(
        caller.core.store.events,
        caller.org,
        source_id,
        asked.window,
        name,
        tail or limit or MAX_EVENTS,
        newest=tail is not None,
    )
    return [event_item(event) for event in found]

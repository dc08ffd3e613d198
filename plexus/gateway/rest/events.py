"""Events of one source."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.params import FromPath, QueryParameter

from plexus.domain.errors import QueryError
from plexus.gateway.rest import arrow, body
from plexus.gateway.rest.answers import EventItem, event_item
from plexus.gateway.rest.arrow import InForm, document
from plexus.gateway.rest.caller import READ, Asking
from plexus.gateway.rest.faults import REFUSALS
from plexus.gateway.rest.params import InWindow, counting, whole_number
from plexus.ports.store import Question

MAX_EVENTS = 10_000

Name = Annotated[str | None, QueryParameter(description="Only events of this name.")]
Limit = Annotated[str | None, counting("So many of the oldest at most.", 1, MAX_EVENTS)]
Tail = Annotated[str | None, counting("So many of the newest at most.", 1, MAX_EVENTS)]


@get(
    ["/v1/sources/{source_id:str}/events", "/v1/sources/{source_id:str}/logs"],
    opt=READ,
    responses=REFUSALS,
)
async def list_events(
    caller: Asking,
    asked: InWindow,
    form: InForm,
    source_id: FromPath[str],
    name: Name = None,
    limit: Limit = None,
    tail: Tail = None,
) -> Response[list[EventItem]]:
    """Events over a window, oldest first, at most 10,000."""
    oldest_most = whole_number(limit, "limit", 1, MAX_EVENTS)
    newest_most = whole_number(tail, "tail", 1, MAX_EVENTS)
    if limit is not None and tail is not None:
        raise QueryError("give limit (the oldest so many) or tail (the newest so many), not both")
    await caller.source(source_id)
    store, newest = caller.core.store, tail is not None
    most = oldest_most or newest_most or MAX_EVENTS

    def ask(question: Question) -> bytes:
        found = store.events(caller.org, source_id, asked.window, name, most, newest=newest, question=question)
        return arrow.event_stream(found) if form == "arrow" else body.events_json(list(map(event_item, found)))

    return document(form, await caller.question(ask))

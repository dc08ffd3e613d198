"""Renaming and deleting sources, and removing wrong data, for keys with the scope admin; see `gateway.moving`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import attrs
import msgspec
from litestar import delete, patch
from litestar.params import FromPath, JSONBody, QueryParameter

from plexus.domain.errors import ConfigurationError, QueryError
from plexus.domain.names import GATEWAY_SOURCE_ID_RULE, MAX_SOURCE_ID_BYTES, is_gateway_source_id
from plexus.domain.point import MAX_ABS_MS
from plexus.domain.source import Source
from plexus.gateway import moving
from plexus.gateway.asgi import HttpError
from plexus.gateway.rest.caller import ADMIN, Asking, Caller
from plexus.gateway.rest.faults import REFUSALS, TAKEN
from plexus.gateway.rest.metrics import wanted_names
from plexus.gateway.rest.params import NAME, NAMES, SOURCE_ID, counting, whole_number
from plexus.gateway.rest.windows import NS_PER_MS, parse_instant
from plexus.ports.store import Question, Selection, Window

MAX_EVENTS = 100_000
"""Events that are counted before they are removed; where there are more, the window is to be narrower."""
MAX_POINTS = 2**53
_EVER = Window(-int(MAX_ABS_MS) * NS_PER_MS, int(MAX_ABS_MS) * NS_PER_MS + 1)
"""Everything that a point's time can be."""

_INSTANT = {"format": "date-time", "examples": ["2026-05-01T12:00:00Z"]}
Metrics = Annotated[
    list[str] | None, QueryParameter(description="Names of metrics and events, with commas.", schema_extra=NAMES)
]
Metric = Annotated[
    list[str] | None, QueryParameter(description="One name as it is; may be given more than once.", schema_extra=NAME)
]
Start = Annotated[
    str | None,
    QueryParameter(description="Only points from here on: ISO 8601 with an offset.", schema_extra=_INSTANT),
]
End = Annotated[
    str | None, QueryParameter(description="Only points before this: ISO 8601 with an offset.", schema_extra=_INSTANT)
]
DryRun = Annotated[
    str | None,
    QueryParameter(
        description="1: count what would be removed, and remove nothing.", schema_extra={"enum": ["0", "1"]}
    ),
]
Confirm = Annotated[
    str | None, counting("How many points are to be removed, as dry_run=1 counted them.", 0, MAX_POINTS)
]


class NewName(msgspec.Struct):
    """The name that a source is to have."""

    source_id: Annotated[str, msgspec.Meta(extra_json_schema={"extra": SOURCE_ID})]


@attrs.frozen
class DeletedSource:
    """The source that is gone."""

    source_id: str


@attrs.frozen
class Removal:
    """How many points, metrics and events together, were removed; or with `dry_run`, would be."""

    points: int
    dry_run: bool


@patch("/v1/sources/{source_id:str}", opt=ADMIN, responses={**REFUSALS, 409: TAKEN})
async def rename_source(caller: Asking, source_id: FromPath[str], data: JSONBody[NewName]) -> Source:
    """Give a source another name, with all that is kept of it; 409 when that name is known already.

    Its keys follow; a device that is connected is told to connect again, and gets the new name.
    """
    await caller.source(source_id)
    new = data.source_id
    if not is_gateway_source_id(new):
        raise QueryError(f"source_id must match {GATEWAY_SOURCE_ID_RULE} and be at most {MAX_SOURCE_ID_BYTES} bytes")
    if caller.key.source_id is not None:
        raise HttpError(403, f"this key is for the source {caller.key.source_id!r} only, and gives no other name")
    if new in await caller.known(None):
        raise HttpError(409, f"there is a source {new!r} already; choose another name, or delete that one first")
    await _move(caller, source_id, new)
    return await caller.source(new)


@delete("/v1/sources/{source_id:str}", opt=ADMIN, status_code=200, responses={**REFUSALS, 409: TAKEN})
async def delete_source(caller: Asking, source_id: FromPath[str]) -> DeletedSource:
    """Delete a source with its data, its runs and its commands. A device that goes on sending is a new source."""
    await caller.source(source_id)
    await _move(caller, source_id, None)
    return DeletedSource(source_id)


@delete("/v1/sources/{source_id:str}/data", opt=ADMIN, status_code=200, responses={**REFUSALS, 409: TAKEN})
async def remove_data(
    caller: Asking,
    source_id: FromPath[str],
    metrics: Metrics = None,
    metric: Metric = None,
    start: Start = None,
    end: End = None,
    dry_run: DryRun = None,
    confirm: Confirm = None,
) -> Removal:
    """Remove points for ever: those of the named metrics and events (all without a name) inside the window.

    Names or a window are required. Ask with dry_run=1 first, and then with confirm= the number that it answers; 409
    when there are more or fewer by then.
    """
    if dry_run not in (None, "0", "1"):
        raise QueryError("dry_run must be 0 or 1")
    confirmed = whole_number(confirm, "confirm", 0, MAX_POINTS)
    if dry_run != "1" and confirmed is None:
        raise QueryError("confirm is required: ask with dry_run=1 first, and confirm the number of points that it says")
    selection = _selection(source_id, wanted_names(metrics, metric), start, end)
    await caller.source(source_id)
    points = await caller.question(lambda question: _count(caller, source_id, selection, question))
    if dry_run == "1":
        return Removal(points, dry_run=True)
    if points != confirmed:
        raise HttpError(409, f"it would be {points} points and not {confirmed}; nothing is removed: confirm {points}")
    told = {"metrics": selection.metrics, "start": start, "end": end}

    async def remove() -> int:
        # Before it is done: what was removed cannot be looked at any more, who did it can.
        await caller.note("data.remove", source_id, points=points, **told)
        removed = await asyncio.to_thread(caller.core.store.remove, caller.org, selection)
        caller.core.judgements.forget(caller.org)
        caller.core.channels.let_go(caller.org, source_id)
        return removed

    return Removal(await caller.change(remove), dry_run=False)


async def _move(caller: Caller, source_id: str, new: str | None) -> None:
    try:
        await caller.change(lambda: moving.move(caller.core, caller.org, source_id, new, caller.key.key_id))
    except ConfigurationError as exc:  # somebody else was quicker
        raise HttpError(409, str(exc)) from exc


def _selection(source_id: str, names: list[str] | None, start: str | None, end: str | None) -> Selection:
    if names is None and start is None and end is None:
        raise QueryError("say which points: name metrics, start or end; DELETE /v1/sources/{source_id} removes all")
    first = _EVER.start_ns if start is None else parse_instant(start, "start")
    last = _EVER.end_ns if end is None else parse_instant(end, "end")
    if first >= last:
        raise QueryError(f"start ({start}) must be before end ({end})")
    return Selection([source_id], names, Window(first, last))


def _count(caller: Caller, source_id: str, selection: Selection, question: Question) -> int:
    """Metrics and events; raises QueryError when there are too many events to count."""
    store, window = caller.core.store, selection.window or _EVER
    events = 0
    for name in selection.metrics or (None,):
        found = store.events(caller.org, source_id, window, name, MAX_EVENTS + 1, newest=False, question=question)
        events += len(found)
    if events > MAX_EVENTS:
        raise QueryError(f"there are more than {MAX_EVENTS} events in it; narrow the window, or name fewer metrics")
    return store.count(caller.org, selection, question=question) + events

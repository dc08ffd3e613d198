"""Runs: named stretches of time, announced by devices and kept beside their points.

Two bodies are taken by `POST /api/runs`. One with `run_id` is that of 0.5.2 and says that a run started or ended; its
source need not be known yet. One with `name` is that of 0.11.0 and opens a run under an id of the gateway's, which
`PATCH /api/runs/{id}` closes.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import attrs
import msgspec
from litestar import Request, get, patch, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import UNSET, UnsetType

from plexus.domain.errors import QueryError
from plexus.domain.names import GATEWAY_SOURCE_ID_RULE, is_gateway_source_id
from plexus.domain.point import MAX_ABS_MS, to_milliseconds
from plexus.domain.run import Criterion, Judgement, Run, RunStatus
from plexus.gateway.asgi import HttpError
from plexus.gateway.rest import judging
from plexus.gateway.rest.caller import READ, WRITE, Asking, Caller
from plexus.gateway.rest.faults import REFUSALS
from plexus.gateway.rest.params import written
from plexus.gateway.rest.settling import settled
from plexus.gateway.rest.windows import NS_PER_MS, format_instant, parse_instant

_STATUSES: Mapping[str, RunStatus] = {"running": "running", "completed": "completed", "aborted": "aborted"}

PATH = "/api/runs"
RunId = Annotated[str, PathParameter(description="The run's id, escaped as in any url: a / in it is %2F.")]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
StatusName = Annotated[
    str | None, QueryParameter(description="Only runs of this status.", schema_extra={"enum": list(_STATUSES)})
]
SourceName = Annotated[str | None, QueryParameter(description="Only runs of this source.")]


class CriterionItem(msgspec.Struct):
    """What every sample of a metric has to satisfy."""

    metric: Id
    operator: Literal[">", ">=", "<", "<=", "=", "!="]
    value: float
    label: str | None = None


class NewRun(msgspec.Struct):
    """A run to open (`name`), or one of which an older device says that it started or ended (`run_id`).

    `started_at` is ISO 8601 with an offset, `timestamp` is seconds or milliseconds since 1970; without them it is now.
    """

    name: Id | None = None
    run_id: Id | None = None
    source_id: str | None = None
    status: Literal["started", "ended"] | None = None
    timestamp: float | None = None
    started_at: str | None = None
    tags: dict[str, str] | None = None
    metadata: dict[str, Any] | None = None
    pass_criteria: list[CriterionItem] | None = None


class RunEnd(msgspec.Struct):
    """How and when a run ended; without `ended_at` (ISO 8601 with an offset) it is now, or when it ended already."""

    status: Literal["completed", "aborted"]
    ended_at: str | None = None


@attrs.frozen
class RunItem:
    """One run. `test_result` is there when it has ended and has criteria: how what was stored by now satisfies them."""

    id: str
    name: str
    source_id: str | None
    status: Literal["running", "completed", "aborted"]
    started_at: str
    ended_at: str | None
    tags: dict[str, str]
    metadata: dict[str, Any]
    pass_criteria: list[CriterionItem]
    test_result: Judgement | UnsetType = UNSET


@attrs.frozen
class OneRun:
    """One run."""

    run: RunItem


@attrs.frozen
class Runs:
    """Runs, newest start first."""

    runs: list[RunItem]


@post(PATH, opt=WRITE, status_code=200, responses=REFUSALS)
async def announce_run(caller: Asking, data: JSONBody[NewRun]) -> OneRun:
    """Open a run, or keep what an older device says of one."""
    if not caller.sees(data.source_id):
        raise HttpError(403, f"this key is for the source {caller.key.source_id!r} only")
    if data.run_id is not None:
        run = await _announced(caller, data, data.run_id)
    elif data.name is not None:
        run = await _opened(caller, data, data.name)
    else:
        raise QueryError("name is required (or run_id and status, as older devices send them)")
    await caller.ask(caller.core.registry.put_run, caller.org, run)
    return OneRun(_item(run))


@patch(f"{PATH}/{{run_id:path}}", opt=WRITE, responses=REFUSALS)
async def close_run(
    caller: Asking,
    request: Request[Any, Any, Any],
    run_id: RunId,
    data: JSONBody[RunEnd],
) -> OneRun:
    """Close a run, and judge it where it has criteria."""
    run_id = written(request, f"{PATH}/")
    kept = await caller.ask(caller.core.registry.run, caller.org, run_id)
    if kept is None or not caller.sees(kept.source_id):
        raise HttpError(404, f"NOT_FOUND: there is no run {run_id[:256]!r}; GET /api/runs lists all")
    run = _ended(kept, data.status, _end_ms(caller, kept, data.ended_at))
    await caller.ask(caller.core.registry.put_run, caller.org, run)
    if run.pass_criteria:
        await settled(caller.core, caller.org, run.source_id)
    return OneRun(_item(run, await judging.judgement(caller, run)))


@get(f"{PATH}/{{run_id:path}}", opt=READ, responses=REFUSALS)
async def get_run(caller: Asking, request: Request[Any, Any, Any], run_id: RunId) -> OneRun:
    """One run; one that has ended and has criteria is judged on what is stored now."""
    run_id = written(request, f"{PATH}/")
    run = await caller.ask(caller.core.registry.run, caller.org, run_id)
    if run is None or not caller.sees(run.source_id):
        raise HttpError(404, f"NOT_FOUND: there is no run {run_id[:256]!r}; GET /api/runs lists all")
    return OneRun(_item(run, await judging.judgement(caller, run)))


@get(PATH, opt=READ, responses=REFUSALS)
async def list_runs(caller: Asking, source_id: SourceName = None, status: StatusName = None) -> Runs:
    """Runs, newest start first. Of those that have ended and have criteria, the newest are judged on what is stored
    now; the others are shown as they were judged last, or without a `test_result`: ask for one of them by its id.
    """
    if status is not None and status not in _STATUSES:
        raise QueryError(f"status={status[:64]!r} is not known; use one of {', '.join(_STATUSES)}, or leave it out")
    wanted = None if status is None else _STATUSES[status]
    found = await caller.ask(caller.core.registry.runs, caller.org, source_id, wanted)
    seen = [run for run in found if caller.sees(run.source_id)]
    judged = await judging.judgements(caller, seen)
    return Runs([_item(run, judged.get(run.run_id)) for run in seen])


async def _announced(caller: Caller, data: NewRun, run_id: str) -> Run:
    """The run as 0.5.2 tells of it. A start under an id that is known begins that run anew."""
    if data.status is None:
        raise QueryError("status must be 'started' or 'ended' beside run_id")
    if data.source_id is not None and not is_gateway_source_id(data.source_id):
        raise QueryError(f"source_id must match {GATEWAY_SOURCE_ID_RULE}")
    at_ms = _now_ms(caller) if data.timestamp is None else to_milliseconds(data.timestamp)
    if not abs(at_ms) <= MAX_ABS_MS:
        raise QueryError("timestamp must be seconds or milliseconds since 1970, between the years 1678 and 2261")
    kept = await caller.ask(caller.core.registry.run, caller.org, run_id)
    if kept is not None and not caller.sees(kept.source_id):
        raise HttpError(403, f"the run {run_id!r} is of another source than this key's")
    if kept is not None and data.status == "ended":
        if data.timestamp is None and kept.ended_ms is not None:
            return kept
        return _ended(kept, "completed", at_ms)
    if kept is not None and kept.started_ms == at_ms:
        # The start was told twice, the second time perhaps after the end.
        return kept
    run = Run(run_id, run_id, data.source_id, "running", at_ms, tags=data.tags or {}, metadata=data.metadata or {})
    return _ended(run, "completed", at_ms) if data.status == "ended" else run


async def _opened(caller: Caller, data: NewRun, name: str) -> Run:
    """A new run as 0.11.0 asks for it."""
    if data.source_id is not None:
        await caller.source(data.source_id)
    return Run(
        run_id=secrets.token_hex(16),
        name=name,
        source_id=data.source_id,
        status="running",
        started_ms=_time_ms(caller, data.started_at, "started_at"),
        tags=data.tags or {},
        metadata=data.metadata or {},
        pass_criteria=tuple(
            Criterion(item.metric, item.operator, item.value, item.label or "") for item in data.pass_criteria or ()
        ),
    )


def _ended(run: Run, status: RunStatus, ended_ms: float) -> Run:
    if ended_ms < run.started_ms:
        raise QueryError(
            f"the run would end at {format_instant(ended_ms)}, before its start at {format_instant(run.started_ms)}"
        )
    return attrs.evolve(run, status=status, ended_ms=ended_ms)


def _end_ms(caller: Caller, kept: Run, text: str | None) -> float:
    """When a run ends: a client that closes it again, since it did not hear the answer, moves nothing."""
    return kept.ended_ms if text is None and kept.ended_ms is not None else _time_ms(caller, text, "ended_at")


def _time_ms(caller: Caller, text: str | None, field: str) -> float:
    return _now_ms(caller) if text is None else parse_instant(text, field) / NS_PER_MS


def _now_ms(caller: Caller) -> float:
    return caller.core.wall_ns() / NS_PER_MS


def _item(run: Run, result: Judgement | None = None) -> RunItem:
    return RunItem(
        id=run.run_id,
        name=run.name,
        source_id=run.source_id,
        status=run.status,
        started_at=format_instant(run.started_ms),
        ended_at=None if run.ended_ms is None else format_instant(run.ended_ms),
        tags=dict(run.tags),
        metadata=dict(run.metadata),
        pass_criteria=[
            CriterionItem(criterion.metric, criterion.operator, criterion.value, criterion.label)  # type: ignore[arg-type]  # checked when it came
            for criterion in run.pass_criteria
        ],
        test_result=UNSET if result is None else result,
    )

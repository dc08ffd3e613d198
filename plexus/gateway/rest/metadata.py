"""What is known of a source's metrics beside their values: unit, description, expected range."""

from __future__ import annotations

import math
from typing import Annotated, Any

import attrs
import msgspec
from litestar import Request, delete, put
from litestar.params import FromPath, JSONBody, PathParameter

from plexus.domain.errors import QueryError
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.names import metric_fault
from plexus.gateway.asgi import HttpError
from plexus.gateway.rest.caller import WRITE, Asking, Caller
from plexus.gateway.rest.faults import REFUSALS, TAKEN
from plexus.gateway.rest.params import written

PATH = "/v1/sources/{source_id:str}/metrics"
ODD_PATHS = (f"{PATH}/latest", f"{PATH}/query")
"""Metrics may be called so too: routes of their own, since those of GET shadow them."""
MAX_UNIT_CHARS = 64
MAX_DESCRIPTION_CHARS = 1_024

Name = Annotated[str, PathParameter(description="The metric's name, escaped as in any url: a / in it is %2F.")]
Bound = Annotated[float, msgspec.Meta(ge=-1.7e308, le=1.7e308)]


class NewMetricInfo(msgspec.Struct):
    """What is known of a metric. `low` and `high` are the least and the greatest value expected, both included."""

    unit: Annotated[str, msgspec.Meta(max_length=MAX_UNIT_CHARS)] | None = None
    description: Annotated[str, msgspec.Meta(max_length=MAX_DESCRIPTION_CHARS)] | None = None
    low: Bound | None = None
    high: Bound | None = None


@attrs.frozen
class MetricForgotten:
    """Nothing is known of the metric any more; its values stay."""

    name: str


@put(f"{PATH}/{{name:path}}", opt=WRITE, responses={**REFUSALS, 409: TAKEN})
async def put_metric(
    caller: Asking,
    request: Request[Any, Any, Any],
    source_id: FromPath[str],
    name: Name,  # noqa: ARG001 - for the document: the url has it as it was written
    data: JSONBody[NewMetricInfo],
) -> MetricInfo:
    """Keep what is known of a metric, in place of what was. It need not have a value yet."""
    return await _put(caller, source_id, _name(request, source_id), data)


@put(list(ODD_PATHS), opt=WRITE, include_in_schema=False)
async def put_odd_metric(
    caller: Asking, request: Request[Any, Any, Any], source_id: FromPath[str], data: JSONBody[NewMetricInfo]
) -> MetricInfo:
    """The same for a metric whose name is that of a route."""
    return await _put(caller, source_id, _name(request, source_id), data)


@delete(f"{PATH}/{{name:path}}", opt=WRITE, status_code=200, responses=REFUSALS)
async def forget_metric(
    caller: Asking,
    request: Request[Any, Any, Any],
    source_id: FromPath[str],
    name: Name,  # noqa: ARG001 - for the document: the url has it as it was written
) -> MetricForgotten:
    """Let go of what is known of a metric; its values stay. 404 when nothing is known."""
    return await _forget(caller, source_id, _name(request, source_id))


@delete(list(ODD_PATHS), opt=WRITE, status_code=200, include_in_schema=False)
async def forget_odd_metric(
    caller: Asking, request: Request[Any, Any, Any], source_id: FromPath[str]
) -> MetricForgotten:
    """The same for a metric whose name is that of a route."""
    return await _forget(caller, source_id, _name(request, source_id))


async def _put(caller: Caller, source_id: str, name: str, data: NewMetricInfo) -> MetricInfo:
    await caller.source(source_id)
    if (fault := metric_fault(name)) is not None:
        raise QueryError(fault)
    if (-math.inf if data.low is None else data.low) > (math.inf if data.high is None else data.high):
        raise QueryError(f"low ({data.low}) must not be above high ({data.high})")
    info = MetricInfo(name, data.unit, data.description, data.low, data.high)
    metadata, limit = caller.core.metadata, caller.core.limits.source_metrics
    known = {each.name for each in metadata.of(caller.org, source_id)}
    if name not in known and len(known) >= limit:
        raise HttpError(409, f"{limit} metrics of {source_id} are described already; forget some of them first")
    await caller.ask(metadata.put, caller.org, source_id, info)
    await caller.note("metric.put", source_id, **attrs.asdict(info))
    return info


async def _forget(caller: Caller, source_id: str, name: str) -> MetricForgotten:
    await caller.source(source_id)
    if not await caller.ask(caller.core.metadata.remove, caller.org, source_id, name):
        raise HttpError(404, f"NOT_FOUND: nothing is known of the metric {name[:256]!r}")
    await caller.note("metric.forget", source_id, name=name)
    return MetricForgotten(name)


def _name(request: Request[Any, Any, Any], source_id: str) -> str:
    return written(request, f"/v1/sources/{source_id}/metrics/")

"""The fleet: all sources together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter

from plexus.domain.errors import QueryError
from plexus.domain.series import INTERVAL_MS, BucketSeries, FleetMetrics, FleetSeries, Interval
from plexus.domain.source import FleetHealth, Source
from plexus.gateway.rest import answers, arrow, body
from plexus.gateway.rest.answers import wire_times
from plexus.gateway.rest.arrow import InForm, document
from plexus.gateway.rest.caller import READ, Asking, Caller
from plexus.gateway.rest.faults import REFUSALS
from plexus.gateway.rest.params import InWindow
from plexus.gateway.rest.windows import bucket_count, pick_fleet_interval
from plexus.ports.store import Question, Window

Metric = Annotated[str, QueryParameter(min_length=1, description="The metric's name.")]
IntervalName = Annotated[
    str | None,
    QueryParameter(
        description="The length of a bucket. Without it: about 1,000 buckets, and 1m or longer.",
        schema_extra={"enum": list(INTERVAL_MS)},
    ),
]


@get("/v1/fleet/health", opt=READ, responses=REFUSALS)
async def fleet_health(caller: Asking) -> FleetHealth:
    """How many sources there are and how many are online."""
    found = await caller.sources()
    return FleetHealth(sources_total=len(found), sources_online=sum(source.online for source in found))


@get("/v1/fleet/metrics", opt=READ, responses=REFUSALS)
async def fleet_metrics(
    caller: Asking, asked: InWindow, form: InForm, metric: Metric, interval: IntervalName = None
) -> Response[answers.FleetMetrics]:
    """One metric over every source that has values of it in the window, in buckets.

    `truncated`: the answer is full, and sources further on in the alphabet are not in it.
    """
    chosen = pick_fleet_interval(asked, interval)
    known = {source.source_id: source for source in await caller.sources()}
    limit = caller.core.limits.answer_rows
    size = bucket_count(asked.window, INTERVAL_MS[chosen])
    if size > limit:
        raise QueryError(
            f"the window has {size} buckets of {chosen}, one answer holds {limit}: narrow it or take a longer interval"
        )

    def ask(question: Question) -> bytes:
        parts, truncated = _parts(caller, known, metric, asked.window, chosen, question)
        answer = FleetMetrics(
            metric=metric,
            interval=chosen,
            sources_online=sum(source.online for source in known.values()),
            sources_w_metric=len(parts),
            sources=parts,
            truncated=truncated,
        )
        return arrow.fleet_stream(answer) if form == "arrow" else body.fleet_json(answer)

    return document(form, await caller.question(ask))


def _parts(
    caller: Caller, known: Mapping[str, Source], metric: str, window: Window, interval: Interval, question: Question
) -> tuple[list[FleetSeries], bool]:
    """Each source's part by name, and whether the rest had no room.

    Asked at once where all sources fit however full they are, else so many at a time as fit for certain.
    """
    limit, length = caller.core.limits.answer_rows, INTERVAL_MS[interval]
    names = sorted(known)
    step = max(1, limit // bucket_count(window, length))
    everybody = caller.key.source_id is None and step >= len(names)
    parts: list[FleetSeries] = []
    room = limit
    for start in range(0, len(names), step):
        some = names[start : start + step]
        only = None if everybody else some
        found = caller.core.store.buckets(caller.org, only, [metric], window, length, question=question)
        for source_id in some:
            series = found.get(source_id, {}).get(metric, BucketSeries())
            room -= len(series)
            if room < 0:
                return parts, True
            if len(series):
                parts.append(_part(known[source_id], series))
    return parts, False


def _part(source: Source, series: BucketSeries) -> FleetSeries:
    return FleetSeries(
        source_id=source.source_id,
        online=source.online,
        timestamp_ms=wire_times(series.timestamp_ms),
        avg=series.avg,
        min=series.min,
        max=series.max,
        count=series.count,
    )

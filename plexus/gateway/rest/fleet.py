"""The fleet: all sources together."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from plexus.domain.series import INTERVAL_MS, FleetMetrics, FleetSeries
from plexus.domain.source import FleetHealth
from plexus.gateway.rest.answers import wire_ms
from plexus.gateway.rest.caller import READ, Asking
from plexus.gateway.rest.faults import REFUSALS
from plexus.gateway.rest.params import InWindow
from plexus.gateway.rest.windows import pick_fleet_interval

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
async def fleet_metrics(caller: Asking, asked: InWindow, metric: Metric, interval: IntervalName = None) -> FleetMetrics:
    """One metric over every source that has values of it in the window, in buckets."""
    chosen = pick_fleet_interval(asked, interval)
    known = {source.source_id: source for source in await caller.sources()}
    only = None if caller.key.source_id is None else [caller.key.source_id]
    found = await caller.ask(caller.core.store.buckets, caller.org, only, [metric], asked.window, INTERVAL_MS[chosen])
    parts = [
        FleetSeries(
            source_id=source_id,
            online=source_id in known and known[source_id].online,
            timestamp_ms=[wire_ms(ms) for ms in by_metric[metric].timestamp_ms],
            avg=by_metric[metric].avg,
            min=by_metric[metric].min,
            max=by_metric[metric].max,
            count=by_metric[metric].count,
        )
        for source_id, by_metric in sorted(found.items())
        if metric in by_metric and len(by_metric[metric])
    ]
    return FleetMetrics(
        metric=metric,
        interval=chosen,
        sources_online=sum(source.online for source in known.values()),
        sources_w_metric=len(parts),
        sources=parts,
    )

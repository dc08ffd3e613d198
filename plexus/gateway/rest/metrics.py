"""Metrics of one source: names, newest values, values over a window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import get
from litestar.params import FromPath, QueryParameter

from plexus.domain.errors import QueryError
from plexus.domain.series import INTERVAL_MS, MAX_RAW_ROWS, BucketSeries, Interval, Series
from plexus.gateway.rest import answers
from plexus.gateway.rest.caller import READ, Asking, Caller
from plexus.gateway.rest.faults import REFUSALS
from plexus.gateway.rest.params import InWindow
from plexus.gateway.rest.windows import pick_interval
from plexus.ports.store import Window

Metrics = Annotated[
    list[str] | None,
    QueryParameter(
        description="Names with commas between them; may be given more than once. Without any name: all metrics."
    ),
]
Metric = Annotated[
    list[str] | None,
    QueryParameter(description="One name as it is, commas and all; may be given more than once, and beside metrics."),
]
IntervalName = Annotated[
    str | None,
    QueryParameter(
        description="Raw values or the length of a bucket. Without it: raw for less than 10 minutes, else about 1,000 "
        "buckets.",
        schema_extra={"enum": ["raw", *INTERVAL_MS]},
    ),
]


@get("/v1/sources/{source_id:str}/metrics", opt=READ, responses=REFUSALS)
async def metric_names(caller: Asking, source_id: FromPath[str]) -> list[str]:
    """The names of a source's metrics, sorted."""
    await caller.source(source_id)
    return await caller.ask(caller.core.store.names, caller.org, source_id)


@get("/v1/sources/{source_id:str}/metrics/latest", opt=READ, responses=REFUSALS)
async def latest_values(caller: Asking, source_id: FromPath[str]) -> answers.Latest:
    """The newest value of each metric."""
    await caller.source(source_id)
    newest = await caller.ask(caller.core.store.latest, caller.org, source_id)
    return answers.latest({name: value for name, (_t_ns, value) in newest.items()})


@get("/v1/sources/{source_id:str}/metrics/query", opt=READ, responses=REFUSALS)
async def query_metrics(
    caller: Asking,
    asked: InWindow,
    source_id: FromPath[str],
    metrics: Metrics = None,
    metric: Metric = None,
    interval: IntervalName = None,
) -> answers.Query:
    """Values over a window, raw or in buckets. Every metric that is asked for by name is in the answer."""
    names = wanted_names(metrics, metric)
    chosen, auto = pick_interval(asked, interval)
    await caller.source(source_id)
    if chosen == "raw":
        columns, truncated = await _raw(caller, source_id, names, asked.window)
    else:
        columns, truncated = await _buckets(caller, source_id, names, asked.window, chosen), False
    return answers.Query(interval=chosen, auto_downsampled=auto, series=columns, truncated=truncated)


def wanted_names(metrics: Sequence[str] | None, metric: Sequence[str] | None) -> list[str] | None:
    """The metrics that are asked for, each once, None for all; raises QueryError for a name that is empty."""
    if metrics is None and metric is None:
        return None
    names = [name for part in metrics or () for name in part.split(",")] + list(metric or ())
    if not all(names):
        raise QueryError("metrics has an empty name; write metrics=a,b or leave it out for all of them")
    return list(dict.fromkeys(names))


async def _raw(
    caller: Caller, source_id: str, names: list[str] | None, window: Window
) -> tuple[dict[str, answers.RawColumns | answers.BucketColumns], bool]:
    def question() -> tuple[dict[str, answers.RawColumns | answers.BucketColumns], bool]:
        found = caller.core.store.raw(caller.org, source_id, names, window, MAX_RAW_ROWS)
        asked = found.series if names is None else {name: found.series.get(name, Series()) for name in names}
        return {name: answers.raw_columns(series) for name, series in asked.items()}, found.truncated

    return await caller.ask(question)


async def _buckets(
    caller: Caller, source_id: str, names: list[str] | None, window: Window, interval: Interval
) -> dict[str, answers.RawColumns | answers.BucketColumns]:
    def question() -> dict[str, answers.RawColumns | answers.BucketColumns]:
        store, length = caller.core.store, INTERVAL_MS[interval]
        found = store.buckets(caller.org, [source_id], names, window, length).get(source_id, {})
        asked = found if names is None else {name: found.get(name, BucketSeries()) for name in names}
        return {name: answers.bucket_columns(series) for name, series in asked.items()}

    return await caller.ask(question)

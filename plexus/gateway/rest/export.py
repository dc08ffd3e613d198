"""`GET /v1/export`: any amount of data as a file, made while it is sent (see download)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Annotated, Literal

import attrs
from litestar import Response, get
from litestar.params import QueryParameter

from plexus.domain.errors import QueryError
from plexus.domain.series import INTERVAL_MS
from plexus.gateway.core import Core
from plexus.gateway.rest import csvfile, parquetfile
from plexus.gateway.rest.caller import READ, Asking
from plexus.gateway.rest.download import Download, Sending
from plexus.gateway.rest.exportrows import Order, Writer, chunks, rows_of
from plexus.gateway.rest.faults import REFUSALS
from plexus.gateway.rest.metrics import Metric, Metrics, wanted_names
from plexus.gateway.rest.params import NAME, NAMES, InWindow
from plexus.ports.store import Question, Window

Sources = Annotated[
    list[str] | None,
    QueryParameter(
        description="Whose data: names with commas between them, once or more often. Without any: all sources.",
        schema_extra=NAMES,
    ),
]
Source = Annotated[
    list[str] | None,
    QueryParameter(
        description="One source; may be given more than once, instead of sources or beside it.", schema_extra=NAME
    ),
]
Resolution = Annotated[
    str | None,
    QueryParameter(
        description="Values as they are (raw, which is the default) or the length of a bucket.",
        schema_extra={"enum": ["raw", *INTERVAL_MS]},
    ),
]
Format = Annotated[
    str | None, QueryParameter(description="csv (the default) or parquet.", schema_extra={"enum": ["csv", "parquet"]})
]
Estimate = Annotated[
    str | None,
    QueryParameter(
        description="1: no file, only how many rows it would have (for buckets: at most).",
        schema_extra={"enum": ["0", "1"]},
    ),
]

FileFormat = Literal["csv", "parquet"]
_FORMATS: Mapping[FileFormat, tuple[str, Callable[[bool], Writer]]] = {
    "csv": (f"{csvfile.MEDIA_TYPE}; charset=utf-8", lambda raw: csvfile.CsvWriter(raw=raw)),
    "parquet": (parquetfile.MEDIA_TYPE, lambda raw: parquetfile.ParquetFile(raw=raw)),
}
_unsafe = re.compile(r"[^a-z0-9._-]+")


@attrs.frozen
class Estimated:
    """How many rows an export would have; for buckets at most so many."""

    rows: int


@get("/v1/export", opt=READ, responses=REFUSALS)
async def export(
    caller: Asking,
    asked: InWindow,
    sources: Sources = None,
    source: Source = None,
    metrics: Metrics = None,
    metric: Metric = None,
    resolution: Resolution = None,
    format: Format = None,  # noqa: A002 - the contract's name
    estimate: Estimate = None,
) -> Response[Estimated]:
    """Data of several sources over a window as a file, ascending by source, metric and time."""
    file_format, only_estimate = _format(format), _flag(estimate)
    bucket_ms = _bucket_ms(resolution)
    source_ids = await caller.known(wanted_names(sources, source))
    order = Order(caller.org, source_ids, wanted_names(metrics, metric), asked.window, bucket_ms)
    if only_estimate:
        rows = await caller.question(lambda question: _estimate(caller.core, order, question))
        return Response(Estimated(rows))
    media_type, make_writer = _FORMATS[file_format]
    writer = make_writer(bucket_ms is None)
    name = file_name(order.source_ids, asked.window, file_format)
    question = Question()
    parts = chunks(caller.core.store, order, writer, question)
    return Download(Sending(caller.exports, caller.org, parts, question), media_type, name)


def _estimate(core: Core, order: Order, question: Question) -> int:
    return rows_of(core.store, order, question)


def _bucket_ms(resolution: str | None) -> int | None:
    if resolution in (None, "raw"):
        return None
    if resolution not in INTERVAL_MS:
        raise QueryError(f"resolution={resolution[:64]!r} is not known; use one of raw, {', '.join(INTERVAL_MS)}")
    return INTERVAL_MS[resolution]


def _format(name: str | None) -> FileFormat:
    if name in (None, "csv"):
        return "csv"
    if name == "parquet":
        return "parquet"
    raise QueryError(f"format={name[:64]!r} is not known; use csv or parquet")


def _flag(text: str | None) -> bool:
    if text not in (None, "0", "1"):
        raise QueryError(f"estimate={text[:64]!r} is not known; write estimate=1 or leave it out")
    return text == "1"


def file_name(source_ids: Sequence[str], window: Window, ending: str) -> str:
    """A name that every system takes: what the data is of, and from when to when."""
    of = source_ids[0] if len(source_ids) == 1 else f"{len(source_ids)}-sources"
    return f"plexus-{_unsafe.sub('-', of.lower())[:64]}-{_stamp(window.start_ns)}-{_stamp(window.end_ns - 1)}.{ending}"


def _stamp(t_ns: int) -> str:
    return datetime.fromtimestamp(t_ns // 1_000_000_000, tz=timezone.utc).strftime("%Y%m%dT%H%M%SZ")

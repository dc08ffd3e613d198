"""Metrics of one source: names, newest values, values over a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, TypeVar, Union

import attrs
from litestar import Response, get
from litestar.params import FromPath, QueryParameter

from plexus.domain.errors import QueryError
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.series import INTERVAL_MS, MAX_RAW_ROWS, BucketSeries, Interval, Series
from plexus.gateway.rest import answers, arrow, body
from plexus.gateway.rest.arrow import Form, InForm, document
from plexus.gateway.rest.caller import READ, Asking
from plexus.gateway.rest.faults import REFUSALS
from plexus.gateway.rest.params import NAME, NAMES, InWindow, counting, whole_number
from plexus.gateway.rest.windows import fit_interval, pick_interval
from plexus.ports.store import Question, Store, Window

T = TypeVar("T")

MAX_LIMIT_HEADER = "x-plexus-max-limit"
MOST_ROWS = 1_000_000_000
Columns = dict[str, Union[answers.RawColumns, answers.BucketColumns]]

Metrics = Annotated[
    list[str] | None,
    QueryParameter(
        description="Names with commas between them; may be given more than once. Without any name: all metrics.",
        schema_extra=NAMES,
    ),
]
Metric = Annotated[
    list[str] | None,
    QueryParameter(
        description="One name as it is, commas and all; may be given more than once, and beside metrics.",
        schema_extra=NAME,
    ),
]
Detail = Annotated[
    str | None,
    QueryParameter(description="1: unit, description and range of each.", schema_extra={"enum": ["0", "1"]}),
]
IntervalName = Annotated[
    str | None,
    QueryParameter(
        description="Raw values or the length of a bucket. Without it: raw for less than 10 minutes, else about 1,000 "
        "buckets.",
        schema_extra={"enum": ["raw", *INTERVAL_MS]},
    ),
]


Limit = Annotated[
    str | None,
    counting(
        "The most rows of a raw answer; 10,000 without it. The header x-plexus-max-limit of an answer says up to how "
        "many this gateway gives.",
        1,
        MOST_ROWS,
    ),
]


@get("/v1/sources/{source_id:str}/metrics", opt=READ, responses=REFUSALS)
async def metric_names(caller: Asking, source_id: FromPath[str], detail: Detail = None) -> list[str | MetricInfo]:
    """The names of a source's metrics, sorted; with detail=1 what is known of each, also of one without a value yet."""
    if detail not in (None, "0", "1"):
        raise QueryError("detail must be 0 or 1")
    await caller.source(source_id)
    names = await caller.ask(caller.core.store.names, caller.org, source_id)
    if detail != "1":
        return [*names]
    known = {info.name: info for info in caller.core.metadata.of(caller.org, source_id)}
    return [known.get(name) or MetricInfo(name) for name in sorted({*names, *known})]


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
    form: InForm,
    source_id: FromPath[str],
    metrics: Metrics = None,
    metric: Metric = None,
    interval: IntervalName = None,
    limit: Limit = None,
) -> Response[answers.Query]:
    """Values over a window, raw or in buckets. Every metric that is asked for by name is in the answer."""
    names = wanted_names(metrics, metric)
    chosen, auto = pick_interval(asked, interval)
    most = caller.core.limits.answer_rows
    rows = min(most, whole_number(limit, "limit", 1, MOST_ROWS) or MAX_RAW_ROWS)
    await caller.source(source_id)
    subject = Subject(caller.core.store, caller.org, source_id, names)
    if chosen == "raw":
        found = await caller.question(lambda question: _raw(subject, asked.window, rows, form, question))
        return document(form, found, {MAX_LIMIT_HEADER: str(most)})

    def ask(question: Question) -> bytes:
        fitting = fit_interval(asked, chosen, subject.count(), most, auto=auto)
        return _buckets(subject, asked.window, fitting, auto, form, question)

    return document(form, await caller.question(ask))


@attrs.frozen
class Subject:
    """Whose metrics are asked for; `names` None: all of them."""

    store: Store
    org: str
    source_id: str
    names: Sequence[str] | None

    def count(self) -> int:
        """How many metrics these are."""
        return len(self.store.names(self.org, self.source_id) if self.names is None else self.names)

    def ordered(self, found: Mapping[str, T], nothing: T) -> Mapping[str, T]:
        """What was found, with `nothing` for a name that was asked for and has no value."""
        return found if self.names is None else {name: found.get(name, nothing) for name in self.names}


def wanted_names(metrics: Sequence[str] | None, metric: Sequence[str] | None) -> list[str] | None:
    """The metrics that are asked for, each once, None for all; raises QueryError for a name that is empty."""
    if metrics is None and metric is None:
        return None
    names = [name for part in metrics or () for name in part.split(",")] + list(metric or ())
    if not all(names):
        raise QueryError("the list has an empty name; write names as a,b or leave the list out for all of them")
    return list(dict.fromkeys(names))


def _raw(subject: Subject, window: Window, rows: int, form: Form, question: Question) -> bytes:
    found = subject.store.raw(subject.org, subject.source_id, subject.names, window, rows, question=question)
    series = subject.ordered(found.series, Series())
    if form == "arrow":
        return arrow.raw_stream(series, {"interval": "raw", "auto_downsampled": False, "truncated": found.truncated})
    columns: Columns = {name: answers.raw_columns(part) for name, part in series.items()}
    return body.query_json(answers.Query("raw", auto_downsampled=False, series=columns, truncated=found.truncated))


def _buckets(subject: Subject, window: Window, interval: Interval, auto: bool, form: Form, question: Question) -> bytes:
    found = subject.store.buckets(
        subject.org, [subject.source_id], subject.names, window, INTERVAL_MS[interval], question=question
    )
    series = subject.ordered(found.get(subject.source_id, {}), BucketSeries())
    if form == "arrow":
        return arrow.bucket_stream(series, {"interval": interval, "auto_downsampled": auto, "truncated": False})
    columns: Columns = {name: answers.bucket_columns(part) for name, part in series.items()}
    return body.query_json(answers.Query(interval, auto_downsampled=auto, series=columns, truncated=False))

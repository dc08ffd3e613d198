"""Answers as an Arrow IPC stream, for readers that make data frames: `Accept: application/vnd.apache.arrow.stream`.

Rows instead of columns by name; every stream has the schema below, also without a row. Times are `timestamp[us, UTC]`
and doubles are doubles, NaN and infinity included. A value that is no number stands in `text` and leaves `value` null:
text as it is, a boolean, an object or an array as JSON; an integer that a double does not hold exactly stands in both.

    query, raw        metric, timestamp, value, text, kind
    query, buckets    metric, timestamp, min, max, avg, count, last, last_text, last_kind
    fleet/metrics     source_id, online, timestamp, min, max, avg, count
    events            metric, timestamp, value, text, tags (a JSON object)

`kind` says what a value was: 0 a double, 1 an integer, 2 text, 3 a boolean, an object or an array. It is null where
there is none.

What JSON says beside the columns (`interval`, `truncated` …) is in the schema's metadata, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
from litestar import MediaType, Request, Response
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from plexus.domain.event import Event
from plexus.domain.series import BucketSeries, FleetMetrics, Series
from plexus.domain.values import Value, is_number
from plexus.gateway.asgi import HttpError
from plexus.protocol import jsontext

MEDIA_TYPE = "application/vnd.apache.arrow.stream"

Form = Literal["json", "arrow"]
VARY = {"vary": "accept"}
"""For caches, on every answer whose form `accept` decides: one client's is not another's."""

InForm = NamedDependency[SkipValidation[Form]]
"""The type of a handler's `form`: how the client wants its answer."""

TIME = pa.timestamp("us", "UTC")
NAME = pa.dictionary(pa.int32(), pa.string())
KIND = pa.uint8()
RAW = pa.schema([("metric", NAME), ("timestamp", TIME), ("value", pa.float64()), ("text", pa.string()), ("kind", KIND)])
_AGGREGATES = [("min", pa.float64()), ("max", pa.float64()), ("avg", pa.float64()), ("count", pa.int64())]
BUCKETS = pa.schema(
    [
        ("metric", NAME),
        ("timestamp", TIME),
        *_AGGREGATES,
        ("last", pa.float64()),
        ("last_text", pa.string()),
        ("last_kind", KIND),
    ]
)
FLEET = pa.schema([("source_id", NAME), ("online", pa.bool_()), ("timestamp", TIME), *_AGGREGATES])
_KINDS: Mapping[type, int] = {float: 0, int: 1, str: 2}
_EXACT = 2**53
"""Up to here, below zero too, a double holds every integer."""

EVENTS = pa.schema(
    [
        ("metric", pa.string()),
        ("timestamp", TIME),
        ("value", pa.float64()),
        ("text", pa.string()),
        ("tags", pa.string()),
    ]
)


def provide_form(request: Request[Any, Any, Any]) -> Form:
    """What the header `accept` asks for; raises HttpError 406 when it takes neither of the two."""
    return choose_form(request.headers.get("accept"))


def choose_form(accept: str | None) -> Form:
    """Arrow for a client that names it and likes JSON no better; JSON for everybody else who takes it."""
    if accept is None or not accept.strip():
        return "json"
    likes = dict(_ranges(accept))
    arrow = likes.get(MEDIA_TYPE, 0.0)
    json_q = next((likes[name] for name in ("application/json", "application/*", "*/*") if name in likes), 0.0)
    if arrow > 0 and (arrow >= likes.get("application/json", 0.0)):
        return "arrow"
    if json_q > 0:
        return "json"
    raise HttpError(
        406,
        f"this route answers application/json and {MEDIA_TYPE}; name one of them in accept",
        [(name.encode(), value.encode()) for name, value in VARY.items()],
    )


def document(form: Form, encoded: bytes, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """An answer that is encoded already."""
    media_type = MEDIA_TYPE if form == "arrow" else MediaType.JSON
    return Response(encoded, media_type=media_type, headers={**(headers or {}), **VARY})


def raw_stream(series: Mapping[str, Series], said: Mapping[str, Any]) -> bytes:
    """A raw query's answer."""
    names = list(series)

    def batches() -> Iterator[list[Any]]:
        for index, part in enumerate(series.values()):
            yield [
                _repeated(index, names, len(part)),
                _times(part.timestamp_ms),
                *value_columns(part.value),
                kinds(part.value),
            ]

    return _stream(RAW, batches(), said)


def bucket_stream(series: Mapping[str, BucketSeries], said: Mapping[str, Any]) -> bytes:
    """A query's answer in buckets."""
    names = list(series)

    def batches() -> Iterator[list[Any]]:
        for index, part in enumerate(series.values()):
            name = _repeated(index, names, len(part))
            last = (*value_columns(part.last), kinds(part.last))
            yield [name, _times(part.timestamp_ms), *_aggregates(part), *last]

    return _stream(BUCKETS, batches(), said)


def fleet_stream(answer: FleetMetrics) -> bytes:
    """A fleet metric's answer."""
    names = [part.source_id for part in answer.sources]
    said = {
        "metric": answer.metric,
        "interval": answer.interval,
        "sources_online": answer.sources_online,
        "sources_w_metric": answer.sources_w_metric,
        "truncated": answer.truncated,
    }

    def batches() -> Iterator[list[Any]]:
        for index, part in enumerate(answer.sources):
            count = len(part.timestamp_ms)
            online = pa.array([part.online] * count, pa.bool_())
            yield [_repeated(index, names, count), online, _times(part.timestamp_ms), *_aggregates(part)]

    return _stream(FLEET, batches(), said)


def event_stream(events: Sequence[Event]) -> bytes:
    """A list of events."""
    columns = [
        pa.array([event.name for event in events], pa.string()),
        _times([event.timestamp_ms for event in events]),
        *value_columns([event.value for event in events]),
        pa.array([jsontext.dumps(dict(event.tags)) for event in events], pa.string()),
    ]
    return _stream(EVENTS, iter([columns]), {})


def value_columns(values: Sequence[Value | None]) -> tuple[Any, Any]:
    """Values of any type as a column of doubles and one of text; see the module."""
    if hasattr(values, "__array__"):  # a column of doubles as the store has it
        return pa.array(np.asarray(values, np.float64)), pa.nulls(len(values), pa.string())
    types = set(map(type, values))
    if types <= {float} or (types == {int} and min(values) >= -_EXACT and max(values) <= _EXACT):  # type: ignore[type-var, operator]
        return pa.array(values, pa.float64()), pa.nulls(len(values), pa.string())
    numbers = [float(value) if is_number(value) else None for value in values]  # type: ignore[arg-type]
    return pa.array(numbers, pa.float64()), pa.array(list(map(value_text, values)), pa.string())


def kinds(values: Sequence[Value | None]) -> Any:
    """What each value was; see the module."""
    types = {float} if hasattr(values, "__array__") else set(map(type, values))
    if len(types) == 1 and types < _KINDS.keys():
        return pa.array(np.full(len(values), _KINDS[types.pop()], np.uint8))
    return pa.array([None if value is None else _KINDS.get(type(value), 3) for value in values], KIND)


def value_text(value: Value | None) -> str | None:
    """What a column of doubles cannot say of a value; None for a number that it holds."""
    if value is None or isinstance(value, (str, float)):
        return value if isinstance(value, str) else None
    if is_number(value):
        return str(value) if float(value) != value else None  # type: ignore[arg-type]
    return msgspec.json.encode(value).decode()


def _stream(schema: Any, batches: Iterator[list[Any]], said: Mapping[str, Any]) -> bytes:
    described = schema.with_metadata({name: json.dumps(value) for name, value in said.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, described) as writer:
        for columns in batches:
            writer.write_batch(pa.record_batch(columns, schema=described))
    whole: bytes = sink.getvalue().to_pybytes()
    return whole


def _aggregates(part: Any) -> list[Any]:
    return [
        *(pa.array(column, pa.float64()) for column in (part.min, part.max, part.avg)),
        pa.array(part.count, pa.int64()),
    ]


def _times(times_ms: Sequence[float]) -> Any:
    micros = np.rint(np.asarray(times_ms, dtype=np.float64) * 1_000.0).astype(np.int64)
    return pa.array(micros, pa.int64()).cast(TIME)


def _repeated(index: int, names: list[str], count: int) -> Any:
    """The same name `count` times. One dictionary for all batches: it is sent once."""
    return pa.DictionaryArray.from_arrays(np.full(count, index, dtype=np.int32), pa.array(names, pa.string()))


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """The media types of an `accept` with their weights; what cannot be read weighs 1."""
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = next((part[2:].strip() for part in parameters if part.startswith("q=")), "1")
        try:
            yield name, float(weight)
        except ValueError:
            yield name, 1.0

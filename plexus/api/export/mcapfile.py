"""An export as MCAP, the format of recordings that Foxglove opens.

    /<source>/<metric>      one channel a metric: JSON with a schema, so that it can be plotted without further ado
    /<source>/events        the events of a source, in Foxglove's schema of log messages

Messages are in the order of time, with an index. Log times are nanoseconds since 1970 UTC as the gateway keeps them; of
events it tells microseconds. A value that is no finite number stands in `text`. Video is not in it: the gateway stores
none.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from plexus._version import __version__
from plexus.api.export import schemas
from plexus.api.export.folder import flush
from plexus.api.export.parquetfile import opened
from plexus.api.pinned import iso
from plexus.domain.errors import ConfigurationError, ExportError
from plexus.domain.event import Event

BATCH_ROWS = 10_000

_BESIDE = {"value": "text", "last": "last_text"}
"""Where the text of a number stands that JSON does not have."""

Message = tuple[int, str, str, Mapping[str, Any]]
"""Nanoseconds since 1970 UTC, source, metric ("" for events), fields."""


@attrs.frozen
class About:
    """What the file says of itself: window (microseconds since 1970 UTC), resolution, and run ("" for none)."""

    start_us: int
    end_us: int
    resolution: str
    run_id: str


def library() -> Any:
    """mcap's writer; ConfigurationError where it is not installed."""
    try:
        from mcap import writer
    except ImportError as exc:
        raise ConfigurationError("an export as MCAP needs mcap: pip install 'plexus-python[mcap]'") from exc
    return writer


def assemble(
    rows: Sequence[Path], events: Mapping[str, Path], target: Path, about: About, told: Callable[[int, int], None]
) -> tuple[int, int]:
    """Write stretches of time and the events of sources into `target`, durably; returns how many of each."""
    stretches = _rows(rows, told)
    happened = [_events(source_id, place) for source_id, place in sorted(events.items()) if place.stat().st_size]
    with target.open("wb") as file:
        writer = library().Writer(file)
        writer.start(profile="", library=f"plexus-python {__version__}")
        channels = _Channels(writer, raw=about.resolution == "raw")
        counts = {True: 0, False: 0}
        for message in heapq.merge(stretches, *happened, key=lambda message: message[0]):
            channels.write(message)
            counts[message[2] == ""] += 1
        writer.add_metadata("plexus", _described(about))
        writer.finish()
        flush(file)
    return counts[False], counts[True]


def event_line(event: Event) -> str:
    """An event as it is kept until the file is made."""
    t_ns = round(event.timestamp_ms * 1_000) * 1_000
    return json.dumps([t_ns, event.name, schemas.text_of(event.value), dict(event.tags)], ensure_ascii=True)


class _Channels:
    """The channels of a file, made when their first message comes."""

    def __init__(self, writer: Any, *, raw: bool) -> None:
        self._writer = writer
        self._kind = schemas.POINT if raw else schemas.BUCKET
        self._schemas: dict[str, int] = {}
        self._ids: dict[tuple[str, str], int] = {}
        self._encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

    def write(self, message: Message) -> None:
        t_ns, source_id, metric, fields = message
        if t_ns < 0:
            raise ExportError(f"{source_id} has data from before 1970, which MCAP cannot say: begin later, or use CSV")
        channel = self._ids.get((source_id, metric)) or self._opened(source_id, metric)
        sec, nsec = divmod(t_ns, 1_000_000_000)
        body = self._encode({"timestamp": {"sec": sec, "nsec": nsec}, **fields})
        self._writer.add_message(channel, log_time=t_ns, publish_time=t_ns, data=body.encode("utf-8", "replace"))

    def _opened(self, source_id: str, metric: str) -> int:
        schema = self._kind if metric else schemas.LOG
        if schema.name not in self._schemas:
            self._schemas[schema.name] = self._writer.register_schema(schema.name, "jsonschema", schema.data)
        channel: int = self._writer.register_channel(
            topic=_topic(source_id, metric),
            message_encoding="json",
            schema_id=self._schemas[schema.name],
            metadata={"source_id": source_id, **({"metric": metric} if metric else {})},
        )
        self._ids[source_id, metric] = channel
        return channel


def _topic(source_id: str, metric: str) -> str:
    if not metric:
        return f"/{source_id}/events"
    # A metric of that name must not share a topic with messages of another schema.
    return f"/{source_id}/{'events_' if metric == 'events' else metric}"


# --- reading what was fetched ---------------------------------------------------------------------------------


def _rows(stretches: Sequence[Path], told: Callable[[int, int], None]) -> Iterator[Message]:
    done = 0
    for number, place in enumerate(stretches, 1):
        with opened(place) as part:
            table = _checked(part.read(), place)
        for batch in _in_time(table).to_batches(BATCH_ROWS):
            yield from _messages(batch)
            done += batch.num_rows
        told(number, done)


def _checked(table: Any, place: Path) -> Any:
    missing = [name for name in ("source", "metric", "timestamp") if name not in table.column_names]
    if missing:
        raise ExportError(f"{place} has no column {missing[0]!r}: this server's exports are none that MCAP is made of")
    return table


def _in_time(table: Any) -> Any:
    """Rows by time; those of one moment stay in their order."""
    import pyarrow as pa

    t_ns = table.column("timestamp").cast(pa.int64())
    places = pa.array(range(table.num_rows), pa.int64())
    order = pa.table({"t": t_ns, "place": places}).sort_by([("t", "ascending"), ("place", "ascending")]).column("place")
    return table.set_column(table.schema.get_field_index("timestamp"), "timestamp", t_ns).take(order)


def _messages(batch: Any) -> Iterator[Message]:
    columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
    heads = zip(columns.pop("timestamp"), columns.pop("source"), columns.pop("metric"), strict=True)
    names = list(columns)
    for (t_ns, source_id, metric), row in zip(heads, zip(*columns.values(), strict=True), strict=True):
        yield t_ns, source_id, metric, _fields(dict(zip(names, row, strict=True)))


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what it does not have. JSON has no NaN: what is none stands in the text beside it."""
    fields = {name: value for name, value in row.items() if value is not None}
    if "tags" in fields:
        fields["tags"] = json.loads(fields["tags"])
    for name in [name for name, value in fields.items() if isinstance(value, float) and not math.isfinite(value)]:
        beside, odd = _BESIDE.get(name), fields.pop(name)
        if beside is not None:
            fields[beside] = schemas.text_of(odd)
    return fields


def _events(source_id: str, place: Path) -> Iterator[Message]:
    with place.open(encoding="utf-8") as lines:
        for line in lines:
            t_ns, name, text, tags = json.loads(line)
            yield t_ns, source_id, "", schemas.log_fields(name, text, tags)


def _described(about: About) -> dict[str, str]:
    described = {"start": iso(about.start_us), "end": iso(about.end_us), "resolution": about.resolution}
    return {**described, "run_id": about.run_id} if about.run_id else described

"""What lies in the columns of a sealed file and of a roll-up, and how each is encoded. See the reference page.

A time is two columns: milliseconds, whose differences take a few bits, and the nanoseconds that go on top, which cost
nothing where there are none. Numbers lie in a dictionary of each row group, unless nearly all of them differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from plexus.adapters.store.embedded.files.bridge import Array, arrow, arrow_text, numbers
from plexus.adapters.store.embedded.files.index import GROUP
from plexus.adapters.store.embedded.files.partials import Partials
from plexus.adapters.store.embedded.files.rows import Rows, run_starts
from plexus.adapters.store.embedded.files.sealedfile import SeriesName
from plexus.adapters.store.embedded.values import PACKED

NS_PER_MS = 1_000_000

_TEXT = pa.string()
_MS = pa.timestamp("ms", tz="UTC")
_NAME = pa.dictionary(pa.int32(), _TEXT)  # so it is written fast; who reads the file sees text
NAMES = (pa.field("org", _NAME), pa.field("source", _NAME), pa.field("metric", _NAME))

POINTS = pa.schema(
    [
        *NAMES,
        pa.field("t", _MS),
        pa.field("value", pa.float64()),
        pa.field("json", _TEXT),
        pa.field("kind", pa.uint8()),
        pa.field("tags", _TEXT),
        pa.field("run_id", _TEXT),
        pa.field("ns", pa.int32()),
        pa.field("series", pa.int32()),
    ]
)
EVENTS = POINTS.append(pa.field("place", pa.int64()))
ROLLUP = pa.schema(
    [
        *NAMES,
        pa.field("t", _MS),
        pa.field("min", pa.float64()),
        pa.field("max", pa.float64()),
        pa.field("sum", pa.float64()),
        pa.field("rest", pa.float64()),
        pa.field("numbers", pa.int64()),
        pa.field("count", pa.int64()),
        pa.field("last", pa.float64()),
        pa.field("last_json", _TEXT),
        pa.field("last_kind", pa.uint8()),
        pa.field("last_t", _MS),
        pa.field("last_ns", pa.int32()),
        pa.field("series", pa.int32()),
    ]
)

_DELTAS = ("t", "ns", "last_t", "last_ns", "place", "numbers", "count")
_SPREAD = ("sum", "rest")
"""Numbers of which nearly all differ, always."""

MOSTLY_DIFFERENT = 0.6
"""Share of a row group's numbers that differ, from which on a dictionary costs more than it saves."""


def options(schema: pa.Schema, *, spread: bool) -> dict[str, Any]:
    """How a file of this schema is written; `spread` when nearly all numbers of its `value` differ."""
    names = set(schema.names)
    split = {name for name in _SPREAD if name in names} | ({"value"} if spread else set())
    encodings = dict.fromkeys(names.intersection(_DELTAS), "DELTA_BINARY_PACKED")
    encodings.update(dict.fromkeys(split & names, "BYTE_STREAM_SPLIT"))
    return {
        "compression": "zstd",
        "compression_level": 3,
        "use_dictionary": sorted(names - encodings.keys()),
        "column_encoding": encodings,
        "write_statistics": ["org", "source", "metric", "t", "series"],
        "write_page_checksum": True,
        "store_schema": False,
    }


def differ(numbers: Array) -> bool:
    """Whether nearly all of these numbers differ, by the look of four row groups."""
    firsts = np.linspace(0, max(0, len(numbers) - GROUP), 4, dtype=np.int64)
    looks = [numbers[first : first + GROUP] for first in np.unique(firsts).tolist()]
    return sum(len(np.unique(look)) for look in looks) > MOSTLY_DIFFERENT * sum(map(len, looks))


def table_of_rows(rows: Rows) -> pa.Table:
    """Rows as a table that a file takes after `named`."""
    milliseconds, nanoseconds = split_time(rows.t_ns)
    columns = {
        "t": milliseconds,
        "value": arrow(rows.num, (rows.kind == PACKED) & np.isnan(rows.num)),
        "json": _filled(rows.text, len(rows)),
        "kind": arrow(rows.kind),
        "tags": _filled(rows.tags, len(rows)),
        "run_id": _filled(rows.run_id, len(rows)),
        "ns": nanoseconds,
        "series": arrow(rows.series),
    }
    if rows.place is not None:
        columns["place"] = arrow(rows.place)
    return pa.table(list(columns.values()), names=list(columns))


def table_of_partials(partials: Partials) -> pa.Table:
    """Partials as a table that a roll-up takes after `named`."""
    last_t, last_ns = split_time(partials.last_ns)
    nothing = partials.numbers == 0
    columns = {
        "t": split_time(partials.start_ns)[0],
        "min": arrow(partials.low, nothing),
        "max": arrow(partials.high, nothing),
        "sum": arrow(partials.sum),
        "rest": arrow(partials.rest),
        "numbers": arrow(partials.numbers),
        "count": arrow(partials.count),
        "last": arrow(partials.num, (partials.kind == PACKED) & np.isnan(partials.num)),
        "last_json": _filled(partials.text, len(partials)),
        "last_kind": arrow(partials.kind),
        "last_t": last_t,
        "last_ns": last_ns,
        "series": arrow(partials.series),
    }
    return pa.table(list(columns.values()), names=list(columns))


def named(table: pa.Table, schema: pa.Schema, names: Mapping[int, SeriesName]) -> pa.Table:
    """A row group with its names: a dictionary of those that are in it, since a whole one would be written whole."""
    series = numbers(table.column("series"))
    heads = run_starts(series)
    lengths = np.diff(heads, append=len(series))
    found = [names[number] for number in series[heads].tolist()]
    texts = {
        "org": _repeated([name.org for name in found], lengths),
        "source": _repeated([name.source_id for name in found], lengths),
        "metric": _repeated([name.metric for name in found], lengths),
    }
    columns = [texts[field.name] if field.name in texts else _typed(table.column(field.name)) for field in schema]
    return pa.table(columns, names=schema.names)


def split_time(t_ns: Array) -> tuple[pa.Array, pa.Array]:
    """Milliseconds as timestamps, and the nanoseconds on top of them."""
    milliseconds = t_ns // NS_PER_MS
    return arrow(milliseconds, kind=_MS), arrow((t_ns - milliseconds * NS_PER_MS).astype(np.int32))


def _filled(column: pa.Array | None, count: int) -> pa.Array:
    return pa.nulls(count) if column is None else column  # of the type null: these take no memory


def _typed(column: pa.ChunkedArray) -> Any:
    return pa.nulls(len(column), _TEXT) if pa.types.is_null(column.type) else column


def _repeated(texts: Sequence[str], lengths: Array) -> pa.DictionaryArray:
    distinct = dict.fromkeys(texts)
    codes = {text: code for code, text in enumerate(distinct)}
    indices = np.repeat(np.array([codes[text] for text in texts], np.int32), lengths)
    return pa.DictionaryArray.from_arrays(arrow(indices), arrow_text(list(distinct)))

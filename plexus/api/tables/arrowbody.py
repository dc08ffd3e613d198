"""Answers that came as an Arrow stream (docs/reference/http.md): kept as they came, made into Python when looked at.

Columns are read as numpy without a step of Python a row; `series[metric]` makes lists, which cost more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import pyarrow as pa

from plexus.api.tables import columns
from plexus.api.tables.columnar import ColumnarSeries
from plexus.api.tables.columns import Column
from plexus.domain.errors import ProtocolError
from plexus.domain.series import BucketSeries, Series

_NAME = ("text", lambda kind: _is_text(kind.value_type if pa.types.is_dictionary(kind) else kind))
_TIME = ("a timestamp", pa.types.is_timestamp)
_NUMBER = ("a double", pa.types.is_float64)
_COUNT = ("an integer", pa.types.is_int64)
_WORDS = ("text", lambda kind: _is_text(kind))

Columns = Mapping[str, tuple[str, Callable[[Any], bool]]]
RAW: Columns = {"metric": _NAME, "timestamp": _TIME, "value": _NUMBER, "text": _WORDS}
BUCKETS: Columns = {
    "metric": _NAME,
    "timestamp": _TIME,
    "count": _COUNT,
    "last": _NUMBER,
    "last_text": _WORDS,
    **dict.fromkeys(("min", "max", "avg"), _NUMBER),
}
"""Columns that have to be there, with the type of each in words and a test of it. Others are passed over."""

AGGREGATES = ("min", "max", "avg", "count")
NS_PER_MS = 1_000_000
_DOUBLE, _INTEGER, _TEXT = 0, 1, 2


@attrs.frozen(eq=False)
class Said:
    """What an answer says beside its rows."""

    interval: str
    auto_downsampled: bool
    truncated: bool


def read(body: bytes) -> tuple[Said, ArrowSeries]:
    """The answer of a query; ProtocolError when it is none."""
    try:
        stream = pa.ipc.open_stream(body)
        # Not as a table, which forgets empty batches: they name metrics that were asked for and have no value.
        batches = list(stream)
        for batch in batches:
            batch.validate(full=True)  # offsets that lead out of a buffer are found here, and not by a crash later
        said = _said(stream.schema.metadata or {})
        raw = said.interval == "raw"
        _check(stream.schema, batches, RAW if raw else BUCKETS)
        return said, ArrowSeries(_pieces(batches), raw=raw)
    except ProtocolError:
        raise
    except (pa.ArrowException, OSError, ValueError) as exc:
        raise ProtocolError(f"the Arrow stream cannot be read: {str(exc)[:200]}") from exc


class ArrowSeries(ColumnarSeries):
    """Series by metric over record batches; `pieces` are each metric's rows, in order."""

    def __init__(self, pieces: Mapping[str, Sequence[Any]], *, raw: bool) -> None:
        self._pieces = pieces
        self._raw = raw
        self._made: dict[str, Series | BucketSeries] = {}

    def __getitem__(self, metric: str) -> Series | BucketSeries:
        made = self._made.get(metric)
        if made is None:
            make = _raw_series if self._raw else _bucket_series
            made = self._made[metric] = make(self._pieces[metric])
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    @property
    def pieces(self) -> Mapping[str, Sequence[Any]]:
        """The record batches of each metric."""
        return self._pieces

    @property
    def is_raw(self) -> bool:
        """Whether they are values, and not buckets."""
        return self._raw

    def rows(self) -> int:
        """How many rows there are."""
        return sum(piece.num_rows for pieces in self._pieces.values() for piece in pieces)

    def columns(self) -> dict[str, Column]:
        """As numpy."""
        make = _raw_column if self._raw else _bucket_column
        return {metric: make(pieces) for metric, pieces in self._pieces.items()}


def joined(parts: Sequence[ArrowSeries], metrics: Sequence[str] | None = None) -> ArrowSeries:
    """The rows of several answers of one kind behind each other; nothing is copied. `metrics` come in this order."""
    pieces: dict[str, list[Any]] = {name: [] for name in metrics or ()}
    for part in parts:
        for metric, more in part.pieces.items():
            pieces.setdefault(metric, []).extend(more)
    ordered = pieces if metrics is not None else {name: pieces[name] for name in sorted(pieces)}
    return ArrowSeries(ordered, raw=parts[0].is_raw)


def _said(metadata: Mapping[bytes, bytes]) -> Said:
    try:
        found = {name.decode(): json.loads(value) for name, value in metadata.items()}
        interval, auto, truncated = found["interval"], found["auto_downsampled"], found["truncated"]
    except KeyError as exc:
        raise ProtocolError(f"the Arrow stream does not say {exc.args[0]}", field=str(exc.args[0])) from exc
    except ValueError as exc:
        raise ProtocolError("what the Arrow stream says beside its rows is not JSON") from exc
    if not isinstance(interval, str) or not isinstance(auto, bool) or not isinstance(truncated, bool):
        raise ProtocolError("interval must be a string, auto_downsampled and truncated true or false", field="interval")
    return Said(interval, auto, truncated)


def _check(schema: Any, batches: Sequence[Any], needed: Columns) -> None:
    for name, (words, fits) in needed.items():
        if name not in schema.names:
            raise ProtocolError(f"the Arrow stream has no column {name}", field=name)
        if not fits(schema.field(name).type):
            raise ProtocolError(f"the Arrow stream's column {name} is not {words}", field=name)
        if name in ("metric", "timestamp", "count") and any(batch.column(name).null_count for batch in batches):
            raise ProtocolError(f"the Arrow stream's column {name} has nulls", field=name)


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _pieces(batches: Sequence[Any]) -> dict[str, list[Any]]:
    """The batches by metric; a batch that holds several is cut where the metric changes."""
    found: dict[str, list[Any]] = {}
    for batch in batches:
        named = batch.column("metric")
        if not hasattr(named, "dictionary"):
            named = named.dictionary_encode()
        names = named.dictionary.to_pylist()
        for name in names:
            found.setdefault(name, [])
        codes = named.indices.to_numpy(zero_copy_only=False)
        starts = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist()] if len(codes) else []
        for begin, end in zip(starts, [*starts[1:], len(codes)], strict=False):
            found[names[codes[begin]]].append(batch.slice(begin, end - begin))
    return found


# --- as numpy -------------------------------------------------------------------------------------------------------


def _raw_column(pieces: Sequence[Any]) -> Column:
    return Column(_t_ns(pieces), {"value": _values(pieces, "value", "text", "kind")})


def _bucket_column(pieces: Sequence[Any]) -> Column:
    found = {name: _joined(pieces, name, "double") for name in ("min", "max", "avg")}
    count = _joined(pieces, "count", "int64")
    return Column(_t_ns(pieces), {**found, "count": count, "last": _values(pieces, "last", "last_text", "last_kind")})


def _t_ns(pieces: Sequence[Any]) -> Any:
    return _concatenated([_nanoseconds(piece.column("timestamp")) for piece in pieces], np.dtype(np.int64))


def _nanoseconds(times: Any) -> Any:
    factor = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}[times.type.unit]
    counted = times.view("int64").to_numpy(zero_copy_only=False)
    return counted if factor == 1 else counted * factor


def _values(pieces: Sequence[Any], value: str, text: str, kind: str) -> Any:
    if all(piece.column(text).null_count == len(piece) and piece.column(value).null_count == 0 for piece in pieces):
        return _joined(pieces, value, "double")
    items = [item for piece in pieces for item in _items(piece, value, text, kind)]
    return columns.values(items) if items else np.empty(0)


def _joined(pieces: Sequence[Any], name: str, dtype: str) -> Any:
    return _concatenated([piece.column(name).to_numpy(zero_copy_only=False) for piece in pieces], np.dtype(dtype))


def _concatenated(arrays: Sequence[Any], dtype: Any) -> Any:
    if not arrays:
        return np.empty(0, dtype)
    return arrays[0].astype(dtype, copy=False) if len(arrays) == 1 else np.concatenate(arrays, dtype=dtype)


# --- as Python ------------------------------------------------------------------------------------------------------


def _raw_series(pieces: Sequence[Any]) -> Series:
    items = [item for piece in pieces for item in _items(piece, "value", "text", "kind")]
    return Series(_milliseconds(pieces), items)


def _bucket_series(pieces: Sequence[Any]) -> BucketSeries:
    lists = {name: [item for piece in pieces for item in piece.column(name).to_pylist()] for name in AGGREGATES}
    last = [item for piece in pieces for item in _items(piece, "last", "last_text", "last_kind")]
    return BucketSeries(timestamp_ms=_milliseconds(pieces), **lists, last=last)


def _milliseconds(pieces: Sequence[Any]) -> list[float]:
    t_ns = _t_ns(pieces)
    whole = t_ns // NS_PER_MS
    # As JSON has them: whole numbers where all are whole.
    same = bool((whole * NS_PER_MS == t_ns).all())
    found: list[float] = whole.tolist() if same else [t / NS_PER_MS for t in t_ns.tolist()]
    return found


def _items(piece: Any, value: str, text: str, kind: str) -> list[Any]:
    """Values as they were sent: an older gateway that does not say their kind has only numbers and text."""
    numbers = piece.column(value)
    written = piece.column(text)
    if kind not in piece.schema.names:
        pairs = zip(numbers.to_pylist(), written.to_pylist(), strict=True)
        return [number if said is None else said for number, said in pairs]
    kinds = piece.column(kind)
    plain = written.null_count == len(piece) and kinds.null_count == 0
    codes = kinds.to_pylist() if not plain else None
    if codes is None:
        every = set(kinds.unique().to_pylist())
        if every <= {_DOUBLE}:
            return numbers.to_numpy(zero_copy_only=False).tolist()  # type: ignore[no-any-return]
        codes = kinds.to_pylist()
    return [_item(*row) for row in zip(numbers.to_pylist(), written.to_pylist(), codes, strict=True)]


def _item(number: float | None, said: str | None, kind: int | None) -> Any:
    if kind == _TEXT or said is None:
        if kind == _INTEGER and number is not None and math.isfinite(number):
            return int(number)
        return said if kind == _TEXT else number
    try:
        return int(said) if kind == _INTEGER else json.loads(said) if kind is not None else said
    except (ValueError, RecursionError) as exc:
        raise ProtocolError(f"the Arrow stream's text {said[:64]!r} is no value of kind {kind}", field="text") from exc

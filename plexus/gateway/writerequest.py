"""Prometheus's `WriteRequest` (remote-write 1.0): a snappy block around a protobuf message, read into columns.

    WriteRequest  1: TimeSeries …              TimeSeries  1: Label …, 2: Sample …
    Label         1: name, 2: value            Sample      1: value (double), 2: timestamp (ms, int64)

Other fields (metadata, exemplars, histograms) are passed over, as a reader of protobuf must. What a series becomes:

- its metric is the label `__name__`;
- its source is the label `source_id`, or else `instance`, or else `job`, in lower case, with `_` for every character
  that a source id cannot have and without anything before its first letter or digit;
- its other labels are tags, the first 16 by name; the label that named the source stays one where that changed it.

A staleness marker says that a series has ended; it is no value, and not kept.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import attrs
import cramjam

from plexus.domain.errors import ProtocolError
from plexus.domain.names import MAX_SOURCE_ID_BYTES, MAX_TAGS, metric_fault
from plexus.domain.point import MAX_ABS_MS
from plexus.protocol.columnar import TooManyPointsError
from plexus.protocol.columns import Columns, Decoded, PointFault

SOURCE_LABELS = ("source_id", "instance", "job")
NAME_LABEL = "__name__"
STALE = 0x7FF0000000000002
"""The bits of a staleness marker; every other NaN is a value."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_SHIFT = 63
_MASK = 2**64 - 1
_NS_PER_MS = 1_000_000

_double = struct.Struct("<d")
_bits = struct.Struct("<Q")
_not_allowed = re.compile(r"[^a-z0-9._-]")
_before_the_first = re.compile(r"^[^a-z0-9]+")


@attrs.frozen
class _Series:
    labels: dict[str, str]
    samples: list[tuple[bytes, int]]


def unpack(body: bytes, limit: int) -> bytes:
    """The message in a snappy block of at most `limit` bytes; raises ProtocolError."""
    length, _ = _varint(memoryview(body), 0)
    if length > limit:
        raise ProtocolError(f"the message is {length} bytes unpacked, more than {limit}; send fewer samples at once")
    try:
        unpacked = bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as exc:
        raise ProtocolError("the body is not a snappy block, as remote-write has it") from exc
    if len(unpacked) != length:
        raise ProtocolError("the snappy block does not have the length that it says")
    return unpacked


def read(message: bytes, max_points: int) -> Decoded:
    """The samples of a `WriteRequest`; faults count them in the order in which they stand in it.

    Raises ProtocolError for what is none, TooManyPointsError for more than `max_points` samples.
    """
    columns, faults = Columns(), []
    index = 0
    for field, value in _fields(memoryview(message)):
        if field != 1 or not isinstance(value, memoryview):
            continue
        series = _read_series(value)
        if index + len(series.samples) > max_points:
            raise TooManyPointsError(f"samples must be at most {max_points} a message")
        faults += _add(columns, series, index)
        index += len(series.samples)
    return Decoded(columns, tuple(faults))


def source_of(labels: dict[str, str]) -> tuple[str, str] | None:
    """The source of a series and the label that named it, None when no label can."""
    for label in SOURCE_LABELS:
        text = _before_the_first.sub("", _not_allowed.sub("_", labels.get(label, "").lower()))
        if text:
            return text[:MAX_SOURCE_ID_BYTES], label
    return None


def _add(columns: Columns, series: _Series, first: int) -> list[PointFault]:
    """Append the samples of a series; returns a fault for each that cannot be."""
    metric = series.labels.get(NAME_LABEL)
    named = source_of(series.labels)
    error = metric_fault(metric) if metric is not None else f"the label {NAME_LABEL} is required"
    if error is None and named is None:
        error = f"one of the labels {', '.join(SOURCE_LABELS)} must name the source"
    if error is not None or named is None or metric is None:
        return [PointFault(first + row, str(error)) for row in range(len(series.samples))]
    source_id, label = named
    skipped = {NAME_LABEL, label} if series.labels[label] == source_id else {NAME_LABEL}
    tags = dict([pair for pair in sorted(series.labels.items()) if pair[0] not in skipped][:MAX_TAGS]) or None
    faults = []
    for row, (value, ms) in enumerate(series.samples):
        if _bits.unpack(value)[0] == STALE:
            continue
        if not abs(ms) <= MAX_ABS_MS:
            faults.append(PointFault(first + row, "timestamp must be between the years 1678 and 2261"))
        else:
            number = _double.unpack(value)[0]
            columns.add(source_id, metric, ms * _NS_PER_MS, is_event=False, value=number, tags=tags)
    return faults


# --- protobuf ------------------------------------------------------------------------------------------------------


def _read_series(content: memoryview) -> _Series:
    series = _Series({}, [])
    for field, value in _fields(content):
        if field == 1 and isinstance(value, memoryview):
            parts = {inner: found for inner, found in _fields(value) if isinstance(found, memoryview)}
            series.labels[_text(parts.get(1))] = _text(parts.get(2))
        elif field == 2 and isinstance(value, memoryview):
            series.samples.append(_read_sample(value))
    return series


def _read_sample(content: memoryview) -> tuple[bytes, int]:
    value, ms = bytes(8), 0  # protobuf leaves a zero out
    for field, found in _fields(content):
        if field == 1 and isinstance(found, memoryview) and len(found) == _double.size:
            value = bytes(found)
        elif field == 2 and isinstance(found, int):
            ms = found - 2**64 if found >= 2**63 else found
    return value, ms


def _text(content: memoryview | None) -> str:
    try:
        return "" if content is None else bytes(content).decode()
    except UnicodeDecodeError as exc:
        raise ProtocolError("a label of the message is not UTF-8") from exc


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: a varint as a number, everything else as its bytes."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(content, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(content, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ProtocolError(f"the message has a field of kind {kind}, which protobuf does not have")
        if size > len(content) - at:
            raise ProtocolError("the message ends inside a field")
        yield tag >> 3, content[at : at + size]
        at += size


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _MAX_SHIFT + 1, 7):
        if at >= len(content):
            raise ProtocolError("the message ends inside a number")
        part = content[at]
        at += 1
        value |= (part & 0x7F) << shift
        if part < 0x80:
            return value & _MASK, at
    raise ProtocolError("a number of the message is longer than 64 bits")

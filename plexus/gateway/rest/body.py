"""Answers of any size as JSON text, made in slices.

An encoder holds the interpreter's lock until it is done. A column of half a million buckets would keep every
acknowledgement waiting for so long; between slices the event loop gets its turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import msgspec

from plexus.domain.series import FleetMetrics
from plexus.gateway.rest.answers import EventItem, Query, Sources

SLICE = 10_000
"""Items that are encoded at once, about half a millisecond."""

_encode = msgspec.json.Encoder().encode


def query_json(answer: Query) -> bytes:
    """A query's answer."""
    series = _object((name, _columns(part)) for name, part in answer.series.items())
    return _fields(answer, series=series)


def fleet_json(answer: FleetMetrics) -> bytes:
    """A fleet metric's answer."""
    return _fields(answer, sources=b"[" + b",".join(_columns(part) for part in answer.sources) + b"]")


def sources_json(answer: Sources) -> bytes:
    """A list of sources."""
    return _fields(answer, devices=_column(answer.devices))


def events_json(events: Sequence[EventItem]) -> bytes:
    """A list of events."""
    return _column(events)


def _columns(part: Any) -> bytes:
    """An object of columns."""
    return _fields(
        part,
        **{
            name: _column(value) for name, value in attrs.asdict(part, recurse=False).items() if isinstance(value, list)
        },
    )


def _fields(answer: Any, **encoded: bytes) -> bytes:
    """An attrs value as an object; `encoded` are fields whose JSON is made already."""
    members = attrs.asdict(answer, recurse=False).items()
    return _object(
        (name, encoded[name] if name in encoded else _encode(value))
        for name, value in members
        if value is not msgspec.UNSET
    )


def _object(members: Iterable[tuple[str, bytes]]) -> bytes:
    return b"{" + b",".join(_encode(name) + b":" + text for name, text in members) + b"}"


def _column(values: Sequence[Any]) -> bytes:
    if len(values) <= SLICE:
        return _encode(values)
    slices = (values[start : start + SLICE] for start in range(0, len(values), SLICE))
    return b"[" + b",".join(_encode(part)[1:-1] for part in slices) + b"]"

"""What streams carry, points or events: how it is asked for, live and from the history, and how one is told from
another."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

import attrs

from plexus.api import calls, requests
from plexus.api.calls import Call
from plexus.api.requests import JSON, MetricNames, Params, Request
from plexus.api.times import iso
from plexus.domain.event import Event
from plexus.domain.live import LivePoint
from plexus.domain.series import QueryResult, Series
from plexus.protocol.live import LiveEvent, LiveFrame, LivePoints

T = TypeVar("T")

EVENTS_AT_ONCE = 1_000
"""What is asked for in one request; an answer that is full may not be all."""


@attrs.frozen(eq=False)
class Page(Generic[T]):
    """A stretch of the history in the order of time; `whole` is false when there is more in it than the answer has."""

    items: Sequence[T]
    whole: bool


@attrs.frozen(eq=False)
class Kind(Generic[T]):
    """One kind of stream.

    Attributes:
        request: the live stream of a source.
        pick: what a frame of a source's stream carries of it.
        history: what is stored of a source from one time to another (not included), milliseconds since 1970 UTC.
        name, source, time_ms: of one item.
        key: equal for the same item, whether it came live or from the history.
    """

    request: Callable[[str], Request]
    pick: Callable[[LiveFrame, str], Sequence[T]]
    history: Callable[[str, float, float], Call[Page[T]]]
    name: Callable[[T], str]
    source: Callable[[T], str]
    time_ms: Callable[[T], float]
    key: Callable[[T], Hashable]


def points(metrics: MetricNames) -> Kind[LivePoint]:
    """Points of one metric, several, or all (None)."""
    return Kind(
        request=lambda source_id: requests.metric_stream(source_id, metrics),
        pick=_points_of,
        history=lambda source_id, start, end: _stored_points(source_id, metrics, start, end),
        name=attrgetter("metric"),
        source=attrgetter("source_id"),
        time_ms=attrgetter("timestamp_ms"),
        key=lambda point: (point.metric, point.timestamp_ms, _hashable(point.value)),
    )


def events() -> Kind[Event]:
    """Events."""
    return Kind(
        request=requests.event_stream,
        pick=_event_of,
        history=_stored_events,
        name=attrgetter("name"),
        source=lambda event: event.source_id or "",
        time_ms=attrgetter("timestamp_ms"),
        key=lambda event: (event.name, event.timestamp_ms, _hashable(event.value)),
    )


def _points_of(frame: LiveFrame, _source_id: str) -> Sequence[LivePoint]:
    return frame.points if isinstance(frame, LivePoints) else ()


def _event_of(frame: LiveFrame, source_id: str) -> Sequence[Event]:
    if not isinstance(frame, LiveEvent):
        return ()
    event = frame.event
    return (event if event.source_id else attrs.evolve(event, source_id=source_id),)


def _hashable(value: Any) -> Hashable:
    return json.dumps(value, sort_keys=True) if isinstance(value, (dict, list)) else value


def _window(start: float, end: float) -> Params:
    return (("start", iso(start)), ("end", iso(end)))


def _stored_points(source_id: str, metrics: MetricNames, start: float, end: float) -> Call[Page[LivePoint]]:
    call = calls.query(source_id, metrics, _window(start, end), "raw")
    # As JSON, whatever is installed: a stream's times and values are told apart as the live frames write them.
    return Call(attrs.evolve(call.request, accept=JSON), lambda answer: _page_of(source_id, call.read(answer)))


def _page_of(source_id: str, result: QueryResult) -> Page[LivePoint]:
    # `alert` is judged when a point comes in; the history does not keep it.
    found = [
        LivePoint(source_id, metric, value, timestamp_ms)
        for metric, series in result.series.items()
        if isinstance(series, Series)
        for timestamp_ms, value in zip(series.timestamp_ms, series.value, strict=True)
    ]
    found.sort(key=attrgetter("timestamp_ms"))
    return Page(found, not result.truncated)


def _stored_events(source_id: str, start: float, end: float) -> Call[Page[Event]]:
    call = calls.events(source_id, _window(start, end), None, EVENTS_AT_ONCE, None)

    def read(answer: Any) -> Page[Event]:
        found = call.read(answer)
        return Page(found, len(found) < EVENTS_AT_ONCE)

    return Call(call.request, read)

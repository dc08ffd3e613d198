"""What a stream is asked for, checked, as a plan that either client carries out. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from operator import attrgetter
from typing import Generic, Literal, TypeVar, Union

import attrs

from plexus.api import requests
from plexus.api.requests import MetricNames
from plexus.api.streams import kinds
from plexus.api.streams.clocks import Clocks
from plexus.api.streams.follower import Follower
from plexus.api.streams.kinds import Kind
from plexus.api.streams.shelf import Shelf
from plexus.api.streams.steps import Steps
from plexus.api.streams.viewer import Viewer
from plexus.api.times import Instant, Length, instant_ms, is_length, length_s
from plexus.domain.errors import QueryError
from plexus.domain.event import Event
from plexus.domain.live import LivePoint
from plexus.domain.video import VideoFrame

T = TypeVar("T")

WhenFull = Literal["block", "drop_oldest"]
Since = Union[Length, Instant]
"""How far back ("15m", a timedelta), or from which moment on (aware datetime, ISO text, epoch)."""

QUEUE = 10_000
VIDEO_QUEUE = 16


@attrs.frozen(eq=False)
class Plan(Generic[T]):
    """What to follow and how what came is kept.

    Attributes:
        source_ids: which sources; None for all, those too that come later.
        since_ms: from when on, milliseconds since 1970 UTC; None for from now on.
        steps: the core of one source's stream, from a moment on.
        shelf: makes the queue.
        clocks: of all of it.
    """

    source_ids: tuple[str, ...] | None
    since_ms: float | None
    steps: Callable[[str, float | None], Steps[None]]
    shelf: Callable[[], Shelf[T]]
    clocks: Clocks


def points(
    source_id: str | None,
    metrics: MetricNames,
    *,
    sources: Sequence[str] | None,
    since: Since | None,
    queue: int,
    when_full: WhenFull,
    clocks: Clocks | None = None,
) -> Plan[LivePoint]:
    """Points of a source, of several, or of all; raises QueryError."""
    return _plan(kinds.points(metrics), source_id, sources, since, queue, when_full, clocks or Clocks())


def events(
    source_id: str | None,
    *,
    sources: Sequence[str] | None,
    since: Since | None,
    queue: int,
    when_full: WhenFull,
    clocks: Clocks | None = None,
) -> Plan[Event]:
    """Events of a source, of several, or of all; raises QueryError."""
    return _plan(kinds.events(), source_id, sources, since, queue, when_full, clocks or Clocks())


def video(
    source_id: str,
    camera_id: str | Sequence[str] | None,
    *,
    timeout: float | None,
    queue: int,
    clocks: Clocks | None = None,
) -> Plan[VideoFrame]:
    """Frames of a source's cameras, for `timeout` seconds; raises QueryError."""
    times = clocks or Clocks()
    cameras = () if camera_id is None else (camera_id,) if isinstance(camera_id, str) else tuple(camera_id)
    requests.video_stream(source_id, cameras, timeout)
    return Plan(
        (source_id,),
        None,
        lambda name, _since: Viewer(name, cameras, timeout, times).steps(),
        partial(
            Shelf,
            _checked_queue(queue),
            drop_oldest=True,
            source=attrgetter("source_id"),
            name=attrgetter("camera_id"),
            time_ms=attrgetter("timestamp_ms"),
        ),
        times,
    )


def _plan(
    kind: Kind[T],
    source_id: str | None,
    sources: Sequence[str] | None,
    since: Since | None,
    queue: int,
    when_full: WhenFull,
    clocks: Clocks,
) -> Plan[T]:
    if when_full not in ("block", "drop_oldest"):
        raise QueryError(f'when_full={when_full!r} is not known: use "block" (lose nothing) or "drop_oldest"')
    lossless = when_full == "block"

    def steps(name: str, since_ms: float | None) -> Steps[None]:
        return Follower(kind, name, since_ms=since_ms, lossless=lossless, clocks=clocks).steps()

    shelf = partial(
        Shelf,
        _checked_queue(queue),
        drop_oldest=not lossless,
        source=kind.source,
        name=kind.name,
        time_ms=kind.time_ms,
    )
    since_ms = None if since is None else _since_ms(since, clocks.wall_ms())
    return Plan(_sources(kind, source_id, sources), since_ms, steps, shelf, clocks)


def _sources(kind: Kind[T], source_id: str | None, sources: Sequence[str] | None) -> tuple[str, ...] | None:
    if source_id is not None and sources is not None:
        raise QueryError("give either one source, or sources=[…], not both; neither follows all of them")
    if isinstance(sources, str):
        raise QueryError(f"sources must be a list of names: write sources=[{sources!r}], or name it first")
    if sources is not None and not sources:
        raise QueryError("sources is empty: name at least one, or leave it out for all of them")
    named = None if source_id is None and sources is None else dict.fromkeys(sources or (source_id or "",))
    # What the server would refuse is refused here; the metrics' names too.
    for name in ("any",) if named is None else named:
        kind.request(name)
    return None if named is None else tuple(named)


def _since_ms(since: Since, now_ms: float) -> float:
    if isinstance(since, timedelta) or (isinstance(since, str) and is_length(since)):
        return now_ms - length_s(since) * 1000.0
    return instant_ms(since, "since")


def _checked_queue(queue: int) -> int:
    if isinstance(queue, bool) or not isinstance(queue, int) or queue < 1:
        raise QueryError(f"queue must be a whole number of 1 or more, not {queue!r}")
    return queue


def one_source(plan: Plan[T], source_id: str | None) -> str:
    """The source that is meant: the one that was named, or the only one; QueryError when there are several."""
    if source_id is not None:
        return source_id
    if plan.source_ids is None or len(plan.source_ids) != 1:
        raise QueryError("the stream follows several sources: say which, for example latest('drone-01')")
    return plan.source_ids[0]

"""Committed points as the frames of a stream, each made once for everybody who asks for the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from plexus.domain.values import Value
from plexus.gateway.streams import cursors
from plexus.gateway.streams.asking import Asked
from plexus.gateway.streams.writing import Frame
from plexus.ports.bus import Published
from plexus.protocol import jsontext, live

FRAME_POINTS = 1_000
"""A larger commit becomes several frames: making one holds up the event loop for about a millisecond."""

KEPT = 32
KEPT_BYTES = 256 * 1024
"""Frames of one commit that are kept for the next reader who comes back are at most so many bytes."""

Alert = Callable[[str, str, Value], int]
"""Source, metric, value: 1 when the value is outside of its metric's range, else 0."""


class Renderer:
    """Makes the frames of one organisation's points; `log` names the order of commits for cursors."""

    def __init__(self, log: str, alert: Alert) -> None:
        self._log = log
        self._alert = alert
        self._kept: OrderedDict[tuple[int, Asked], tuple[Published, Sequence[Frame]]] = OrderedDict()

    def frames(self, published: Published, asked: Asked, first: int = 0) -> Iterator[Frame]:
        """The frames of a commit from row `first` on, one after the other; none when nothing of it was asked for."""
        if asked.kind == "events":
            return self._events(published, first)
        return self._metrics(published, asked.metrics, first)

    def replayed(self, published: Published, asked: Asked, first: int = 0) -> Iterator[Frame]:
        """The same, for readers who come back: many do at once, and ask for the same."""
        if first:
            yield from self.frames(published, asked, first)
            return
        name = (id(published), asked)
        known = self._kept.get(name)
        # The commit is kept beside its frames, so that an id cannot come to mean another object.
        if known is not None and known[0] is published:
            yield from known[1]
            return
        made: list[Frame] = []
        for frame in self.frames(published, asked):
            made.append(frame)
            yield frame
        if sum(len(frame.wire) for frame in made) <= KEPT_BYTES:
            self._kept[name] = (published, made)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def _metrics(self, published: Published, wanted: frozenset[str] | None, first: int) -> Iterator[Frame]:
        columns, points = published.columns, list[dict[str, Any]]()
        sources, values, t_ns = columns.source_id, columns.value, columns.t_ns
        for row, (metric, is_event) in enumerate(zip(columns.metric, columns.is_event, strict=True)):
            if row < first or is_event or (wanted is not None and metric not in wanted):
                continue
            if len(points) == FRAME_POINTS:
                yield self._points_frame(points, (published.seq, row))
                points = []
            source_id, value = sources[row], values[row]
            points.append(live.point_object(source_id, metric, value, t_ns[row], self._alert(source_id, metric, value)))
        if points:
            yield self._points_frame(points, (published.seq, len(columns)))

    def _points_frame(self, points: Sequence[Mapping[str, Any]], place: cursors.Place) -> Frame:
        return Frame(_encoded(live.points_frame(points, cursors.write(self._log, place))), len(points))

    def _events(self, published: Published, first: int) -> Iterator[Frame]:
        columns = published.columns
        rows = [row for row, is_event in enumerate(columns.is_event) if is_event and row >= first]
        for row in rows:
            place = (published.seq, row + 1)
            frame = live.event_frame(
                columns.source_id[row],
                columns.metric[row],
                columns.value[row],
                columns.t_ns[row],
                columns.tags[row],
                cursors.write(self._log, place),
            )
            yield Frame(_encoded(frame), 1)


def _encoded(frame: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(frame)
    except orjson.JSONEncodeError:
        # Values nested deeper than it goes: the contract's own writer goes further.
        return jsontext.dumps(frame).encode()

"""The reader of the demo: shows every reading once, those too that were stored while its stream was not there.

A stream delivers what is stored from the moment on at which the gateway has heard it. What was stored before that, at
the start or while a lost connection was made again, is asked for as history when the first reading after it comes by;
what both bring is shown once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from plexus.cli.demo_device import SAMPLE_METRIC
from plexus.cli.demo_view import REFRESH_S, View
from plexus.domain.errors import TransportError
from plexus.domain.live import LivePoint, StreamNotice
from plexus.domain.series import Series

if TYPE_CHECKING:
    from plexus.api import PlexusAPI
    from plexus.api.streams import Stream

KEPT_KEYS = 20_000
"""So many readings are remembered as shown: twice as many as one answer of history holds."""

LAST_WORDS_S = 2.0
"""How long to wait at the end for what was sent last."""

AHEAD_MS = 3_600_000.0
"""How far a window of history reaches into the future, lest a gateway whose clock is ahead keeps something back."""

OVERLAP_MS = 60_000.0
"""History is asked for from so long before the newest reading: what was under way at the loss is older than it."""

_Key = tuple[str, float]


class Audience:
    """Shows the readings of `source_id` from `since_ms` on (milliseconds since 1970 UTC, the gateway's clock)."""

    def __init__(self, api: PlexusAPI, source_id: str, view: View, since_ms: float) -> None:
        self._api = api
        self._source_id = source_id
        self._view = view
        self._since_ms = since_ms
        self._shown: dict[_Key, None] = {}
        self._newest_ms = since_ms
        self._gap = True
        self._last_look: object = 0

    def notice(self, notice: StreamNotice) -> None:
        """The stream's connection came or went."""
        if notice.state == "connected":
            self._gap = True
        self._view.notice(notice)

    def watch(self, stream: Stream[LivePoint], over: Callable[[], bool], length_s: float | None) -> None:
        """Show readings until it is `over`, or so many seconds have gone by."""
        end = None if length_s is None else time.monotonic() + length_s
        while not over() and (end is None or time.monotonic() < end):
            self._take(stream, REFRESH_S if end is None else min(REFRESH_S, end - time.monotonic()))
            self._view.tick()

    def see_the_last(self, stream: Stream[LivePoint], looks: int) -> None:
        """Show what is still on its way, up to this look of the device."""
        end = time.monotonic() + LAST_WORDS_S
        while self._last_look != looks and time.monotonic() < end:
            self._take(stream, end - time.monotonic())
        if self._last_look != looks:
            self._catch_up()

    def _take(self, stream: Stream[LivePoint], timeout: float) -> None:
        point = stream.receive(max(timeout, 0.0))
        if point is None:
            return
        if self._gap:
            # Now that one has come by, whatever is stored later comes by as well.
            self._catch_up()
        self._show(point)

    def _catch_up(self) -> None:
        """Show what history has since shortly before the newest reading that was shown."""
        start_ms = max(self._since_ms, self._newest_ms - OVERLAP_MS)
        try:
            while True:
                found, more = self._history(start_ms)
                for point in found:
                    self._show(point)
                if not more or found[-1].timestamp_ms <= start_ms:
                    break
                start_ms = found[-1].timestamp_ms
        except TransportError:
            # Lost again; asked again when the stream is back.
            return
        self._gap = False

    def _history(self, start_ms: float) -> tuple[list[LivePoint], bool]:
        """The first readings from `start_ms` on, in time, and whether there are more."""
        end_ms = max(time.time() * 1000.0, start_ms) + AHEAD_MS
        result = self._api.metrics.query(self._source_id, start=start_ms, end=end_ms, interval="raw")
        found = [
            LivePoint(self._source_id, metric, value, timestamp_ms)
            for metric, series in result.series.items()
            if isinstance(series, Series)
            for timestamp_ms, value in series
        ]
        found.sort(key=lambda point: (point.timestamp_ms, point.metric == SAMPLE_METRIC))
        return found, result.truncated and bool(found)

    def _show(self, point: LivePoint) -> None:
        key = (point.metric, point.timestamp_ms)
        if key in self._shown:
            return
        self._shown[key] = None
        self._newest_ms = max(self._newest_ms, point.timestamp_ms)
        if len(self._shown) > KEPT_KEYS:
            del self._shown[next(iter(self._shown))]
        if point.metric == SAMPLE_METRIC:
            self._last_look = point.value
        self._view.show(point)

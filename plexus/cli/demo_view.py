"""How the demo shows what arrives: a live table for a person, one line a reading for a pipe, JSON for a program."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from plexus.cli import output
from plexus.cli.spark import trend
from plexus.cli.tail import json_reading, show_reading, tell

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from plexus.api import PlexusAPI
    from plexus.domain.event import Event
    from plexus.domain.live import LivePoint, StreamNotice

TREND_POINTS = 40
EVENTS_SHOWN = 6
REFRESH_S = 0.25


class View(Protocol):
    """Something that shows readings. All methods are called by one thread."""

    def show(self, point: LivePoint) -> None:
        """A reading arrived."""
        ...

    def notice(self, notice: StreamNotice) -> None:
        """The stream's connection came or went."""
        ...

    def tick(self) -> None:
        """Time went on."""
        ...


class Lines:
    """One line a reading, or one JSON object."""

    def __init__(self, *, as_json: bool) -> None:
        self._write: Callable[[LivePoint], None] = json_reading if as_json else show_reading

    def show(self, point: LivePoint) -> None:
        """Write it."""
        self._write(point)

    def notice(self, notice: StreamNotice) -> None:
        """Say it on stderr."""
        tell(notice)

    def tick(self) -> None:
        """Nothing changes with time."""


class LiveTable:
    """A table that is drawn again as readings arrive: newest value, trend, and below it the last events."""

    def __init__(self, title: str, hint: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._title = title
        self._hint = hint
        self._monotonic = monotonic
        self._values: dict[str, deque[object]] = {}
        self._events: deque[Event] = deque(maxlen=EVENTS_SHOWN)
        self._state = "connected"
        self._count = 0
        self._drawn_at = float("-inf")
        self._live: Live | None = None

    @contextlib.contextmanager
    def drawn(self) -> Iterator[None]:
        """Keep the table on the screen."""
        from rich.live import Live

        with Live(self.render(), auto_refresh=False) as self._live:
            yield
            self._draw()

    def show(self, point: LivePoint) -> None:
        """Take a reading in."""
        self._count += 1
        self._values.setdefault(point.metric, deque(maxlen=TREND_POINTS)).append(point.value)
        self.tick()

    def happened(self, event: Event) -> None:
        """Take an event in; any thread may."""
        self._events.append(event)

    def notice(self, notice: StreamNotice) -> None:
        """Show it in the title."""
        self._state = notice.state if notice.state != "lost" else f"gateway away, try {notice.attempt}"
        self._draw()

    def tick(self) -> None:
        """Draw, if the last time was long enough ago."""
        if self._monotonic() - self._drawn_at >= REFRESH_S:
            self._draw()

    def render(self) -> RenderableType:
        """What is on the screen."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        title = Text(f"{self._title}  [{self._state}, {self._count} readings]", style="bold")
        table = Table()
        table.add_column("metric", no_wrap=True)
        table.add_column("value", justify="right", no_wrap=True)
        table.add_column("trend", no_wrap=True)
        for metric in sorted(self._values):
            values = list(self._values[metric])
            table.add_row(Text(output.clean(metric)), Text(output.shown(values[-1])), Text(trend(values)))  # type: ignore[arg-type]
        events = [Text(_told(event), no_wrap=True, overflow="ellipsis") for event in list(self._events)]
        return Group(title, table, *events, Text(self._hint, style="dim"))

    def _draw(self) -> None:
        self._drawn_at = self._monotonic()
        if self._live is not None:
            self._live.update(self.render(), refresh=True)


def _told(event: Event) -> str:
    return f"{output.moment(event.timestamp_ms)}  {output.clean(event.name)}  {output.shown(event.value)}"


@contextlib.contextmanager
def events_shown(api: PlexusAPI, source_id: str, table: LiveTable) -> Iterator[None]:
    """Feed the table with the source's events, from the past hour and as they come, in a thread of its own."""
    for event in api.events.list(source_id, last="1h", tail=EVENTS_SHOWN - 1):
        table.happened(event)
    with api.events.stream(source_id) as stream:

        def follow() -> None:
            for event in stream:
                table.happened(event)

        thread = threading.Thread(target=follow, name="plexus-demo-events", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stream.close()
            thread.join()

"""`api.events`: what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from plexus.api import calls
from plexus.api.clock import now_ms
from plexus.api.tables import EventList
from plexus.api.times import Instant, Length, window
from plexus.domain.event import Event
from plexus.domain.live import StreamNotice

if TYPE_CHECKING:
    from plexus.api.asynclink import AsyncLink
    from plexus.api.streams import AsyncStream, Since, WhenFull


class Events:
    """What happened: `api.events`."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def list(
        self,
        source_id: str,
        *,
        last: Length | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        name: str | None = None,
        limit: int | None = None,
        tail: int | None = None,
    ) -> EventList:
        """Events of a window (see `metrics.query`) in the order of time: the first `limit`, or the last `tail`."""
        stretch = window(last=last, start=start, end=end, now_ms=now_ms())
        return await self._link.ask(calls.events(source_id, stretch, name, limit, tail))

    def stream(
        self,
        source_id: str | None = None,
        *,
        sources: Sequence[str] | None = None,
        since: Since | None = None,
        queue: int = 10_000,
        when_full: WhenFull = "block",
        on_notice: Callable[[StreamNotice], None] | None = None,
    ) -> AsyncStream[Event]:
        """Events as they are stored: an async context manager that iterates. See `metrics.stream`."""
        from plexus.api.streams import AsyncStream, plans

        plan = plans.events(source_id, sources=sources, since=since, queue=queue, when_full=when_full)
        return AsyncStream(self._link, plan, on_notice)

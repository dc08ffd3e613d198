"""`api.fleet`: all sources together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plexus.api import calls
from plexus.api.clock import now_ms
from plexus.api.tables import FleetMetrics
from plexus.api.times import Instant, Length, window
from plexus.domain.source import FleetHealth

if TYPE_CHECKING:
    from plexus.api.asynclink import AsyncLink


class Fleet:
    """All sources together: `api.fleet`."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def health(self) -> FleetHealth:
        """How many sources there are, and how many are online."""
        return await self._link.ask(calls.fleet_health())

    async def metrics(
        self,
        metric: str,
        *,
        last: Length | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        interval: str | None = None,
    ) -> FleetMetrics:
        """One metric over every source, in buckets of "1m", "10m", "1h" or "1d", never raw."""
        stretch = window(last=last, start=start, end=end, now_ms=now_ms())
        return await self._link.ask(calls.fleet_metrics(metric, stretch, interval))

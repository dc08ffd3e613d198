"""A source: one thing that sends (a drone, a rig, a room sensor), as a reader sees it."""

from __future__ import annotations

import attrs


@attrs.frozen
class Source:
    """One source.

    Attributes:
        source_id: its name in the organisation.
        online: an open device socket, or data within the last 30 s.
        last_seen_ms: when the gateway last received from it, milliseconds since 1970 UTC; None if never.
    """

    source_id: str
    online: bool
    last_seen_ms: float | None


@attrs.frozen
class FleetHealth:
    """How many sources there are and how many of them are online."""

    sources_total: int
    sources_online: int

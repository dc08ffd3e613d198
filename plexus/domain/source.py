"""A source: one thing that sends (a drone, a rig, a room sensor), as a reader sees it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from plexus.domain.loss import Loss


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
class Removal:
    """What removing wrong data did, or would do.

    Attributes:
        points: how many metric values and events.
        dry_run: True when they were only counted; False when they are gone for ever.
    """

    points: int
    dry_run: bool


@attrs.frozen
class FleetHealth:
    """How many sources there are and how many of them are online."""

    sources_total: int
    sources_online: int


@attrs.frozen
class Stream:
    """One stream of batches: everything up to `watermark` is stored or was given up by its device.

    `last_heard_ms`: when its newest batch came, milliseconds since 1970 UTC.
    """

    stream: str
    watermark: int
    last_heard_ms: float


@attrs.frozen
class ClockReport:
    """What a device said of its clock: the gateway's is `offset_ms` ahead of it, give or take `error_ms`.

    `told_ms`: when it said so, by the gateway's clock, milliseconds since 1970 UTC.
    """

    offset_ms: float
    error_ms: float
    told_ms: float


@attrs.frozen
class Delivery:
    """The delivery ledger of one source: what was lost on the way, and what came twice and was stored once.

    Attributes:
        source_id: the source.
        lost: how many points its devices had to drop, as far as they could say so yet.
        gaps: those losses, one for each reason; kept as long as the points are.
        batches: named batches that were stored.
        duplicates: batches that were known already: acknowledged, and not stored again.
        gaps_refused: batches that came while one before them was missing, and were asked for again.
        forks: batches whose name was taken by other content.
        dead_letters: how many of the lost ones the gateway had refused for good: the device keeps them to look at.
        streams: the streams of its batches, the one heard of last first.
        clock: what its device last said of its clock; None where it did not.
    """

    source_id: str
    lost: int
    gaps: Sequence[Loss]
    batches: int
    duplicates: int
    gaps_refused: int
    forks: int
    dead_letters: int = 0
    streams: Sequence[Stream] = ()
    clock: ClockReport | None = None

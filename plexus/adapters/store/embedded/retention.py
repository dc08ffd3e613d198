"""Retention: by age and by size whole files are let go, the oldest days first, and series that have nothing left."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from plexus.adapters.store.embedded.files.sealedfile import SealedFile
from plexus.adapters.store.embedded.inside import DAY_NS, Inside, Upkeep
from plexus.adapters.store.embedded.manifest import Change

_log = logging.getLogger(__name__)


def due(files: Sequence[SealedFile], upkeep: Upkeep, now_ns: int) -> list[SealedFile]:
    """Files that are too old, and the oldest of those that are too many."""
    oldest = sorted(files, key=lambda file: (file.last_ns // DAY_NS, file.first_seq, file.name))
    gone = []
    if upkeep.retention_days is not None:
        today = now_ns // DAY_NS
        gone = [file for file in oldest if file.last_ns // DAY_NS < today - upkeep.retention_days]
    if upkeep.retention_bytes is not None:
        left = sum(file.bytes for file in oldest[len(gone) :])
        for file in oldest[len(gone) :]:
            if left <= upkeep.retention_bytes:
                break
            left -= file.bytes
            gone.append(file)
    return gone


def let_go(inside: Inside, gone: Sequence[SealedFile]) -> Iterator[None]:
    """Take these files out of the history, and forget series that had no points in any other."""
    inside.reached("retention.begun")
    with inside.newest.fed() as catalogue:
        lowest = inside.newest.lowest_ns()
        going = {file.name for file in gone}
        times = [file.first_ns for file in inside.shelf.files if file.name not in going]
        starts: list[int] = [*times, *([] if lowest is None else [lowest])]
        horizon = min(starts) if starts else None
        # What ended before everything that is left has nothing left.
        empty = [
            series
            for series in catalogue.ids()
            if (end := catalogue.known(series).end) is not None and (horizon is None or end[1] < horizon)
        ]
        sources = catalogue.emptied(empty)
        inside.manifest.change(Change(out=gone, forgotten=empty, sources=sources))
        inside.reached("retention.swapped")
        inside.shelf.swap(gone, ())
        catalogue.forget(empty)
    inside.reached("retention.shown")
    points = sum(file.points for file in gone if file.kind == "points")
    _log.info(
        "retention: let go of %d files of %s to %s with %d points and %d bytes, and of %d series",
        len(gone),
        min(file.day for file in gone),
        max(file.day for file in gone),
        points,
        sum(file.bytes for file in gone),
        len(empty),
    )
    yield

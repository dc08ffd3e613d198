"""Merging: many small files of a day become a few, so that a question about a day opens a few.

Only neighbours are merged, files between whose rows of the journal no other file of that day and kind has any: of equal
times the order of commit is the order of the files. While a day goes on, files are merged when there are some of about
one size, so that a point is written a few times over, and not with every merge; when it is over, whatever fits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from plexus.adapters.store.embedded import files as history
from plexus.adapters.store.embedded.files.sealedfile import SealedFile
from plexus.adapters.store.embedded.inside import DAY_NS, Inside, Names, Upkeep
from plexus.adapters.store.embedded.manifest import Change
from plexus.adapters.store.embedded.sealing import undone

MAX_FILES = 64
"""Files of one merge, each of which is open while it lasts."""


def merge(inside: Inside, run: Sequence[SealedFile]) -> Iterator[None]:
    """Make one file of these; a StoreError leaves them as they were."""
    inside.reached("merging.begun")
    with inside.newest.still() as catalogue:
        names = Names(catalogue)
    merged = history.merge(inside.folder, run, names)
    inside.reached("merging.written")
    yield
    with undone(inside, [merged]):
        inside.manifest.change(Change(into=[merged], out=run))
    inside.reached("merging.swapped")
    with inside.newest.still():
        inside.shelf.swap(run, [merged])
    inside.reached("merging.shown")


def due(files: Sequence[SealedFile], upkeep: Upkeep, now_ns: int) -> Sequence[SealedFile]:
    """Files that are to be merged next; none when all is well. `files` are in the order of commit."""
    days: dict[tuple[str, str], list[SealedFile]] = defaultdict(list)
    for file in files:
        days[file.day, file.kind].append(file)
    for _, own in sorted(days.items()):
        if len(own) < 2:
            continue
        # What is scattered over a year goes on coming: as on a day that is not over.
        over = not own[0].scattered and max(file.last_ns for file in own) // DAY_NS < now_ns // DAY_NS
        if run := _run(own, upkeep, 2 if over else upkeep.merge_files, over=over):
            return run
    return ()


def _run(own: Sequence[SealedFile], upkeep: Upkeep, least: int, *, over: bool) -> Sequence[SealedFile]:
    """The first stretch of neighbours, as long as it may be, that is worth merging."""
    first = 0
    most = min(upkeep.merge_points, history.AT_ONCE) if own[0].scattered else upkeep.merge_points
    while first < len(own):
        end, points, largest = first, 0, 0
        while end < len(own) and end - first < MAX_FILES and points + own[end].points <= most:
            points += own[end].points
            largest = max(largest, own[end].points)
            end += 1
        if end - first >= least and (over or largest * 2 <= points):
            return own[first:end]
        first += 1
    return ()

"""Files made of files: several of a day merged into one, and one without some of its points.

Rows are read and written series by series, so many at a time as a part of memory holds, whatever the files' size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np

from plexus.adapters.store.embedded.files.bridge import Array
from plexus.adapters.store.embedded.files.reading import Reader
from plexus.adapters.store.embedded.files.rows import Rows, joined, sorted_rows
from plexus.adapters.store.embedded.files.sealedfile import DAY_NS, ROLLUP_NS, SealedFile, SeriesName
from plexus.adapters.store.embedded.files.writing import WORTH, Writer, in_order, is_huge
from plexus.ports.store import Window

AT_ONCE = 500_000
"""Points that are in memory at a time, and as many as a file that is no day's may have."""

_HOUR_NS = ROLLUP_NS["1h"]
_ALWAYS = (-(2**63), 2**63 - 1)


@attrs.frozen
class Remainder:
    """What is left of a file without some of its points, None for nothing, and how many of them there were."""

    file: SealedFile | None
    removed: int


def merge(folder: Path, files: Sequence[SealedFile], names: Mapping[int, SeriesName]) -> SealedFile:
    """One file of several of the same day and kind, between whose journal rows no other file of that day has any.

    `names` is what the series are called now. The old files stay; the new one survives a power cut on return.
    """
    ordered = sorted(files, key=lambda file: file.first_seq)
    with Writer(folder, ordered[0].kind, ordered[0].day, names) as writer:
        for rows, rolled in _merged(folder, ordered, names):
            writer.add(rows, rolled=rolled)
        return writer.finish(ordered[0].first_seq, max(file.last_seq for file in ordered))


def without(
    folder: Path, file: SealedFile, series: Collection[int], window: Window | None, names: Mapping[int, SeriesName]
) -> Remainder:
    """A new file without the points of these series in the window (None: of any time); the old one stays.

    When nothing is removed the file is the old one, and nothing was written.
    """
    going = np.array(sorted(series), np.int32)
    start, end = (file.first_ns, file.last_ns + 1) if window is None else (window.start_ns, window.end_ns)
    reader = Reader(folder)
    removed = reader.count(file, going, start, end)
    if removed in (0, file.points):
        return Remainder(None if removed else file, removed)
    with Writer(folder, file.kind, file.day, names) as writer:
        for rows, rolled in _merged(folder, [file], names):
            stays = ~(np.isin(rows.series, going) & (rows.t_ns >= start) & (rows.t_ns < end))
            writer.add(rows if stays.all() else rows.take(np.flatnonzero(stays)), rolled=rolled)
        return Remainder(writer.finish(file.first_seq, file.last_seq), removed)


def series_of(folder: Path, file: SealedFile) -> set[int]:
    """The series of which a file has points."""
    return set(Reader(folder).index(file).series.tolist())


def _merged(
    folder: Path, files: Sequence[SealedFile], names: Mapping[int, SeriesName]
) -> Iterator[tuple[Rows, bool | None]]:
    """The rows of the files together, sorted as a file is; for parts of a series with whether it is rolled up."""
    reader = Reader(folder)
    indexes = [reader.index(file) for file in files]
    present = np.unique(np.concatenate([index.series for index in indexes]))
    counts = np.sum([index.counts(present) for index in indexes], axis=0)
    for batch in _batches(present, counts, names):
        own = np.sort(batch)
        rank = np.argsort(batch)
        if len(batch) == 1 and int(counts[np.searchsorted(present, batch[0])]) > AT_ONCE:
            rolled = not any(is_huge(rows.num).any() for file in files for rows in reader.rows(file, own, *_ALWAYS))
            yield from ((rows, rolled) for rows in _by_hours(reader, files, own))
            continue
        rows = _together(reader, files, own, rank, _ALWAYS)
        if rows is not None:
            yield rows, None


def _batches(present: Array, counts: Array, names: Mapping[int, SeriesName]) -> Iterator[Array]:
    ordered = np.array(in_order(present.tolist(), names), np.int32)
    total, begin = 0, 0
    for place, own in enumerate(counts[np.searchsorted(present, ordered)].tolist()):
        if place > begin and total + own > AT_ONCE:
            yield ordered[begin:place]
            total, begin = 0, place
        total += own
    yield ordered[begin:]


def _by_hours(reader: Reader, files: Sequence[SealedFile], series: Array) -> Iterator[Rows]:
    """A large series in parts that no bucket of a roll-up is cut by."""
    day = files[0].first_ns // DAY_NS * DAY_NS
    for start in range(day, day + DAY_NS, _HOUR_NS):
        rows = _together(reader, files, series, np.zeros(1, np.int64), (start, start + _HOUR_NS))
        if rows is not None:
            yield rows


def _together(
    reader: Reader, files: Sequence[SealedFile], series: Array, rank: Array, window: tuple[int, int]
) -> Rows | None:
    whole = []
    for file in files:
        parts = list(reader.rows(file, series, *window, extras=True))
        if parts:
            whole.append(joined(parts))
    if not whole:
        return None
    rows = joined(whole)
    return sorted_rows(rows, rank[np.searchsorted(series, rows.series)])


assert WORTH * DAY_NS // ROLLUP_NS["1m"] < AT_ONCE  # so a series that is cut is worth every roll-up

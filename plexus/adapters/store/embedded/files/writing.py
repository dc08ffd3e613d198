"""Points and events of one stretch of the journal become files: one a UTC day and kind, each with its roll-ups.

Points that are scattered over many days lie in one file a year, without roll-ups; see `parting`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from plexus.adapters.store.embedded.files import layout, partials
from plexus.adapters.store.embedded.files.bridge import Array
from plexus.adapters.store.embedded.files.output import Output, faults
from plexus.adapters.store.embedded.files.parting import parted
from plexus.adapters.store.embedded.files.rows import Rows, of_table, run_starts, sorted_rows
from plexus.adapters.store.embedded.files.sealedfile import ROLLUP_NS, Kind, SealedFile, SeriesName
from plexus.adapters.store.embedded.files.sums import HUGE

WORTH = 32
"""Points that a bucket of a roll-up must stand for, on average over a series: with fewer the points are as fast."""

Extras = Mapping[int, tuple[str | None, str | None]]


def _nothing(_: Kind) -> Collection[str]:
    """No day has a file."""
    return ()


def write(
    folder: Path,
    points: pa.Table,
    events: pa.Table,
    names: Mapping[int, SeriesName],
    *,
    extras: Extras,
    first_seq: int,
    last_seq: int,
    owning: Callable[[Kind], Collection[str]] = _nothing,
) -> list[SealedFile]:
    """Make files of the rows of hot tables, which are in the order of commit; they survive a power cut on return.

    `names` has every series of them, and `extras` what their numbers stand for; `owning` is asked for the days that
    have files of a kind already, those that cannot be read included. StoreError when the disk fails; then
    nothing is left of them.
    """
    made: list[SealedFile] = []
    kinds: tuple[tuple[Kind, pa.Table], ...] = (("points", points), ("events", events))
    try:
        for kind, table in kinds:
            for day, rows in parted(of_table(table, extras, places=kind == "events"), partial(owning, kind)):
                writer = Writer(folder, kind, day, names)
                with writer:
                    writer.add(sorted_rows(rows, ranks(rows.series, names)))
                    made.append(writer.finish(first_seq, last_seq))
    except BaseException:
        for file in made:
            for path in file.paths(folder):
                path.unlink(missing_ok=True)
        raise
    return made


class Writer:
    """One sealed file in the making, with its roll-ups. Left as a context without `finish`, nothing is left of it."""

    def __init__(self, folder: Path, kind: Kind, day: str, names: Mapping[int, SeriesName]) -> None:
        self._base = SealedFile(secrets.token_hex(8), day, kind, 0, 0, 0, 0, 0, 0)
        self._folder = folder
        self._path = self._base.path(folder)
        self._file = Output(self._path, layout.POINTS if kind == "points" else layout.EVENTS, names)
        self._rollups = {
            level: Output(self._base.path(folder, level), layout.ROLLUP, names)
            for level in (ROLLUP_NS if kind == "points" and not self._base.scattered else ())
        }
        self._points = 0
        self._ends: list[int] = []
        self._finished = False

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._finished:
            for output in (self._file, *self._rollups.values()):
                output.abandon()

    def add(self, rows: Rows, *, rolled: bool | None = None) -> None:
        """Rows of whole series, sorted as the file is; those that are worth it are rolled up.

        A series that comes in parts is rolled up in all of them or in none, as `rolled` says.
        """
        if not len(rows):
            return
        self._points += len(rows)
        self._ends += [int(rows.t_ns.min()), int(rows.t_ns.max())]
        with faults(self._path, "written"):
            self._file.add(layout.table_of_rows(rows))
            for level, found in _rollups(rows, rolled) if self._rollups and rolled is not False else ():
                self._rollups[level].add(layout.table_of_partials(found))

    def finish(self, first_seq: int, last_seq: int) -> SealedFile:
        """Close everything; what it made is on the disk."""
        with faults(self._path, "written"):
            size = self._file.finish()
            sizes = {level: output.finish() for level, output in self._rollups.items()}
        self._finished = True
        return SealedFile(
            name=self._base.name,
            day=self._base.day,
            kind=self._base.kind,
            points=self._points,
            first_ns=min(self._ends),
            last_ns=max(self._ends),
            bytes=size + sum(sizes.values()),
            first_seq=first_seq,
            last_seq=last_seq,
            rollups=",".join(level for level, own in sizes.items() if own),
        )


def ranks(series: Array, names: Mapping[int, SeriesName]) -> Array:
    """The place of each row's series in the order of a file: organisation, metric, source."""
    present = np.flatnonzero(np.bincount(series)).tolist()
    table = np.zeros(max(present, default=0) + 1, np.int32)
    for place, number in enumerate(in_order(present, names)):
        table[number] = place
    found: Array = table[series]
    return found


def in_order(series: list[int], names: Mapping[int, SeriesName]) -> list[int]:
    """Series in the order of a file."""

    def key(number: int) -> tuple[str, str, str, int]:
        name = names[number]
        return name.org, name.metric, name.source_id, number

    return sorted(series, key=key)


def is_huge(num: Array) -> Array:
    """Whether each number is so large that only a question can hold the sum, which may shrink it."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(num) & (np.abs(num) >= HUGE)


def _rollups(rows: Rows, rolled: bool | None) -> Iterator[tuple[str, partials.Partials]]:
    """The roll-ups of those series that are worth it."""
    heads = run_starts(rows.series)
    counts = np.diff(heads, append=len(rows))
    if rolled is None and int(counts.max()) < WORTH:
        return
    huge = is_huge(rows.num)
    fit = ~np.logical_or.reduceat(huge, heads) if rolled is None and huge.any() else np.ones(len(heads), bool)
    before: tuple[Array, partials.Partials] | None = None
    for level, length in ROLLUP_NS.items():
        worth = fit if rolled else fit & _worth(rows.t_ns // length, heads, counts)
        if not worth.any():
            continue
        if before is not None and (before[0] == worth).all():
            found = partials.merged([before[1]], length)
        else:
            chosen = rows if worth.all() else rows.take(np.flatnonzero(np.repeat(worth, counts)))
            found = partials.of_rows(chosen, length)
        before = worth, found
        yield level, found


def _worth(bucket: Array, heads: Array, counts: Array) -> Array:
    begins = np.ones(len(bucket), bool)
    np.not_equal(bucket[1:], bucket[:-1], out=begins[1:])
    begins[heads] = True
    found: Array = np.add.reduceat(begins.astype(np.int64), heads) * WORTH <= counts
    return found

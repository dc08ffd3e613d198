"""Sealing: rows of the journal, up to a cut, become files of the history.

What is known besides the points (streams, series, arrival times) is written first, in short transactions: it may say
more than the rows up to the cut do, which are then read once more and say it again. Then the files, flushed with their
directories. Then one transaction has the files in and the rows out: before it a new start reads the rows, after it the
files. Then questions see the files in the place of the hot tables, in one step. Then the rows are deleted, in lots.

A kill between any two steps leaves files that the manifest does not name, which the next start unlinks, or rows that
are sealed, which nobody reads. A commit waits for one short transaction at most.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from plexus.adapters.store.embedded import files as history
from plexus.adapters.store.embedded.arrow import Tables
from plexus.adapters.store.embedded.files.sealedfile import SealedFile
from plexus.adapters.store.embedded.inside import Inside, Names
from plexus.adapters.store.embedded.manifest import Change
from plexus.adapters.store.embedded.newest import Stretch
from plexus.domain.errors import StoreError


def seal(inside: Inside, stretch: Stretch) -> Iterator[None]:
    """Seal a closed stretch, in steps; a StoreError leaves it as it was. Yields between steps, with nothing held.

    Whoever stops on the way leaves it as it was, too.
    """
    inside.reached("sealing.begun")
    tables = inside.newest.tables(stretch)
    yield
    yield from _keep(inside, stretch, tables)
    inside.reached("sealing.kept")
    written = _write(inside, stretch, tables)
    inside.reached("sealing.written")
    with undone(inside, written):
        inside.manifest.change(Change(into=written, cut=stretch.last_seq, losses=stretch.lost))
    inside.reached("sealing.swapped")
    with inside.newest.still():
        inside.shelf.swap((), written)
        inside.newest.drop(stretch)
    inside.reached("sealing.shown")
    del tables
    yield from stretch.segment.rows.dissolve()


def _keep(inside: Inside, stretch: Stretch, tables: Tables) -> Iterator[None]:
    """What the stretch's rows say besides their points; some of it may be newer than they are."""
    while inside.streams.keep_some(stretch.last_seq):
        inside.reached("sealing.streams")
        yield
    with inside.newest.still() as catalogue:
        series = catalogue.rows_for(_series_of(tables))
        next_id = catalogue.next_id
        seen_ns = catalogue.all_sources()
    for _ in inside.manifest.keep_series(series, next_id):
        inside.reached("sealing.series")
        yield
    for _ in inside.manifest.keep_sources(seen_ns):
        yield


def _write(inside: Inside, stretch: Stretch, tables: Tables) -> list[SealedFile]:
    with inside.newest.still() as catalogue:
        names = Names(catalogue)
    return history.write(
        inside.folder,
        tables.points,
        tables.events,
        names,
        extras=tables.extras,
        first_seq=stretch.first_seq,
        last_seq=stretch.last_seq,
        owning=lambda kind: {file.day for file in inside.manifest.files() if file.kind == kind},
    )


@contextlib.contextmanager
def undone(inside: Inside, written: Sequence[SealedFile]) -> Iterator[None]:
    """Unlink what was written when it does not come into the manifest.

    After a disk that failed nobody knows whether it did: the next start finds out.
    """
    try:
        yield
    except StoreError:
        inside.journal.check()
        unlink(inside, written)
        raise


def unlink(inside: Inside, files: Sequence[SealedFile]) -> None:
    """Files that the manifest does not name, or not any more."""
    for file in files:
        for path in file.paths(inside.folder):
            path.unlink(missing_ok=True)


def _series_of(tables: Tables) -> list[int]:
    found: list[int] = []
    for table in (tables.points, tables.events):
        found += table.column("series").unique().to_pylist()
    return found

"""What was committed of one source, in the order of commit, read from the journal, which keeps sealed rows a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plexus.adapters.store.embedded.journal import Row
from plexus.adapters.store.embedded.manifest import Rename
from plexus.adapters.store.embedded.record import Block, DamagedRecord, Record, columns_of, spread, tags_of, unpack
from plexus.adapters.store.embedded.renaming import renamed
from plexus.ports.store import Replayed
from plexus.protocol.columnar.arrays import ArrayColumns
from plexus.protocol.columns import Columns

ROWS = 500
"""Rows that one question looks at, at most: what has nothing of the source is to be decoded as well."""

Read = Callable[[int], "Record | None"]
"""The record of a row; None when it is damaged or no longer kept."""


def replay(read: Read, last: int, org: str, source_id: str, first: int, max_points: int) -> Replayed | None:
    """The source's points in rows from `first` on; None when one of them cannot be read, or `first` is after the next.

    `last` is the row that was given out last.
    """
    if not 1 <= first <= last + 1:
        return None
    groups: list[tuple[int, Columns]] = []
    points, seq = 0, first
    while seq <= last and seq < first + ROWS and points < max_points:
        row = read(seq)
        own = None if row is None else _own(row, org, source_id)
        if own is None:
            return None
        if len(own):
            groups.append((seq, own))
            points += len(own)
        seq += 1
    return Replayed(groups, seq)


def was_left(renames: Sequence[Rename], org: str, source_id: str, first: int) -> bool:
    """Whether a source had this name in rows from `first` on that are another's now."""
    return any((one.org, one.source_id) == (org, source_id) and one.seq >= first for one in renames)


def found(row: Row, renames: Sequence[Rename]) -> Record | None:
    """What a row holds, under its sources' names of now."""
    if row.fault:
        return None
    try:
        return renamed(unpack(row.body), row.seq, renames)
    except DamagedRecord:
        return None


def _own(row: Record, org: str, source_id: str) -> Columns | None:
    """The source's points in one record; None when a body in it is damaged."""
    own = Columns()
    for block in row.blocks:
        if block.org == org and source_id in block.seen_ns:
            try:
                own.extend(_plain(block).of_source(source_id))
            except DamagedRecord:
                return None
    return own


def _plain(block: Block) -> Columns:
    columns = columns_of(block)
    if isinstance(columns, ArrayColumns):
        return columns
    count = len(columns)
    return Columns(
        source_id=spread(columns.source_id, count),
        metric=columns.metric,
        t_ns=columns.t_ns,
        is_event=columns.is_event,
        value=columns.value,
        tags=tags_of(columns),
        run_id=spread(columns.run_id, count),
    )

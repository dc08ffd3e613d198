"""What can be read of a damaged spool: its file is set aside under another name, its readable batches move on.

The index of names and the table are two trees of pages: where one is broken the other often still says which batches
there were, so that a loss can be counted.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection
from itertools import count
from pathlib import Path

import attrs

from plexus.adapters.buffer.records import COLUMNS, Packer, RecordDamaged
from plexus.adapters.buffer.spoolfile import connect_existing
from plexus.adapters.privatefile import SIDE_FILES, flush_directory
from plexus.protocol.batch import Batch


@attrs.frozen
class Salvaged:
    """Points that were read, and points that are known to be lost; `exact` when no others can be."""

    saved: int = 0
    lost: int = 0
    exact: bool = True


def set_aside(path: Path) -> Path:
    """Rename a spool and what belongs to it to the first free `…corrupt-N`; raises OSError."""
    aside = next(name for number in count(1) if not (name := path.with_name(f"{path.name}.corrupt-{number}")).exists())
    for side in ("", *SIDE_FILES):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + side).rename(aside.with_name(aside.name + side))
    flush_directory(path.parent)
    return aside


def salvage(aside: Path, released: Collection[int], packer: Packer, keep: Callable[[Batch], None]) -> Salvaged:
    """Hand every batch that can be read to `keep`, oldest first, but for the rows in `released`."""
    connection = connect_existing(aside)
    try:
        named, complete = _named(connection)
        found = Salvaged(exact=complete)
        for row in sorted(set(named) | _seen(connection, spread=not complete)):
            if row not in released:
                found = _save(connection, row, named.get(row), packer, keep, found)
        return found
    finally:
        # A broken file may not even close in good order; it is not needed any more.
        with contextlib.suppress(sqlite3.Error):
            connection.close()


def _save(
    connection: sqlite3.Connection,
    row: int,
    points: int | None,
    packer: Packer,
    keep: Callable[[Batch], None],
    so_far: Salvaged,
) -> Salvaged:
    batch, damaged = _fetch(connection, row, packer)
    if batch is not None:
        keep(batch)
        return attrs.evolve(so_far, saved=so_far.saved + batch.count)
    if points is None and not damaged:
        return so_far  # a number between two rows, at which there is none
    # Without the index nobody knows what was in the row; that there was something is all that can be said.
    return attrs.evolve(so_far, lost=so_far.lost + (points or 1), exact=so_far.exact and points is not None)


def _fetch(connection: sqlite3.Connection, row: int, packer: Packer) -> tuple[Batch | None, bool]:
    """The batch of a row, None where there is none, and whether damage hides it."""
    try:
        record = connection.execute(f"SELECT {COLUMNS} FROM batches WHERE id = ?", (row,)).fetchone()  # noqa: S608 - constants
        return (None, False) if record is None else (packer.unpack(record), False)
    except (sqlite3.DatabaseError, RecordDamaged):
        return None, True


def _named(connection: sqlite3.Connection) -> tuple[dict[int, int], bool]:
    """Points by row, as the index has them, and whether it could be read to its end."""
    rows, complete = _read(connection, "SELECT id, count FROM batches INDEXED BY names")
    return {row[0]: row[1] for row in rows}, complete


def _seen(connection: sqlite3.Connection, *, spread: bool) -> set[int]:
    """Rows of the table: from the front and from the back up to the damage, and with `spread` all between them."""
    upwards, complete = _read(connection, "SELECT id FROM batches ORDER BY id")
    downwards = [] if complete else _read(connection, "SELECT id FROM batches ORDER BY id DESC")[0]
    seen = {row[0] for row in (*upwards, *downwards)}
    return seen | set(range(min(seen), max(seen))) if seen and spread and not complete else seen


def _read(connection: sqlite3.Connection, query: str) -> tuple[list[tuple[int, ...]], bool]:
    """The rows up to the first damage, and whether there was none."""
    rows: list[tuple[int, ...]] = []
    try:
        rows.extend(connection.execute(query))
    except sqlite3.DatabaseError:
        return rows, False
    return rows, True

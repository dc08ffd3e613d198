"""What can be read of a broken spool.

The index of names and the table are two trees of pages: where one is broken the other often still says which batches
there were, so that a loss can be counted.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs

from plexus.adapters.buffer.records import COLUMNS, LossRecord, Packer, RecordDamaged
from plexus.adapters.buffer.spoolfile import connect_existing
from plexus.protocol.batch import Batch

_COLUMNS_OF_LAYOUT_1 = COLUMNS.replace("unsynced, losses", "'', ''")


@attrs.frozen
class Salvaged:
    """Points that were read, and points that are known to be lost; `exact` when no others can be.

    `last_id` is the highest row that there is any sign of.
    """

    saved: int = 0
    lost: int = 0
    exact: bool = True
    last_id: int = 0


class Old:
    """The broken file, for reading; nothing in it is to be trusted. Raises SpoolHeld when somebody has it open."""

    def __init__(self, path: Path) -> None:
        self._connection = connect_existing(path)
        # By what the table has: the number of the layout may be what is broken.
        names = {row[1] for row in self.read("PRAGMA table_info(batches)")[0]}
        is_first = bool(names) and "unsynced" not in names
        columns = _COLUMNS_OF_LAYOUT_1 if is_first else COLUMNS
        self._select = f"SELECT {columns} FROM batches WHERE id = ?"  # noqa: S608 - constants
        self._has_record = not is_first

    def __enter__(self) -> Old:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A broken file may not even close in good order; it is not needed any more.
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def read(self, query: str) -> tuple[list[Any], bool]:
        """The rows up to the first damage, and whether there was none."""
        rows: list[Any] = []
        try:
            rows.extend(self._connection.execute(query))
        except sqlite3.DatabaseError:
            return rows, False
        return rows, True

    def batch(self, row: int, packer: Packer) -> tuple[Batch | None, bool]:
        """The batch of a row, None where there is none, and whether damage hides it."""
        try:
            record = self._connection.execute(self._select, (row,)).fetchone()
            return (None, False) if record is None else (packer.unpack(record), False)
        except (sqlite3.DatabaseError, RecordDamaged):
            return None, True

    def commits(self) -> int | None:
        """Its number of commits; None when it has none that can be read."""
        rows, _complete = self.read("SELECT number FROM commits")
        return rows[0][0] if rows and isinstance(rows[0][0], int) else None

    def losses(self) -> tuple[list[LossRecord], bool]:
        """The record of losses, and whether it is all of it."""
        if not self._has_record:
            return [], True
        return self.read("SELECT reason, count, first_ms, last_ms, checksum FROM losses")


def salvage(old: Old, released: Collection[int], packer: Packer, keep: Callable[[Batch], None]) -> Salvaged:
    """Hand every batch that can be read to `keep`, oldest first, but for the rows in `released`."""
    named, is_all_named = _named(old)
    seen, is_all_seen = _seen(old, spread=not is_all_named)
    rows = sorted(set(named) | seen)
    found = Salvaged(exact=is_all_named or is_all_seen, last_id=rows[-1] if rows else 0)
    for row in rows:
        if row not in released:
            found = _save(old, row, named.get(row), packer, keep, found)
    return found


def _save(
    old: Old, row: int, points: int | None, packer: Packer, keep: Callable[[Batch], None], so_far: Salvaged
) -> Salvaged:
    batch, is_damaged = old.batch(row, packer)
    if batch is not None:
        keep(batch)
        return attrs.evolve(so_far, saved=so_far.saved + batch.count)
    if points is None and not is_damaged:
        return so_far  # a number between two rows, at which there is none
    # Without the index nobody knows what was in the row; that there was something is all that can be said.
    return attrs.evolve(so_far, lost=so_far.lost + (points or 1), exact=so_far.exact and points is not None)


def _named(old: Old) -> tuple[dict[int, int], bool]:
    """Points by row, as the index has them, and whether it could be read to its end."""
    rows, complete = old.read("SELECT id, count FROM batches INDEXED BY names")
    return {row[0]: row[1] for row in rows}, complete


def _seen(old: Old, *, spread: bool) -> tuple[set[int], bool]:
    """Rows of the table: from the front and from the back up to the damage, and with `spread` all between them.

    And whether there was no damage.
    """
    upwards, complete = old.read("SELECT id FROM batches ORDER BY id")
    downwards = [] if complete else old.read("SELECT id FROM batches ORDER BY id DESC")[0]
    seen = {row[0] for row in (*upwards, *downwards)}
    if seen and spread and not complete:
        seen |= set(range(min(seen), max(seen)))
    return seen, complete

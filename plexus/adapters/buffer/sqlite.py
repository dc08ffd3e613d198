"""The spool: sealed batches on disk until they are acknowledged, through kills, power cuts and a disk that goes bad.

Invariants
- A batch is one row: packed body, facts, and a checksum over all of it. Its name and content never change.
- The row's id grows with every `append`; the order of ids is the order of age.
- One file belongs to one process: an exclusive lock, held from open to close, which the system drops with the process.
  Nobody else reads or writes it, so the counts in memory are the counts on disk, less what is released and not deleted.
- `_front` holds the ids of the oldest rows as far as they were asked for, without gaps; `_gone` those that are released
  and still in the file. A row is never in both.

Layout
- `spool-<source>-<n>.db`, mode 0600, with its write-ahead log beside it (`-wal`; no `-shm`: the lock is exclusive). See
  `spoolfile` for the tables, `records` for a row. Directories that had to be made have mode 0700.

Acknowledgement
- `append` returns after the commit was flushed (`synchronous=FULL`): what it took survives a power cut, where the
  storage honours a flush. A commit that fails leaves the file and the counts as they were.
- `release` only notes that rows may go. They leave with the next commit, with FLUSH_AFTER of them, or with `close`: a
  delivery costs no flush of its own. A kill before that brings them back, and their names tell the gateway.
- When the disk fails under a commit nobody knows what is on it, and a second flush that succeeds would prove nothing:
  the spool lets go of the file and refuses to go on. Opening it anew reads what is there.
- A damaged file is set aside whole (`….corrupt-N`) and a new one takes its place with every batch that can still be
  read. What cannot is counted in `lost_points` and named in a warning. Damage in one row costs that row.

After `fork` the child must not touch the parent's file, not even to close it; its copy of the spool is closed to it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from plexus.adapters.buffer.bound import checked_bound
from plexus.adapters.buffer.records import COLUMNS, Packer, RecordDamaged
from plexus.adapters.buffer.salvage import salvage, set_aside
from plexus.adapters.buffer.spoolfile import SpoolDamaged, SpoolFailed, faults, open_file
from plexus.domain.errors import BufferFault
from plexus.protocol.batch import Batch

FLUSH_AFTER = 256
"""Released rows that may wait in the file: what a kill can make a device send again, under known names."""

_INSERT = f"INSERT INTO batches (id, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
_SELECT = f"SELECT {COLUMNS} FROM batches WHERE id = ?"  # noqa: S608 - constants
_FIND = "SELECT id, count FROM batches WHERE stream = ? AND n = ?"

log = logging.getLogger("plexus")

T = TypeVar("T")


class SqliteBuffer:
    """A spool in the file `path`, made when it is not there, of at most `max_points` points.

    Raises SpoolHeld when another client has it open, BufferFault when it cannot be used, ConfigurationError for a bound
    under 1.
    """

    def __init__(self, path: Path, max_points: int) -> None:
        self._path = Path(path).absolute()
        self._max_points = checked_bound(max_points)
        self._packer = Packer()
        self._connection: sqlite3.Connection | None = None
        self._why_closed = "it was closed"
        self._points = 0
        self._lost_points = 0
        self._last_id = 0
        self._front: list[int] = []
        self._gone: set[int] = set()
        try:
            self._open()
        except SpoolDamaged as exc:
            self._mend(exc)
        _spools.add(self)

    # --- the port -------------------------------------------------------------------------------------------

    @property
    def durable(self) -> bool:
        """True."""
        return True

    @property
    def points(self) -> int:
        """How many points are kept."""
        return self._points

    def append(self, batches: Iterable[Batch]) -> list[Batch]:
        """Keep these, all or none, flushed to the disk on return; returns what had to make room."""
        wanted = list(batches)
        return self._guarded(lambda: self._append(wanted))

    def oldest(self, skip: int, count: int) -> list[Batch]:
        """Up to `count` batches in order of age, after the `skip` oldest."""
        return self._guarded(lambda: self._oldest(skip, count))

    def release(self, batches: Iterable[Batch]) -> None:
        """Forget these; their rows leave the file later."""
        wanted = list(batches)
        self._guarded(lambda: self._release(wanted))

    def close(self) -> None:
        """Let go of the file. Never raises; closing twice is fine."""
        if self._connection is None:
            return
        try:
            self._guarded(self._flush)
        except BufferFault as exc:
            log.warning("%s; %d delivered batches will be sent again", exc, len(self._gone))
        self._let_go("it was closed")

    # --- beside the port ------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def lost_points(self) -> int:
        """Points that were in the file and could not be read any more, since it was opened; at least so many."""
        return self._lost_points

    # --- the work, inside `_guarded` ------------------------------------------------------------------------

    def _append(self, batches: list[Batch]) -> list[Batch]:
        connection = self._opened()
        points, last_id, lost = self._points, self._last_id, 0
        evicted: list[tuple[int, Batch | None]] = []
        with _transaction(connection):
            connection.executemany("DELETE FROM batches WHERE id = ?", [(row,) for row in self._gone])
            for batch in batches:
                if connection.execute(_FIND, (batch.stream, batch.n)).fetchone() is None:
                    last_id += 1
                    connection.execute(_INSERT, (last_id, *self._packer.pack(batch)))
                    points += batch.count
            while points > self._max_points:
                row, batch_out, count = self._take_oldest(connection)
                evicted.append((row, batch_out))
                points -= count
                lost += 0 if batch_out is not None else count
        # Only now is it true.
        self._points, self._last_id = points, last_id
        self._gone.clear()
        self._lost_points += lost
        del self._front[: bisect_left(self._front, evicted[-1][0] + 1) if evicted else 0]
        return [batch for _row, batch in evicted if batch is not None]

    def _take_oldest(self, connection: sqlite3.Connection) -> tuple[int, Batch | None, int]:
        row = connection.execute("SELECT MIN(id) FROM batches").fetchone()[0]
        batch, count = self._fetch(connection, row)
        connection.execute("DELETE FROM batches WHERE id = ?", (row,))
        return row, batch, count

    def _oldest(self, skip: int, count: int) -> list[Batch]:
        connection = self._opened()
        found: list[Batch] = []
        while len(found) < count:
            position = skip + len(found)
            self._look_ahead(connection, skip + count)
            if position >= len(self._front):
                break
            row = self._front[position]
            batch, size = self._fetch(connection, row)
            if batch is not None:
                found.append(batch)
            else:
                self._forget(row, size)
                self._lost_points += size
        return found

    def _fetch(self, connection: sqlite3.Connection, row: int) -> tuple[Batch | None, int]:
        """The batch of a row, None when it is damaged, and how many points it has."""
        record = connection.execute(_SELECT, (row,)).fetchone()
        if record is None:
            raise sqlite3.DatabaseError(f"row {row} is missing")
        try:
            batch = self._packer.unpack(record)
        except RecordDamaged as exc:
            # The row's own count is not to be believed; the index has another copy. It is not sorted by row: read all.
            size = connection.execute(
                "SELECT SUM(count) FROM batches INDEXED BY names WHERE +id = ?", (row,)
            ).fetchone()[0]
            log.warning("a batch of %d points in the spool %s is lost: %s", size, self._path, exc)
            return None, size
        return batch, batch.count

    def _look_ahead(self, connection: sqlite3.Connection, length: int) -> None:
        """Know the ids of the `length` oldest rows, as far as there are so many: on from the last one, never from 0."""
        while (missing := length - len(self._front)) > 0:
            last = self._front[-1] if self._front else 0
            rows = connection.execute(
                "SELECT id FROM batches WHERE id > ? ORDER BY id LIMIT ?", (last, missing + len(self._gone))
            ).fetchall()
            kept = [row for (row,) in rows if row not in self._gone]
            self._front += kept[:missing]
            if len(rows) < missing + len(self._gone):
                return

    def _release(self, batches: list[Batch]) -> None:
        connection = self._opened()
        for batch in batches:
            found = connection.execute(_FIND, (batch.stream, batch.n)).fetchone()
            if found is not None and found[0] not in self._gone:
                self._forget(*found)
        if len(self._gone) >= FLUSH_AFTER:
            self._flush()

    def _forget(self, row: int, count: int) -> None:
        self._gone.add(row)
        self._points -= count
        place = bisect_left(self._front, row)
        if place < len(self._front) and self._front[place] == row:
            del self._front[place]

    def _flush(self) -> None:
        """Delete what is released."""
        if self._gone:
            connection = self._opened()
            with _transaction(connection):
                connection.executemany("DELETE FROM batches WHERE id = ?", [(row,) for row in self._gone])
            self._gone.clear()

    # --- faults ---------------------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            with faults(self._path):
                return work()
        except SpoolDamaged as exc:
            self._mend(exc)
        except SpoolFailed as exc:
            self._let_go("the disk failed under it")
            raise BufferFault(f"{exc}; the spool is closed, what was kept is still in it") from exc
        with faults(self._path):
            return work()

    def _mend(self, damage: SpoolDamaged) -> None:
        """Set the file aside, go on with a new one, and take over what can be read."""
        known = self._points if self._connection is not None else None
        released = set(self._gone)
        self._let_go("it is damaged")
        with faults(self._path):
            aside = set_aside(self._path)
        log.warning("%s; it is set aside as %s, and what can be read of it is taken over", damage, aside)
        self._open()
        connection = self._opened()
        with faults(self._path):
            with _transaction(connection):
                found = salvage(aside, released, self._packer, self._take_over)
            self._load(connection)
        lost, exact = (found.lost, found.exact) if known is None else (max(known - found.saved, 0), True)
        self._lost_points += lost
        words = "" if exact else "at least "
        log.warning("%d points of %s were saved, %s%d could not be read", found.saved, aside, words, lost)

    def _take_over(self, batch: Batch) -> None:
        self._last_id += 1
        self._opened().execute(_INSERT, (self._last_id, *self._packer.pack(batch)))

    # --- the file -------------------------------------------------------------------------------------------

    def _open(self) -> None:
        connection = open_file(self._path)
        try:
            with faults(self._path):
                self._load(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _load(self, connection: sqlite3.Connection) -> None:
        query = "SELECT COALESCE(SUM(count), 0) FROM batches INDEXED BY names"
        self._points = connection.execute(query).fetchone()[0]
        self._last_id = connection.execute("SELECT COALESCE(MAX(id), 0) FROM batches").fetchone()[0]
        self._front.clear()
        self._gone.clear()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise BufferFault(f"the spool {self._path} is not open: {self._why_closed}")
        return self._connection

    def _let_go(self, why: str) -> None:
        connection, self._connection = self._connection, None
        self._why_closed = why
        if connection is not None:
            # A file that is broken may not close in good order; its lock goes all the same.
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _disown(self) -> None:
        """In a forked child: closing would check the parent's log into the file and delete it, under the parent."""
        connection, self._connection = self._connection, None
        self._why_closed = "it belongs to the parent process"
        if connection is not None:
            import ctypes

            # SQLite's own advice is not even to close it. One reference too many, so that nothing ever does.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


_spools: weakref.WeakSet[SqliteBuffer] = weakref.WeakSet()


def _disown_all() -> None:
    for spool in list(_spools):
        spool._disown()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A commit that failed for want of room may have ended the transaction by itself.
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise

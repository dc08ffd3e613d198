"""The spool: sealed batches on disk until they are acknowledged, through kills, power cuts and a disk that goes bad.

Invariants
- A batch is one row: packed body, facts, and a checksum over all of it. Its name never changes, its content only by
  `rewrite`.
- The row's id grows with every row that is added; the order of ids is the order of age.
- One file belongs to one process: an exclusive lock, held from open to close, which the system drops with the process.
  Nobody else reads or writes it, so the counts in memory are the counts on disk, less what is released and not deleted.
- A row that is not kept any more (delivered, made room, damaged) stays in the file for a while, and what is owed to the
  record of losses for it with it: both are settled in one transaction. A kill before that brings the batch back, and
  the loss never was.

Layout
- `spool-<source>-<n>.db`, mode 0600, with its write-ahead log beside it (`-wal`; no `-shm`: the lock is exclusive) and
  its ballast (`.ballast`). See `spoolfile` for the tables, `records` for a row. Directories that had to be made have
  mode 0700.

Acknowledgement
- `append` returns after the commit was flushed (`synchronous=FULL`): what it took survives a power cut, where the
  storage honours a flush. A commit that fails leaves the file and the counts as they were. So with all other changes.
- `release` only notes that rows may go. They leave with FLUSH_AFTER of them, with the next change that is no `append`,
  or with `close`: a delivery costs no flush of its own, and a full spool wears out flash little more than one that
  fills. What a kill brings back the gateway knows by its name.

Faults
- When the disk fails under a commit nobody knows what is on it, and a second flush that succeeds would prove nothing:
  what can be read moves into a new file, the old one is set aside (`….failed-N`), and the change is made again, unless
  it is found to be there after all. Where no new file can be made the old one stays in its
  place, closed, for the next start.
- A damaged file is set aside in the same way (`….corrupt-N`). Damage in one row costs that row.
- What had been kept and cannot be read any more is on the record of losses, in `lost_points`, and named in a warning.
- A full disk: appending is refused, nothing kept is lost. Deletions and the record of losses need room as well, for
  which the ballast is let go.

After `fork` the child must not touch the parent's file, not even to close it; its copy of the spool is closed to it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from plexus.adapters.buffer.ballast import Ballast
from plexus.adapters.buffer.bound import checked_bound
from plexus.adapters.buffer.change import Change, Tally, damaged, fetch, find, read_tally
from plexus.adapters.buffer.front import Front
from plexus.adapters.buffer.hiddenlog import check_log, read_log
from plexus.adapters.buffer.layout import transaction
from plexus.adapters.buffer.lossbook import LossBook, enter
from plexus.adapters.buffer.mending import Known, finish_mending, mend
from plexus.adapters.buffer.records import Packer
from plexus.adapters.buffer.spoolfile import SpoolDamaged, SpoolFailed, SpoolFull, faults, open_file, refuse_links
from plexus.domain.errors import BufferFault
from plexus.domain.loss import Loss
from plexus.protocol.batch import Batch

FLUSH_AFTER = 64
"""Rows that are not kept any more and may wait in the file: what a kill can bring back."""

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
        self._ballast = Ballast(self._path)
        self._connection: sqlite3.Connection | None = None
        self._why_closed = "it was closed"
        self._tally = Tally()
        # The change whose commit may be under way, and whether it was found made when that failed.
        self._trying: Change | None = None
        self._is_made = False
        self._front = Front()
        # What goes on the record when the rows that are gone leave the file, and is told until then.
        self._owed: list[Loss] = []
        try:
            self._open()
        except (SpoolDamaged, SpoolFailed) as exc:
            self._mend(exc)
        self._ballast.fill()
        _spools.add(self)

    # --- the port -------------------------------------------------------------------------------------------

    @property
    def durable(self) -> bool:
        """True."""
        return True

    @property
    def points(self) -> int:
        """How many points are kept."""
        return self._tally.points

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        """Keep these, all or none, flushed to the disk on return; returns what had to make room."""
        wanted, kept_out = list(batches), list(spared)

        def work(change: Change) -> list[Batch]:
            for batch in wanted:
                change.insert(batch)
            change.make_room(self._max_points, kept_out)
            return change.evicted

        is_over = self.points + sum(batch.count for batch in wanted) > self._max_points
        return self._changed(work, clear=False, gives_room=is_over)

    def oldest(self, skip: int, count: int) -> list[Batch]:
        """Up to `count` batches in order of age, after the `skip` oldest."""
        return self._guarded(lambda: self._oldest(skip, count))

    def rewrite(self, batches: Iterable[Batch]) -> None:
        """Put these in the place of the batches of the same names, flushed to the disk on return."""
        wanted = list(batches)

        def work(change: Change) -> None:
            for batch in wanted:
                change.rewrite(batch)

        self._changed(work)

    def replace(self, old: Iterable[Batch], new: Iterable[Batch]) -> list[Batch]:
        """Keep the new ones, at the young end, and forget the old, in one step; returns what had to make room."""
        leaving, coming = list(old), list(new)

        def work(change: Change) -> list[Batch]:
            for batch in leaving:
                change.remove(batch)
            for batch in coming:
                change.insert(batch)
            change.make_room(self._max_points, ())
            return change.evicted

        return self._changed(work)

    def release(self, batches: Iterable[Batch]) -> None:
        """Forget these; their rows leave the file later."""
        wanted = list(batches)
        self._guarded(lambda: self._release(wanted))
        if len(self._front.gone) >= FLUSH_AFTER:
            self._flush()

    def lose(self, losses: Iterable[Loss]) -> None:
        """Record these losses, flushed to the disk on return."""
        wanted = list(losses)
        self._changed(lambda change: change.lose(wanted))

    def found(self, losses: Iterable[Loss]) -> None:
        """Take these off the record, flushed to the disk on return."""
        wanted = list(losses)
        self._changed(lambda change: change.declare(wanted))

    def losses(self) -> Sequence[Loss]:
        """What was lost and is in no batch yet."""
        self._opened()
        book: LossBook = dict(self._tally.losses)
        enter(book, self._owed)
        return tuple(book.values())

    def declare(self, batch: Batch) -> list[Batch]:
        """Keep `batch`, and take its losses off the record, in one step; returns what had to make room."""

        def work(change: Change) -> list[Batch]:
            if change.insert(batch):
                change.declare(batch.losses)
            change.make_room(self._max_points, ())
            return change.evicted

        return self._changed(work)

    def close(self) -> None:
        """Let go of the file. Never raises; closing twice is fine."""
        if self._connection is None:
            return
        try:
            self._flush()
        except BufferFault as exc:
            log.warning("%s; %d delivered batches will be sent again", exc, len(self._front.gone))
        self._let_go("it was closed")

    # --- beside the port ------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def lost_points(self) -> int:
        """Points that were in the file and could not be read any more, since it was opened; at least so many."""
        return self._tally.lost_points

    def is_empty(self) -> bool:
        """Whether there is nothing in it to be sent or told."""
        return not self.oldest(0, 1) and not self.losses()

    # --- reading, inside `_guarded` -------------------------------------------------------------------------

    def _oldest(self, skip: int, count: int) -> list[Batch]:
        connection = self._opened()
        found: list[Batch] = []
        while len(found) < count:
            row = self._front.row(connection, skip + len(found))
            if row is None:
                break
            batch, size = fetch(connection, self._packer, row)
            if batch is not None:
                found.append(batch)
            else:
                self._forget(row, size)
                self._owed.append(damaged(size))
                self._tally.lost_points += size
        return found

    def _release(self, batches: list[Batch]) -> None:
        connection = self._opened()
        for batch in batches:
            found = find(connection, batch)
            if found is not None and found[0] not in self._front.gone:
                self._forget(*found)

    def _forget(self, row: int, count: int) -> None:
        self._front.leave(row)
        self._tally.points -= count

    # --- changing -------------------------------------------------------------------------------------------

    def _changed(self, work: Callable[[Change], T], *, clear: bool = True, gives_room: bool = True) -> T:
        """Do `work` in one transaction and flush it.

        `clear`: with the deletions that wait. `gives_room`: on a full disk the ballast is let go for it.
        """
        self._trying, self._is_made = None, False
        done: list[T] = []

        def attempt() -> T:
            if done and self._is_made:
                return done[-1]  # the disk failed under the commit, and it was on the disk after all
            done.append(self._attempt(work, clear=clear or len(self._front.gone) >= FLUSH_AFTER))
            return done[-1]

        try:
            return self._guarded(attempt)
        except SpoolFull:
            if not gives_room:
                raise
        self._ballast.let_go()
        self._shorten_log()
        clear = True
        result = self._guarded(attempt)
        self._shorten_log()
        self._ballast.fill()
        return result

    def _attempt(self, work: Callable[[Change], T], *, clear: bool) -> T:
        connection = self._opened()
        change = Change(connection, self._packer, self._tally, self._front)
        try:
            with transaction(connection):
                if clear:
                    change.clear(self._owed)
                result = work(change)
                change.finish()
                self._trying = change
        except BaseException:
            self._front.cut(self._tally.last_id)
            raise
        self._settle(change)
        return result

    def _settle(self, change: Change) -> None:
        """It is committed: only now is it true."""
        self._tally = change.after
        if change.has_cleared:
            self._front.gone.clear()
            self._owed.clear()
        self._front.gone.difference_update(change.deleted)
        for row in change.deleted:
            self._front.drop(row)
        for row in change.leaving:
            self._front.leave(row)
        self._owed += change.owed
        self._ballast.fill()

    def _flush(self) -> None:
        """Delete what is not kept any more; on a full disk, where even that needs room, later."""
        if not self._front.gone:
            return
        try:
            self._changed(lambda _change: None)
        except SpoolFull:
            log.debug("the disk under %s is full; delivered batches leave it later", self._path)

    def _shorten_log(self) -> None:
        """Bring the log into the file, so that it gives back what it took of a full disk."""
        with contextlib.suppress(sqlite3.Error):
            if self._connection is not None:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # --- faults ---------------------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            with faults(self._path):
                return work()
        except (SpoolDamaged, SpoolFailed) as exc:
            self._mend(exc)
        try:
            with faults(self._path):
                return work()
        except (SpoolDamaged, SpoolFailed) as exc:
            self._let_go("the disk failed under it")
            raise BufferFault(f"{exc}; the spool is closed, what was kept is still in it") from exc

    def _mend(self, fault: SpoolDamaged | SpoolFailed) -> None:
        """Go on with a new file that has every batch that can still be read; raises BufferFault if none can be made."""
        known = None
        if self._connection is not None:
            known = Known(self._tally, self._trying, frozenset(self._front.gone), tuple(self._owed))
        self._let_go("it is damaged" if isinstance(fault, SpoolDamaged) else "the disk failed under it")
        try:
            mended = mend(self._path, fault, known, self._packer)
        except BufferFault as exc:
            raise BufferFault(f"{fault}; no new one can be made: {exc}; what was kept is still in it") from exc
        lost_points = self._tally.lost_points + mended.lost
        self._open()
        self._tally.lost_points, self._is_made = lost_points, mended.made

    # --- the file -------------------------------------------------------------------------------------------

    def _open(self) -> None:
        finish_mending(self._path)
        with faults(self._path):
            refuse_links(self._path)
            log_bytes = read_log(self._path)
        connection = open_file(self._path)
        try:
            with faults(self._path):
                check_log(connection, self._path, log_bytes)
                self._tally = read_tally(connection)
        except BaseException:
            connection.close()
            raise
        self._front.clear()
        self._owed.clear()
        self._connection = connection

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

"""One transaction on the spool's file: what it does there, and what the counts are once it is committed."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterable

import attrs

from plexus.adapters.buffer.front import Front
from plexus.adapters.buffer.lossbook import LossBook, enter, lost_with, strike
from plexus.adapters.buffer.records import COLUMNS, Packer, RecordDamaged, loss_of, loss_record
from plexus.domain.loss import Loss
from plexus.ports.buffer import SPOOL_DAMAGED
from plexus.protocol.batch import Batch

_NAMES = COLUMNS.split(", ")
INSERT = f"INSERT INTO batches (id, {COLUMNS}) VALUES (?, {', '.join('?' for _ in _NAMES)})"  # noqa: S608 - constants
_SELECT = f"SELECT {COLUMNS} FROM batches WHERE id = ?"  # noqa: S608 - constants
_UPDATE = f"UPDATE batches SET {', '.join(f'{name} = ?' for name in _NAMES)} WHERE id = ?"  # noqa: S608 - constants
_DELETE = "DELETE FROM batches WHERE id = ?"
_FIND = "SELECT id, count FROM batches WHERE stream = ? AND n = ?"

log = logging.getLogger("plexus")


@attrs.define
class Tally:
    """What the file holds, known without asking it.

    Attributes:
        points: in rows that are kept.
        last_id: the highest row there ever was.
        commits: how many transactions there were in the file's life that left no new row behind. By this number, or by
            its last row, one is recognised that may have failed.
        losses: the record.
        lost_points: points that could not be read, since the file was opened.
    """

    points: int = 0
    last_id: int = 0
    commits: int = 0
    losses: LossBook = attrs.field(factory=dict)
    lost_points: int = 0

    def copy(self) -> Tally:
        """The same, to be changed apart."""
        return attrs.evolve(self, losses=dict(self.losses))


class Change:
    """The work of one transaction, which the caller begins and ends; what it says holds when it is committed.

    Attributes:
        after: the counts.
        leaves_row: whether the row `after.last_id` is there because of it.
        evicted: the batches that made room.
        leaving: their rows, which leave the file with a later transaction,
        owed: and what goes on the record with them: a kill before that loses nothing, and tells of no loss.
        deleted: rows that left the file, but for those that it did `clear`.
        has_cleared: whether it did.
    """

    def __init__(self, connection: sqlite3.Connection, packer: Packer, before: Tally, front: Front) -> None:
        self.after = before.copy()
        self.leaves_row = False
        self.evicted: list[Batch] = []
        self.leaving: list[int] = []
        self.owed: list[Loss] = []
        self.deleted: list[int] = []
        self._connection = connection
        self._packer = packer
        self._front = front
        self._recorded = before.losses
        self.has_cleared = False

    def clear(self, owed: Iterable[Loss]) -> None:
        """Delete the rows that are not kept any more, and put what is owed for them on the record."""
        self._connection.executemany(_DELETE, [(row,) for row in self._front.gone])
        self.lose(owed)
        self.has_cleared = True

    def insert(self, batch: Batch) -> bool:
        """Keep it at the young end; False if its name is kept already."""
        found = find(self._connection, batch)
        if found is not None and found[0] not in self._front.gone:
            return False
        if found is not None:
            self._delete(found[0])
        self.after.last_id += 1
        self._connection.execute(INSERT, (self.after.last_id, *self._packer.pack(batch)))
        self.after.points += batch.count
        self.leaves_row = True
        return True

    def rewrite(self, batch: Batch) -> None:
        """Put it in the place of the batch of its name, if there is one."""
        found = find(self._connection, batch)
        if found is not None:
            row, count = found
            self._connection.execute(_UPDATE, (*self._packer.pack(batch), row))
            self.after.points += batch.count - count

    def remove(self, batch: Batch) -> None:
        """Forget it, if it is there."""
        found = find(self._connection, batch)
        if found is not None:
            self._delete(found[0])
            self.after.points -= found[1]

    def make_room(self, bound: int, spared: Iterable[Batch]) -> None:
        """Let the oldest go until there are `bound` points."""
        if self.after.points <= bound:
            return
        names = {(batch.stream, batch.n) for batch in spared}
        deleted = set(self.deleted)
        position = 0
        while self.after.points > bound:
            row = self._front.row(self._connection, position)
            if row is None:
                raise sqlite3.DatabaseError("there are fewer points in it than there should be")
            position += 1
            if row not in deleted:
                self._let_go(row, names)

    def lose(self, losses: Iterable[Loss]) -> None:
        """Put these on the record."""
        enter(self.after.losses, losses)

    def declare(self, losses: Iterable[Loss]) -> None:
        """Take these off the record."""
        strike(self.after.losses, losses)

    def finish(self) -> None:
        """Write what changed of the record of losses and, where nothing else shows it, that there was a change."""
        for reason in self._recorded.keys() | self.after.losses.keys():
            loss = self.after.losses.get(reason)
            if loss is None:
                self._connection.execute("DELETE FROM losses WHERE reason = ?", (reason,))
            elif loss != self._recorded.get(reason):
                self._connection.execute("INSERT OR REPLACE INTO losses VALUES (?, ?, ?, ?, ?)", loss_record(loss))
        if not self.leaves_row:
            self.after.commits += 1
            self._connection.execute("UPDATE commits SET number = ?", (self.after.commits,))

    def _let_go(self, row: int, spared: Collection[tuple[str, int]]) -> None:
        batch, count = fetch(self._connection, self._packer, row)
        if batch is not None and not batch.count:
            return
        self.leaving.append(row)
        self.after.points -= count
        if batch is None:
            self.after.lost_points += count
            self.owed.append(damaged(count))
            return
        self.evicted.append(batch)
        if (batch.stream, batch.n) not in spared:
            self.owed += lost_with(batch)

    def _delete(self, row: int) -> None:
        self._connection.execute(_DELETE, (row,))
        self.deleted.append(row)


def find(connection: sqlite3.Connection, batch: Batch) -> tuple[int, int] | None:
    """The row of a name, and how many points it has; None when there is none."""
    found: tuple[int, int] | None = connection.execute(_FIND, (batch.stream, batch.n)).fetchone()
    return found


def fetch(connection: sqlite3.Connection, packer: Packer, row: int) -> tuple[Batch | None, int]:
    """The batch of a row, None when it is damaged, and how many points it has."""
    record = connection.execute(_SELECT, (row,)).fetchone()
    if record is None:
        raise sqlite3.DatabaseError(f"row {row} is missing")
    try:
        batch = packer.unpack(record)
    except RecordDamaged as exc:
        # The row's own count is not to be believed; the index has another copy. It is not sorted by row: read all.
        query = "SELECT SUM(count) FROM batches INDEXED BY names WHERE +id = ?"
        size = connection.execute(query, (row,)).fetchone()[0] or 0
        log.warning("a batch of %d points in the spool %s is lost: %s", size, _file_of(connection), exc)
        return None, size
    return batch, batch.count


def damaged(points: int) -> Loss:
    """The loss of a row that cannot be read; a declaration of losses has no points, and said that there were some."""
    return Loss(SPOOL_DAMAGED, max(1, points))


def read_tally(connection: sqlite3.Connection) -> Tally:
    """What a file holds that is opened anew; raises sqlite3.Error."""
    points = connection.execute("SELECT COALESCE(SUM(count), 0) FROM batches INDEXED BY names").fetchone()[0]
    last_id = connection.execute("SELECT COALESCE(MAX(id), 0) FROM batches").fetchone()[0]
    row = connection.execute("SELECT number FROM commits").fetchone()
    if row is None:
        raise sqlite3.DatabaseError("its number of commits is missing")
    losses: LossBook = {}
    for record in connection.execute("SELECT reason, count, first_ms, last_ms, checksum FROM losses").fetchall():
        try:
            enter(losses, [loss_of(record)])
        except RecordDamaged:
            log.warning("an entry of the record of losses in the spool %s is damaged", _file_of(connection))
            enter(losses, [damaged(0)])
    return Tally(points, last_id, row[0], losses)


def _file_of(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA database_list").fetchone()[2])

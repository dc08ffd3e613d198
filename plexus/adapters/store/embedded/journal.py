"""The journal: the store's truth, one SQLite file that one gateway holds.

Invariants:
- write-ahead log, `synchronous=FULL`, one transaction a group: when `append` returns, its row survives a power cut;
- `seq` counts from 1 without a gap, over what was sealed too, so that a row that is missing is noticed;
- the file is locked from opening to closing; the kernel drops the lock of a process that is killed;
- after the disk failed to read or write, nothing more is appended: a flush that failed is never tried again.

The tables and their format's number are in `schema`; what is known of the history is in `manifest`, over the same file.
Rows up to the cut are sealed: they are what no reader looks at any more, and are deleted in lots that hold nothing up.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import zlib
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from plexus.adapters.privatefile import database_files, link_among, make_private_file
from plexus.adapters.store.embedded import schema
from plexus.domain.errors import StoreError
from plexus.ports.store import StreamInfo
from plexus.protocol.ledger import LET_GO, UNSET_CLOCK_NS

NAME = "journal.db"

DELETED_BYTES = 2 * 1024 * 1024
DELETED_ROWS = 1_000
"""What one transaction deletes of sealed rows, at most (one row at least): some milliseconds."""

REPLAYED_BYTES = 32 * 1024 * 1024
REPLAYED_ROWS = 20_000
"""The newest sealed rows that stay for a while, for streams that were away."""


@attrs.frozen
class StreamRow:
    """A row of `streams`: the stream as it was after journal row `seq`, heard of last at `seen_ns`."""

    org: str
    stream: str
    source_id: str
    watermark: int
    seen_ns: int
    seq: int
    prints: bytes


@attrs.frozen
class Kept:
    """A row of `journal` as it lies there, which `checked` looks at; when `fault` says so, it could not be read."""

    seq: int
    crc: Any = None
    body: Any = None
    fault: str = ""


@attrs.frozen
class Row:
    """A row of `journal` as it was found: when `fault` says what is wrong with it, `body` is worth nothing."""

    seq: int
    body: bytes = b""
    fault: str = ""


class Journal:
    """The file `journal.db` in `data_dir`, which is made when it is not there. Used under `writing`, by any thread.

    Every method raises StoreError, in one line that names the file. `check` before a commit.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME
        self._broken = ""
        self._closed = False
        self.writing = threading.Lock()
        """Held over every use of the file; never for longer than one short transaction takes."""
        with self._faults():
            _make_private(self._path)
            self._connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            with self._faults():
                self._prepare()
                self._cut, self._last = self._ends()
                self._log = format(self.ask("SELECT value FROM counters WHERE name = 'log'")[0][0], "x")
                self._measure()
        except BaseException:
            self._connection.close()
            raise

    def check(self) -> None:
        """Raise StoreError when nothing can be appended any more."""
        if self._broken:
            raise StoreError(f"{self._path}: {self._broken}")

    def append(self, body: bytes, points: int, streams: Sequence[StreamRow]) -> int:
        """Add a group's row, and the streams that leave memory with it, all or nothing, durably; returns its `seq`."""
        seq = self._last + 1
        with self.transaction() as connection:
            connection.execute("INSERT INTO journal VALUES (?, ?, ?, ?)", (seq, points, _crc(seq, body), body))
            self._write(streams)
        self._last = seq
        self._lengths.append(len(body))
        return seq

    def keep(self, streams: Sequence[StreamRow]) -> None:
        """Write streams without a group."""
        with self.transaction():
            self._write(streams)

    def stream(self, org: str, stream: str) -> StreamRow | None:
        """What is kept of a stream."""
        found = self.ask(
            "SELECT org, stream, source_id, watermark, seen_ns, seq, prints FROM streams WHERE org = ? AND stream = ?",
            (org, stream),
        )
        return StreamRow(*found[0]) if found else None

    def streams_of(self, org: str, source_id: str, after: int, limit: int) -> tuple[list[StreamInfo], int | None]:
        """Up to `limit` of the streams that began with this source, from `after` (0) on; what to go on after.

        None when that was all. A stream that is written meanwhile may come twice, and none is missed.
        """
        # By the index on (org, source_id), in which rows are in the order of rowid; never the prints, 16 KiB each.
        found = self.ask(
            "SELECT rowid, stream, watermark, seen_ns FROM streams"
            " WHERE org = ? AND source_id = ? AND rowid > ? ORDER BY rowid LIMIT ?",
            (org, source_id, after, limit),
        )
        known = [StreamInfo(*row) for _, *row in found if row[1] != LET_GO]
        return known, found[-1][0] if len(found) == limit else None

    def let_go_of_streams(self, before_ns: int, limit: int, spared: Collection[tuple[str, str]]) -> int:
        """Let go of streams that nobody heard of since then, so many at once, but those; how many.

        Their rows stay, without prints and out of the way of the index on `seen_ns`: some 140 bytes that keep a batch
        that comes after all from being taken for one of a new stream. What was heard of by a clock that was not set
        stays whole.
        """
        silent = self.ask(
            "SELECT org, stream FROM streams WHERE seen_ns < ? AND seen_ns > ?", (before_ns, UNSET_CLOCK_NS)
        )
        gone = [stream for stream in silent if stream not in spared][:limit]
        if gone:
            with self.transaction() as connection:
                connection.executemany(
                    f"UPDATE streams SET watermark = {LET_GO:d}, seen_ns = 0, prints = x''"  # noqa: S608 - a number
                    " WHERE org = ? AND stream = ?",
                    gone,
                )
        return len(gone)

    @property
    def last(self) -> int:
        """The last row that was given out."""
        return self._last

    def rows(self) -> Iterator[Row]:
        """Every row that is not sealed, in order; one that is damaged says so, and the next one follows."""
        for seq in range(self._cut + 1, self._last + 1):
            yield checked(self.kept(seq))

    @property
    def cut(self) -> int:
        """The last row that is sealed."""
        return self._cut

    def move_cut(self, connection: sqlite3.Connection, cut: int) -> None:
        """Rows up to `cut` are sealed, once the transaction of this connection is through; see `moved`."""
        connection.execute("INSERT OR REPLACE INTO counters VALUES ('cut', ?)", (cut,))

    def moved(self, cut: int) -> None:
        """That transaction is through."""
        self._sealed_bytes += sum(self._lengths[self._cut + 1 - self._lowest : cut + 1 - self._lowest])
        self._cut = cut

    def delete_sealed(self, *, keep: bool = True) -> bool:
        """Delete a lot of the oldest sealed rows, when more are kept than `replay` needs (`keep`); whether it did."""
        total, rows = 0, 0
        for length in self._lengths[: min(self._cut + 1 - self._lowest, DELETED_ROWS)]:
            excess = self._sealed_bytes - total > REPLAYED_BYTES or self._cut + 1 - self._lowest - rows > REPLAYED_ROWS
            if (keep and not excess) or (rows and total + length > DELETED_BYTES):
                break
            total += length
            rows += 1
        if not rows:
            return False
        with self.transaction() as connection:
            connection.execute("DELETE FROM journal WHERE seq < ?", (self._lowest + rows,))
            connection.execute("DELETE FROM renames WHERE seq < ?", (self._lowest + rows,))
        self._lowest += rows
        self._sealed_bytes -= total
        del self._lengths[:rows]
        return True

    def end(self) -> tuple[str, int]:
        """The name of this journal's numbering, and `last`; a copy that goes on by itself has another name.

        Without `writing`.
        """
        if self._closed:
            raise StoreError(f"{self._path}: the store is closed")
        return self._log, self._last

    def copy_to(self, copy: sqlite3.Connection, pages: int, progress: Callable[[int, int, int], object]) -> None:
        """Copy the whole file, what is committed meanwhile included; `progress` is called between its pieces."""
        self._connection.backup(copy, pages=pages, progress=progress, sleep=0.0)

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of one question about the file."""
        with self._faults():
            return self._connection.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """What is done inside is durable after it, or nothing of it is done."""
        with self._faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A full or failing disk has often ended the transaction by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let go of the file; closing twice is fine."""
        self._broken, self._closed = self._broken or "the store is closed", True
        with self._faults():
            self._connection.close()

    def kept(self, seq: int) -> Kept:
        """One row, sealed or not."""
        # One by one and by key: a page that cannot be read takes its own row with it and no other.
        try:
            found = self._connection.execute("SELECT crc, body FROM journal WHERE seq = ?", (seq,)).fetchone()
        except sqlite3.DatabaseError as exc:
            return Kept(seq, fault=str(exc))
        return Kept(seq, fault="it is missing") if found is None else Kept(seq, *found)

    def damaged(self, seq: int, what: str) -> str:
        """A sentence about a row that cannot be read."""
        return f"{self._path}: journal row {seq} cannot be read: {what}; its points are lost, all others are here"

    def _write(self, streams: Iterable[StreamRow]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO streams (org, stream, source_id, watermark, seen_ns, seq, prints)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [attrs.astuple(row) for row in streams],
        )

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA locking_mode=EXCLUSIVE")
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=FULL")
        execute("BEGIN EXCLUSIVE")
        found = schema.found(self._connection)
        if found > schema.VERSION:
            raise StoreError(
                f"{self._path} has format {found}, and this version of Plexus reads up to {schema.VERSION}: "
                "a newer one wrote it; update Plexus, or name another data directory"
            )
        schema.prepare(self._connection)
        execute("COMMIT")

    def _ends(self) -> tuple[int, int]:
        """The last row that is sealed, and the last one that was given out."""
        one = "SELECT coalesce(max({}), 0) FROM {}"
        cut = int(self._connection.execute(one.format("value", "counters WHERE name = 'cut'")).fetchone()[0])
        last = int(self._connection.execute(one.format("seq", "journal")).fetchone()[0])
        return cut, max(cut, last)

    def _measure(self) -> None:
        """How long each row is that is there; one that is missing has no length."""
        execute = self._connection.execute
        self._lowest = int(execute("SELECT coalesce(min(seq), ?) FROM journal", (self._last + 1,)).fetchone()[0])
        self._lengths = array("Q", bytes(8 * (self._last + 1 - self._lowest)))
        for seq, length in execute("SELECT seq, length(body) FROM journal"):
            self._lengths[seq - self._lowest] = length
        self._sealed_bytes = sum(self._lengths[: max(0, self._cut + 1 - self._lowest)])

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise StoreError(f"{self._path}{self._diagnosis(exc)}") from exc
        except OSError as exc:
            raise StoreError(f"{self._path}: {exc.strerror}; check that the directory is yours and writable") from exc

    def _diagnosis(self, exc: sqlite3.Error) -> str:
        name: Any = getattr(exc, "sqlite_errorname", "")
        if name == "SQLITE_BUSY":
            return " is in use by another gateway: stop it, or name another data directory"
        if name == "SQLITE_FULL":
            return ": the disk is full; nothing of this was stored, and it goes on when there is room"
        if name.startswith("SQLITE_IOERR"):
            self._broken = f"the disk failed ({exc}); nothing more is stored until the gateway is started again"
            return f": {self._broken}"
        return f": {exc}; check the disk, and that the file is Plexus's own"


def checked(kept: Kept) -> Row:
    """The row, or what is wrong with it. It takes the longer the larger it is, and no lock."""
    if kept.fault:
        return Row(kept.seq, fault=kept.fault)
    if not isinstance(kept.body, bytes) or kept.crc != _crc(kept.seq, kept.body):
        return Row(kept.seq, fault="its checksum does not match")
    return Row(kept.seq, kept.body)


def _crc(seq: int, body: bytes) -> int:
    """Of the number too: a row in another's place is a damaged one."""
    return zlib.crc32(body, seq & 0xFFFFFFFF)


def _make_private(path: Path) -> None:
    """Make the file for its owner alone, before SQLite opens it and gives its mode to the log."""
    if (link := link_among(database_files(path))) is not None:
        raise StoreError(f"{link} is a symbolic link; the journal must be a file of its own: remove the link")
    make_private_file(path)

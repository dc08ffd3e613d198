"""The journal: the store's truth, one SQLite file that one gateway holds.

Invariants:
- write-ahead log, `synchronous=FULL`, one transaction a group: when `append` returns, its row survives a power cut;
- `seq` counts from 1 without a gap, over what was sealed too, so that a row that is missing is noticed;
- the file is locked from opening to closing; the kernel drops the lock of a process that is killed;
- after the disk failed to read or write, nothing more is appended: a flush that failed is never tried again.

Tables:
- `journal`: one row a group: `points` in it, `crc` over `seq` and `body`, and `body`, a record;
- `streams`: what is no longer in memory of the streams, as it was after row `seq`. What later rows say of a stream
  comes on top: a stream is written here when it leaves memory, and not with every batch;
- `sealed`: the manifest, which files hold which rows that are no longer in `journal`. A file is added and its rows
  are deleted in one transaction, and who reads begins after the last sealed row: nothing is seen twice or missed.

The format's number is SQLite's `user_version`. An older one would be migrated, a newer one is refused.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from plexus.adapters.privatefile import database_files, link_among, make_private_file
from plexus.domain.errors import StoreError

NAME = "journal.db"
VERSION = 1
_SCHEMA = (
    """CREATE TABLE journal (
        seq INTEGER PRIMARY KEY, points INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL)""",
    """CREATE TABLE streams (
        org TEXT NOT NULL, stream TEXT NOT NULL, source_id TEXT NOT NULL, watermark INTEGER NOT NULL,
        seen_ns INTEGER NOT NULL, seq INTEGER NOT NULL, prints BLOB NOT NULL, PRIMARY KEY (org, stream))""",
    """CREATE TABLE sealed (
        file TEXT PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, points INTEGER NOT NULL)""",
)


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
class Row:
    """A row of `journal` as it was found: when `fault` says what is wrong with it, `body` is worth nothing."""

    seq: int
    body: bytes = b""
    fault: str = ""


class Journal:
    """The file `journal.db` in `data_dir`, which is made when it is not there. Used by one thread at a time.

    Every method raises StoreError, in one line that names the file. `check` before a commit.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME
        self._broken = ""
        with self._faults():
            _make_private(self._path)
            self._connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            with self._faults():
                self._prepare()
                self._first, self._last = self._ends()
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
        with self._transaction() as connection:
            connection.execute("INSERT INTO journal VALUES (?, ?, ?, ?)", (seq, points, _crc(seq, body), body))
            self._write(streams)
        self._last = seq
        return seq

    def keep(self, streams: Sequence[StreamRow]) -> None:
        """Write streams without a group."""
        with self._transaction():
            self._write(streams)

    def stream(self, org: str, stream: str) -> StreamRow | None:
        """What is kept of a stream."""
        with self._faults():
            found = self._connection.execute(
                "SELECT org, stream, source_id, watermark, seen_ns, seq, prints FROM streams"
                " WHERE org = ? AND stream = ?",
                (org, stream),
            ).fetchone()
        return StreamRow(*found) if found else None

    def rows(self) -> Iterator[Row]:
        """Every row that is not sealed, in order; one that is damaged says so, and the next one follows."""
        for seq in range(self._first, self._last + 1):
            yield self._row(seq)

    def close(self) -> None:
        """Let go of the file; closing twice is fine."""
        self._broken = self._broken or "the store is closed"
        with self._faults():
            self._connection.close()

    def _row(self, seq: int) -> Row:
        # One by one and by key: a page that cannot be read takes its own row with it and no other.
        try:
            found = self._connection.execute("SELECT crc, body FROM journal WHERE seq = ?", (seq,)).fetchone()
        except sqlite3.DatabaseError as exc:
            return Row(seq, fault=str(exc))
        if found is None:
            return Row(seq, fault="it is missing")
        crc, body = found
        if not isinstance(body, bytes) or crc != _crc(seq, body):
            return Row(seq, fault="its checksum does not match")
        return Row(seq, body)

    def damaged(self, seq: int, what: str) -> str:
        """A sentence about a row that cannot be read."""
        return f"{self._path}: journal row {seq} cannot be read: {what}; its points are lost, all others are here"

    def _write(self, streams: Sequence[StreamRow]) -> None:
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
        found = int(execute("PRAGMA user_version").fetchone()[0])
        if found > VERSION:
            raise StoreError(
                f"{self._path} has format {found}, and this version of Plexus reads up to {VERSION}: "
                "a newer one wrote it; update Plexus, or name another data directory"
            )
        if found == 0:
            for statement in _SCHEMA:
                execute(statement)
            execute(f"PRAGMA user_version={VERSION:d}")
        execute("COMMIT")

    def _ends(self) -> tuple[int, int]:
        """The first row that is not sealed, and the last row that was given out."""
        one = "SELECT coalesce(max({}), 0) FROM {}"
        cut = int(self._connection.execute(one.format("last_seq", "sealed")).fetchone()[0])
        last = int(self._connection.execute(one.format("seq", "journal")).fetchone()[0])
        return cut + 1, max(cut, last)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
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


def _crc(seq: int, body: bytes) -> int:
    """Of the number too: a row in another's place is a damaged one."""
    return zlib.crc32(body, seq & 0xFFFFFFFF)


def _make_private(path: Path) -> None:
    """Make the file for its owner alone, before SQLite opens it and gives its mode to the log."""
    if (link := link_among(database_files(path))) is not None:
        raise StoreError(f"{link} is a symbolic link; the journal must be a file of its own: remove the link")
    make_private_file(path)

"""A private SQLite file: what the adapters that keep their truth in one have in common.

Invariants:
- the file is made with mode 0600 before SQLite opens it, and SQLite gives that mode to its `-wal` and `-shm`;
- a symbolic link in the place of any of the three is refused: somebody else put it there;
- write-ahead log and `synchronous=FULL`: a transaction that returned survives a power cut, readers of other processes
  are never in the way;
- one connection, shared by threads under a lock; every fault of SQLite leaves here as a StoreError naming the file.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plexus.adapters.privatefile import database_files, link_among, make_private_file
from plexus.domain.errors import StoreError

BUSY_TIMEOUT_S = 10.0


class SqliteFile:
    """A file with a schema of its own: the first of `schemas` makes a new one, each further one the next format of it.

    Raises StoreError when it cannot be opened, is no database, or was written by a newer version.
    """

    def __init__(self, path: Path, *schemas: str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        with self._faults():
            _refuse_links(self._path)
            make_private_file(self._path)
            self._connection = sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        try:
            with self._faults():
                self._prepare(schemas)
        except BaseException:
            self._connection.close()
            raise

    def read(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of one query, on one consistent cut."""
        with self._lock, self._faults():
            return self._connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone among all processes: durable when the block ends, undone when it raises."""
        with self._lock, self._faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A commit that failed for a full disk has ended the transaction by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy, under the same name, into a folder that is there; others go on meanwhile."""
        target = Path(folder) / self._path.name
        with self._faults():
            make_private_file(target)
        with self._lock, self._faults(), contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
            self._connection.backup(copy)
            # A file of its own, without a log beside it: it is to be carried away.
            copy.execute("PRAGMA journal_mode=DELETE")

    def close(self) -> None:
        """Let go of the file; closing twice is fine."""
        with self._lock:
            self._connection.close()

    def _prepare(self, schemas: Sequence[str]) -> None:
        _set_wal(self._connection)
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("BEGIN IMMEDIATE")
        found = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if found > len(schemas):
            raise StoreError(
                f"{self._path} has format {found}, this version of Plexus reads up to {len(schemas)}: "
                "it was written by a newer one; update Plexus, or name another data directory"
            )
        for schema in schemas[found:]:
            for statement in schema.split(";"):
                self._connection.execute(statement)
        if found < len(schemas):
            self._connection.execute(f"PRAGMA user_version={len(schemas):d}")
        self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise StoreError(f"{self._path}: {exc}; check the disk, and that the file is Plexus's own") from exc
        except OSError as exc:
            raise StoreError(f"{self._path}: {exc.strerror}; check that the directory is yours and writable") from exc


def damage(path: Path) -> list[str]:
    """What SQLite finds wrong with a database, in its words; the file is not changed. Nothing: it is whole."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    except sqlite3.Error as exc:
        return [str(exc)]
    return [] if found == ["ok"] else found


def _refuse_links(path: Path) -> None:
    if (link := link_among(database_files(path))) is not None:
        raise StoreError(f"{link} is a symbolic link; Plexus keeps secrets only in a file of its own: remove it")


def _set_wal(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; SQLite does not wait by itself when two processes do this at once."""
    end = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) or time.monotonic() >= end:
                raise
            time.sleep(0.01)
        else:
            return

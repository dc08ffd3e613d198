"""The spool's file: made private, opened by one process at a time, and what its errors mean. Its tables: `layout`.

Pages of 512 bytes, because flash wears out by what is written. A device that is offline commits four small batches a
second, and SQLite's log takes every page that a commit touches, about five: the leaf of the new row, its parent, the
first page, a leaf of the index and a freed page. `bench/spool.py`, columnar batches of 16 points, ext4, kB/s that the
kernel counts as written, while the spool fills and while the oldest make room (1 TB a year is 31.7):

    page size  512, a checkpoint each 1,000 pages   27 and 31
    page size 1024, a checkpoint each 1,000 pages   32 and 35
    page size 4096, a checkpoint each 1,000 pages   75

A checkpoint each 500 pages costs 2 more, each 4,000 saves 1. The smallest pages are the fastest too, since commits are
what costs: 400,000 points/s in, flushed by the hundred, where 4,096 gives 285,000. `psow=0` would be safe against
storage that tears what it does not write, and costs three times as much (93), since it logs eight pages for each one.
What a checkpoint brings into the file is less than the ballast: see `ballast`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from plexus.adapters.buffer.layout import mend_texts, prepare
from plexus.adapters.privatefile import database_files, flush_directory, link_among, make_private_file
from plexus.domain.errors import BufferFault

PAGE_BYTES = 512
_CHECKPOINT_PAGES = 1_000
_WAL_BYTES = 1024 * 1024
_PRAGMAS = (
    f"page_size={PAGE_BYTES}",
    "locking_mode=EXCLUSIVE",
    "synchronous=FULL",
    "fullfsync=1",
    "secure_delete=OFF",  # some builds overwrite what is deleted, which wears out flash and needs room
    f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
    f"journal_size_limit={_WAL_BYTES}",
)


class SpoolHeld(BufferFault):
    """Another buffer, of this process or another, has the file open."""


class SpoolDamaged(BufferFault):
    """The file's content is broken."""


class SpoolFull(BufferFault):
    """The disk is full; nothing was changed."""


class SpoolFailed(BufferFault):
    """The disk failed while the file was written or read: how much of the last change is on it is not known."""


def open_file(path: Path) -> sqlite3.Connection:
    """Open the spool, or make it; raises SpoolHeld, SpoolDamaged, SpoolFailed, or BufferFault for anything else."""
    with faults(path):
        refuse_links(path)
        make_private_file(path)
        connection = _connect(path)
        try:
            _lock(connection)
            prepare(connection, path)
            # SQLite has made the write-ahead log by now; its name is to outlive a power cut too.
            flush_directory(path.parent)
        except BaseException:
            connection.close()
            raise
        return connection


@contextlib.contextmanager
def faults(path: Path) -> Iterator[None]:
    """Translate what SQLite and the system say into what a person can act on."""
    try:
        yield
    except sqlite3.OperationalError as exc:
        raise _operational(path, exc) from exc
    except sqlite3.DatabaseError as exc:
        if type(exc) is sqlite3.DatabaseError:  # "malformed", "not a database"; the subclasses are other faults
            raise SpoolDamaged(f"the spool {path} is damaged: {exc}") from exc
        raise BufferFault(f"the spool {path} cannot be used: {exc}") from exc
    except OSError as exc:
        raise BufferFault(
            f"the spool {path} cannot be opened: {exc.strerror or exc}; check that its directory exists, is yours and "
            "can be written, or set another PLEXUS_HOME"
        ) from exc


def _operational(path: Path, exc: sqlite3.DatabaseError) -> BufferFault:
    text = str(exc)
    if "locked" in text:
        return SpoolHeld(f"the spool {path} is in use by another client: each has a file of its own, name another one")
    if "full" in text:
        return SpoolFull(f"the spool {path} cannot grow: the disk is full; free some space, nothing kept is lost")
    if "no such" in text or "has no column" in text:
        return SpoolDamaged(f"the spool {path} is damaged: {text}")
    if "disk I/O" in text:
        return SpoolFailed(
            f"the disk failed under the spool {path}: {text}; check the disk or card and its log (dmesg)"
        )
    return BufferFault(
        f"the spool {path} cannot be read or written: {text}; check the disk, and that the file and its directory are "
        "yours"
    )


def connect_existing(path: Path) -> sqlite3.Connection:
    """A connection to a broken file, for reading what can be read of it; raises sqlite3.Error, SpoolHeld."""
    connection = _connect(path)
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        # Or SQLite reads nothing at all of a file that is shorter than its first page says.
        connection.execute("PRAGMA writable_schema=ON")
        if mend_texts(connection):
            # It has read them already, as they were.
            connection.close()
            return connect_existing(path)
    except sqlite3.DatabaseError as exc:
        if "locked" in str(exc):
            # Somebody mended it meanwhile; what looks like damage is a lock.
            connection.close()
            raise _operational(path, exc) from exc
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    # `mode=rw`: SQLite must not make a file by itself, with a mode of its own choice.
    connection = sqlite3.connect(
        path.as_uri() + "?mode=rw", uri=True, timeout=0.0, isolation_level=None, check_same_thread=False
    )
    # Text that a flipped bit has broken is for the row's checksum to find, not for the decoder to trip over.
    connection.text_factory = _read_text
    return connection


def _read_text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _lock(connection: sqlite3.Connection) -> None:
    """Take the file for this connection alone, until it is closed or the process ends, and write ahead, flushed."""
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise sqlite3.OperationalError(f"this file system allows no write-ahead log ({mode})")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")


def refuse_links(path: Path) -> None:
    """Raise BufferFault for a symbolic link in the place of a spool or of what belongs to it."""
    if (link := link_among(database_files(path))) is not None:
        raise BufferFault(f"{link} is a symbolic link: a spool is a file of its own; remove the link")

"""The spool's file: made private, opened by one process at a time, and what its errors mean.

Layout 1: `batches(id, stream, n, count, digest, needs, first_ms, last_ms, packing, checksum, body)`, and the index
`names(stream, n, count)`, which finds a batch by its name and counts points without touching bodies. The number of the
layout stands in `user_version` and again in `application_id`: one flipped bit is not taken for a newer release.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from plexus.adapters.privatefile import database_files, flush_directory, link_among, make_private_file
from plexus.domain.errors import BufferFault

LAYOUT = 1
_APPLICATION = 0x504C5800  # "PLX", and a byte for the layout

_SCHEMA = (
    """CREATE TABLE batches (
        id INTEGER PRIMARY KEY, stream TEXT NOT NULL, n INTEGER NOT NULL, count INTEGER NOT NULL, digest TEXT NOT NULL,
        needs TEXT NOT NULL, first_ms REAL NOT NULL, last_ms REAL NOT NULL, packing INTEGER NOT NULL,
        checksum INTEGER NOT NULL, body BLOB NOT NULL
    )""",
    "CREATE UNIQUE INDEX names ON batches (stream, n, count)",
    f"PRAGMA user_version={LAYOUT}",
    f"PRAGMA application_id={_APPLICATION | LAYOUT}",
)

_WAL_BYTES = 4 * 1024 * 1024


class SpoolHeld(BufferFault):
    """Another buffer, of this process or another, has the file open."""


class SpoolDamaged(BufferFault):
    """The file's content is broken."""


class SpoolFailed(BufferFault):
    """The disk failed while the file was written or read: how much of the last change is on it is not known."""


def open_file(path: Path) -> sqlite3.Connection:
    """Open the spool, or make it; raises SpoolHeld, SpoolDamaged, SpoolFailed, or BufferFault for anything else."""
    with faults(path):
        _refuse_links(path)
        make_private_file(path)
        connection = _connect(path)
        try:
            _lock(connection)
            _prepare(connection, path)
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


def _operational(path: Path, exc: sqlite3.OperationalError) -> BufferFault:
    text = str(exc)
    if "locked" in text:
        return SpoolHeld(f"the spool {path} is in use by another client: each has a file of its own, name another one")
    if "full" in text:
        return BufferFault(f"the spool {path} cannot grow: the disk is full; free some space, nothing kept is lost")
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
    """A connection to a file that is there, for reading what can be read of it; raises sqlite3.Error."""
    connection = _connect(path)
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    # Or SQLite reads nothing at all of a file that is shorter than its first page says.
    connection.execute("PRAGMA writable_schema=ON")
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
    for pragma in ("locking_mode=EXCLUSIVE", "synchronous=FULL", "fullfsync=1", f"journal_size_limit={_WAL_BYTES}"):
        connection.execute(f"PRAGMA {pragma}")
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise sqlite3.OperationalError(f"this file system allows no write-ahead log ({mode})")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not tables and not version and not application:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("COMMIT")
    elif application == _APPLICATION | version:
        if version > LAYOUT:
            raise BufferFault(
                f"the spool {path} was written by a newer release of Plexus (layout {version}, this one knows "
                f"{LAYOUT}): upgrade, or set another PLEXUS_HOME; what is in it stays there"
            )
    elif "batches" not in tables:
        raise BufferFault(f"{path} is a database, but no spool of Plexus: name another file, it is left as it is")
    else:
        raise sqlite3.DatabaseError(f"its layout is unclear ({version}, {application:#x})")
    check = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if check != "ok":
        raise sqlite3.DatabaseError(check)


def _refuse_links(path: Path) -> None:
    if (link := link_among(database_files(path))) is not None:
        raise BufferFault(f"{link} is a symbolic link: a spool is a file of its own; remove the link")

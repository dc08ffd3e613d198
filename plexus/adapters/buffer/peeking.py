"""A look at spools from outside: how much waits, and whether a client has them open. Nothing is changed.

A client holds its spool with an exclusive lock, so a spool that is in use cannot be looked into. One that is free is
locked for the length of one question; a client that starts in that instant takes the next number.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import attrs

from plexus.adapters.privatefile import database_files, link_among


@attrs.frozen
class Peek:
    """One spool.

    Attributes:
        path: its file.
        size_bytes: of the file and its write-ahead log.
        points: how many wait in it; None when that cannot be seen.
        held: whether a client has it open.
        fault: why it cannot be read; "" when it can, or is held.
    """

    path: Path
    size_bytes: int
    points: int | None = None
    held: bool = False
    fault: str = ""


def peek(directory: Path) -> list[Peek]:
    """Every spool of a directory, by name; none where there is no directory. Raises OSError."""
    if not directory.exists():
        return []
    return [_look(path) for path in sorted(directory.glob("spool-*.db"))]


def _look(path: Path) -> Peek:
    files = database_files(path)
    if (link := link_among(files)) is not None:
        return Peek(path, 0, fault=f"{link} is a symbolic link")
    size = sum(file.stat().st_size for file in files if file.exists())
    if not size:
        # Made, and never written to: SQLite would have nothing to read.
        return Peek(path, 0, points=0)
    try:
        return Peek(path, size, points=_count(path))
    except sqlite3.Error as exc:
        if "locked" in str(exc):
            return Peek(path, size, held=True)
        return Peek(path, size, fault=str(exc))


def _count(path: Path) -> int:
    log, index = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    if not log.exists():
        # Closed in good order: all of it is in the file, and SQLite need not make others beside it.
        return _asked(path, "immutable=1")
    was_there = index.exists()
    try:
        return _asked(path, "mode=ro")
    finally:
        if not was_there:
            # SQLite made it for this question. Clients keep theirs in memory, so it is nobody else's.
            index.unlink(missing_ok=True)


def _asked(path: Path, how: str) -> int:
    # For reading only: such a connection never moves the log into the file, in which a broken log would be lost.
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, timeout=0.0)) as connection:
        return int(connection.execute("SELECT coalesce(sum(count), 0) FROM batches").fetchone()[0])

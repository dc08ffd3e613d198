"""Transactions that a damaged log hides: a byte that goes bad in it makes SQLite forget all that comes after.

To SQLite, damage looks like a write that a kill cut short, after which there is nothing. But every transaction of a
spool is flushed before the next one begins. So where the ends of two or more stand behind the end that SQLite sees, it
was no kill: what they hold had been acknowledged. Each page in the log can be checked alone, by the checksum of the one
before it.

    spool.db.replay   the database with these pages put in, whatever is missing between them; salvage reads it, once

With one transaction behind the end nothing can be said, and the promise ends there. (The header has a flush of its own,
so behind a broken one a single transaction is enough.)
"""

from __future__ import annotations

import logging
import os
import sqlite3
import struct
import sys
from pathlib import Path

import attrs

from plexus.adapters.privatefile import NO_FOLLOW, flush_directory

_PAGE_SIZES = [1 << power for power in range(9, 17)]
_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | NO_FOLLOW
_WORDS = "<" if sys.byteorder == "little" else ">"
"""SQLite sums up words of its own machine, and writes all else big-endian."""


logger = logging.getLogger("plexus")


@attrs.frozen
class _Frame:
    """A page of the log.

    `commit` is the size of the database in pages at the end of a transaction, else 0. `is_whole`: as it was written.
    """

    page: int
    commit: int
    content: bytes
    is_whole: bool


def replay_of(path: Path) -> Path:
    """Where a database with what its log hides is put."""
    return path.with_name(f"{path.name}.replay")


def read_log(path: Path) -> bytes:
    """What a killed process left in the log, empty after an end in good order. Raises OSError.

    Raises sqlite3.DatabaseError when there is a log and the file beside it is too short for a database: SQLite would
    take that for a new one, and delete the log. What is in it is put in a copy.
    """
    place = path.with_name(f"{path.name}-wal")
    log = place.read_bytes() if place.exists() else b""
    if log:
        # By its size alone: closing a descriptor of it would drop the locks of another spool of this process.
        if path.exists() and path.stat().st_size >= _PAGE_SIZES[0]:
            return log
        _uncover(path, log, struct.unpack_from(">I", log, 8)[0] if len(log) >= _HEADER_BYTES else 0, 0)
        raise sqlite3.DatabaseError("it is no database any more, and there is a log to it")
    return log


def check_log(connection: sqlite3.Connection, path: Path, log: bytes) -> None:
    """Raise sqlite3.DatabaseError when the log that a killed process left hides what had been acknowledged."""
    is_hiding = replay_of(path).exists()
    if log and not is_hiding:
        try:
            recovered = max(0, connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])
        except sqlite3.OperationalError as exc:
            # On a full disk there is no room to look; what SQLite sees is there all the same.
            logger.warning("the log of the spool %s cannot be brought into it: %s", path, exc)
            return
        is_hiding = _uncover(path, log, connection.execute("PRAGMA page_size").fetchone()[0], recovered)
    if is_hiding:
        raise sqlite3.DatabaseError("a part of its log cannot be read")


def _uncover(path: Path, log: bytes, page_bytes: int, recovered: int) -> bool:
    """Put the hidden transactions of `log` into a copy of the database, durably; False if there are none.

    `recovered` pages of the log are known to SQLite and are in the database already. Raises OSError.
    """
    is_log = len(log) > _HEADER_BYTES and page_bytes in _PAGE_SIZES
    frames = _frames(log, page_bytes, recovered) if is_log else []
    ends = [number for number, frame in enumerate(frames) if frame.commit]
    while ends and not frames[ends[-1]].is_whole:
        ends.pop()
    # The header is flushed before anything is written behind it: broken, it was whole once.
    if len(ends) < (2 if _is_header_whole(log) else 1):
        return False
    content = bytearray(path.read_bytes() if path.exists() else b"")
    for frame in frames[: ends[-1] + 1]:
        if frame.is_whole:
            start = (frame.page - 1) * page_bytes
            content.extend(bytes(max(0, start + page_bytes - len(content))))
            content[start : start + page_bytes] = frame.content
    _write(replay_of(path), bytes(content[: frames[ends[-1]].commit * page_bytes]))
    return True


def _frames(log: bytes, page_bytes: int, recovered: int) -> list[_Frame]:
    """The frames behind the recovered ones, as far as they are of this life of the log."""
    size = _FRAME_HEADER_BYTES + page_bytes
    salts = _salts(log)
    frames: list[_Frame] = []
    for number in range(recovered, (len(log) - _HEADER_BYTES) // size):
        start = _HEADER_BYTES + number * size
        page, commit = struct.unpack_from(">II", log, start)
        marks = (log[start + 8 : start + 12], log[start + 12 : start + 16])
        # The sum goes on from the one before it: from the header's for the first.
        before = start - size + 16 if number else 24
        sums = _summed(log[start : start + 8], *struct.unpack_from(">II", log, before))
        content = log[start + _FRAME_HEADER_BYTES : start + size]
        is_whole = page > 0 and _summed(content, *sums) == struct.unpack_from(">II", log, start + 16)
        # What is broken may be one of the two marks; in another life of the log both are others.
        if marks[0] == salts[0] or marks[1] == salts[1]:
            frames.append(_Frame(page, commit, content, is_whole))
    return frames


def _salts(log: bytes) -> tuple[bytes, bytes]:
    """What marks frames of this life of the log: in its header, or where that is broken, in its first frame."""
    start = 16 if _is_header_whole(log) else _HEADER_BYTES + 8
    return log[start : start + 4], log[start + 4 : start + 8]


def _is_header_whole(log: bytes) -> bool:
    return len(log) >= _HEADER_BYTES and _summed(log[:24], 0, 0) == struct.unpack_from(">II", log, 24)


def _summed(data: bytes, first: int, second: int) -> tuple[int, int]:
    words = iter(struct.unpack(f"{_WORDS}{len(data) // 4}I", data))
    for word in words:
        first = (first + word + second) & 0xFFFFFFFF
        second = (second + next(words) + first) & 0xFFFFFFFF
    return first, second


def _write(place: Path, content: bytes) -> None:
    made = place.with_name(f"{place.name}.new")
    descriptor = os.open(made, _CREATE, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    made.replace(place)
    flush_directory(place.parent)

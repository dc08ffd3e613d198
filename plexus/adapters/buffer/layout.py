"""The spool's tables, and how those of an earlier release become ours.

Layout 2:
- `batches(id, stream, n, count, digest, needs, first_ms, last_ms, unsynced, losses, packing, checksum, body)`, and the
  index `names(stream, n, count)`, which finds a batch by its name and counts points without touching bodies;
- `losses(reason, count, first_ms, last_ms, checksum)`, what was lost and is in no batch that declares it;
- `commits(number)`, one row, counted up by every transaction that leaves no new batch behind.
The number of the layout stands in `user_version` and again in `application_id`: one flipped bit is not taken for a
newer release. A file of layout 1 (no record of losses, no `unsynced` and `losses` of a batch) is brought up in place,
and keeps its larger pages.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from plexus.domain.errors import BufferFault

LAYOUT = 2
_APPLICATION = 0x504C5800  # "PLX", and a byte for the layout

_MARK = (f"PRAGMA user_version={LAYOUT}", f"PRAGMA application_id={_APPLICATION | LAYOUT}")
_RECORD = (
    """CREATE TABLE losses (
        reason TEXT PRIMARY KEY, count INTEGER NOT NULL, first_ms REAL, last_ms REAL, checksum INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE TABLE commits (number INTEGER NOT NULL)",
    "INSERT INTO commits VALUES (0)",
)
_SCHEMA = (
    """CREATE TABLE batches (
        id INTEGER PRIMARY KEY, stream TEXT NOT NULL, n INTEGER NOT NULL, count INTEGER NOT NULL, digest TEXT NOT NULL,
        needs TEXT NOT NULL, first_ms REAL NOT NULL, last_ms REAL NOT NULL, unsynced TEXT NOT NULL DEFAULT '',
        losses TEXT NOT NULL DEFAULT '', packing INTEGER NOT NULL, checksum INTEGER NOT NULL, body BLOB NOT NULL
    )""",
    "CREATE UNIQUE INDEX names ON batches (stream, n, count)",
    *_RECORD,
    *_MARK,
)
_SCHEMA_1 = (
    """CREATE TABLE batches (
        id INTEGER PRIMARY KEY, stream TEXT NOT NULL, n INTEGER NOT NULL, count INTEGER NOT NULL, digest TEXT NOT NULL,
        needs TEXT NOT NULL, first_ms REAL NOT NULL, last_ms REAL NOT NULL, packing INTEGER NOT NULL,
        checksum INTEGER NOT NULL, body BLOB NOT NULL
    )""",
    "CREATE UNIQUE INDEX names ON batches (stream, n, count)",
)
_FROM_LAYOUT_1 = (
    "ALTER TABLE batches ADD COLUMN unsynced TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE batches ADD COLUMN losses TEXT NOT NULL DEFAULT ''",
    *_RECORD,
    *_MARK,
)

_MENDED_LETTERS = 16

Texts = frozenset[tuple[str, str]]
"""The tables by name, each as it was made."""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables where there are none, bring an older layout up, and see that they are whole.

    Raises BufferFault for what is no spool of this or an earlier release, sqlite3.DatabaseError for what is broken.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not tables and not version and not application:
        _run(connection, _SCHEMA)
    elif application == _APPLICATION | version:
        if version > LAYOUT:
            raise BufferFault(
                f"the spool {path} was written by a newer release of Plexus (layout {version}, this one knows "
                f"{LAYOUT}): upgrade, or set another PLEXUS_HOME; what is in it stays there"
            )
        if version == 1:
            _run(connection, _FROM_LAYOUT_1)
    elif "batches" not in tables:
        raise BufferFault(f"{path} is a database, but no spool of Plexus: name another file, it is left as it is")
    else:
        raise sqlite3.DatabaseError(f"its layout is unclear ({version}, {application:#x})")
    if _texts(connection) not in _known():
        raise sqlite3.DatabaseError("its tables are described in another way than they were made")
    check = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if check != "ok":
        raise sqlite3.DatabaseError(check)


def _run(connection: sqlite3.Connection, statements: Iterable[str]) -> None:
    with transaction(connection):
        for statement in statements:
            connection.execute(statement)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is done inside, or nothing of it."""
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


def mend_texts(connection: sqlite3.Connection) -> bool:
    """Describe the tables of a broken file as they were made, where one byte or another of that is wrong.

    A wrong letter there hides all that is in them. Returns whether there was one; raises sqlite3.Error.
    """
    broken = dict(_texts(connection))
    made = min(map(dict, _known()), key=lambda texts: _differences(broken, texts))
    # Damage changes letters, not how many there are; where it changed more, it is too much to guess from.
    if _differences(broken, made) > _MENDED_LETTERS:
        return False
    wrong = [(made[name], name) for name in broken.keys() & made.keys() if broken[name] != made[name]]
    connection.executemany("UPDATE sqlite_master SET sql = ? WHERE name = ?", wrong)
    return bool(wrong)


def _texts(connection: sqlite3.Connection) -> Texts:
    return frozenset(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall())


def _differences(one: Mapping[str, str], other: Mapping[str, str]) -> float:
    """In how many letters they differ; infinity when it is not letters alone."""
    if {name: len(text) for name, text in one.items()} != {name: len(text) for name, text in other.items()}:
        return float("inf")
    return sum(a != b for name, text in one.items() for a, b in zip(text, other[name], strict=True))


@functools.lru_cache(maxsize=1)
def _known() -> tuple[Texts, ...]:
    """How the tables are described that this release made, that it brought up, and that the first release made."""
    found = []
    for statements in (_SCHEMA, (*_SCHEMA_1, *_FROM_LAYOUT_1), _SCHEMA_1):
        with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
            _run(memory, statements)
            found.append(_texts(memory))
    return tuple(found)

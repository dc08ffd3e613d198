"""The tables of `journal.db`, and how a file of an older format gets them.

- `journal`: one row a group: `points` in it, `crc` over `seq` and `body`, and `body`, a record;
- `streams`: the streams as they were after row `seq`. What later rows say of a stream comes on top: a stream is written
  here when it leaves memory and before the rows that say more of it are sealed, and not with every batch;
- `counters`: `cut`, the last row that is sealed; `next_series`, the id that the next new series gets; `log`, a name of
  the rows' numbering, which is another one in a copy;
- `files`: the manifest, every file of the history, see `SealedFile`;
- `series`, `sources`: what is known of series and sources, from every row up to the cut at least. What later rows say
  comes on top, and to say it twice changes nothing;
- `losses`: what the rows up to the cut declare, and nothing else: a loss that is said twice would count twice;
- `renames`: sources that got another name after row `seq`: rows up to it that are still there name the old one.

The format's number is SQLite's `user_version`. An older one is migrated, a newer one is refused.
"""

from __future__ import annotations

import secrets
import sqlite3

VERSION = 2

_JOURNAL = (
    """CREATE TABLE journal (
        seq INTEGER PRIMARY KEY, points INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL)""",
    """CREATE TABLE streams (
        org TEXT NOT NULL, stream TEXT NOT NULL, source_id TEXT NOT NULL, watermark INTEGER NOT NULL,
        seen_ns INTEGER NOT NULL, seq INTEGER NOT NULL, prints BLOB NOT NULL, PRIMARY KEY (org, stream))""",
)
_HISTORY = (
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE files (
        name TEXT PRIMARY KEY, day TEXT NOT NULL, kind TEXT NOT NULL, points INTEGER NOT NULL,
        first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, bytes INTEGER NOT NULL,
        first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, rollups TEXT NOT NULL)""",
    """CREATE TABLE series (
        series INTEGER PRIMARY KEY, org TEXT NOT NULL, source_id TEXT NOT NULL, metric TEXT NOT NULL,
        is_event INTEGER NOT NULL, stored_source TEXT NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
        latest BLOB NOT NULL)""",
    """CREATE TABLE sources (
        org TEXT NOT NULL, source_id TEXT NOT NULL, seen_ns INTEGER NOT NULL, PRIMARY KEY (org, source_id))""",
    """CREATE TABLE losses (
        org TEXT NOT NULL, source_id TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
        first_ms REAL, last_ms REAL, PRIMARY KEY (org, source_id, reason))""",
    """CREATE TABLE renames (
        seq INTEGER NOT NULL, org TEXT NOT NULL, source_id TEXT NOT NULL, new TEXT NOT NULL)""",
    "CREATE INDEX streams_by_source ON streams (org, source_id)",
    "CREATE INDEX streams_by_age ON streams (seen_ns)",
)


def found(connection: sqlite3.Connection) -> int:
    """The format of a file; 0 for one that is empty."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def prepare(connection: sqlite3.Connection) -> None:
    """Give the file the tables of this version, in a transaction of the caller's."""
    version = found(connection)
    statements: list[str] = []
    if version == 0:
        statements += [*_JOURNAL, *_HISTORY]
    if version == 1:
        # Nothing was ever sealed by it: its manifest is empty, and all of its points are in its rows.
        statements += ["DROP TABLE sealed", *_HISTORY]
    for statement in statements:
        connection.execute(statement)
    if statements:
        rename_log(connection)
        connection.execute(f"PRAGMA user_version={VERSION:d}")


def rename_log(connection: sqlite3.Connection) -> None:
    """Give the rows' numbering another name."""
    connection.execute("INSERT OR REPLACE INTO counters VALUES ('log', ?)", (secrets.randbits(62),))

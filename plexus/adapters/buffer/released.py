"""The buffers that released SDKs left: `buffer.db`, and from 0.14.0 `buffer-<source_id>.db`, a JSON point a row.

Read here, and emptied row by row as it is taken over; never made, never otherwise changed. A client of such a release
may go on with its file at any time.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from plexus.domain.errors import BufferFault

WAIT_S = 1.0
"""How long a client of another release may hold the file."""

Row = tuple[int, object]
"""Its number, and what is in it: text, where nobody tampered with it."""


def released_buffers(home: Path, source_ids: Sequence[str]) -> list[Path]:
    """The files of released SDKs in their directory that these sources may have used, those of all sources first."""
    names = ["buffer.db", *(f"buffer-{source_id}.db" for source_id in source_ids)]
    return [path for name in names if (path := home / name).is_file()]


def is_released_buffer(path: Path) -> bool:
    """Whether the file is a buffer of a released SDK; False also where that cannot be found out."""
    if not path.is_file():
        return False
    try:
        with contextlib.closing(_connect(path)) as connection:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return False
    return "points" in names and "batches" not in names


class ReleasedBuffer:
    """One such file, held from the beginning of a `taking` to its end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def taking(self) -> Iterator[Taking]:
        """Read rows and delete them, in one transaction: what is raised inside leaves all of them where they are.

        Raises BufferFault for a file that is locked, damaged, or no such buffer.
        """
        try:
            with contextlib.closing(_connect(self.path)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield Taking(connection)
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
        except sqlite3.Error as exc:
            hint = "a client of another release has it open" if "locked" in str(exc) else str(exc)
            raise BufferFault(
                f"what an earlier release of plexus-python left in {self.path} cannot be read: {hint}; it is left as "
                "it is, and looked at again at the next start"
            ) from exc


class Taking:
    """The rows of a file that is held."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, after: int, count: int) -> list[Row]:
        """Up to `count` rows with higher numbers than `after`, in their order."""
        query = "SELECT id, data FROM points WHERE id > ? ORDER BY id LIMIT ?"
        return self._connection.execute(query, (after, count)).fetchall()

    def delete(self, numbers: Sequence[int]) -> None:
        """These are taken over."""
        self._connection.executemany("DELETE FROM points WHERE id = ?", [(number,) for number in numbers])


def _connect(path: Path) -> sqlite3.Connection:
    # `mode=rw`: a file that is gone meanwhile is not made anew.
    return sqlite3.connect(path.absolute().as_uri() + "?mode=rw", uri=True, timeout=WAIT_S, isolation_level=None)

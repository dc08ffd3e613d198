"""A keyring in one SQLite file, which several processes use at once: `plexus keys` works while the gateway runs.

Table `keys` holds a SHA-256 a key and never a key; `generation` holds one number, raised in the transaction of every
change, by which another process sees that its copy of the live keys is old. The copy makes `find` a look into a dict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plexus.adapters.keyring.secret import LiveKeys, chosen, dead_error, describe, digest
from plexus.adapters.sqlitefile import SqliteFile
from plexus.ports.keyring import KeyInfo

_VERSION_1 = """
CREATE TABLE keys (
    position INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    key_id TEXT NOT NULL UNIQUE,
    org TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    source_id TEXT,
    created_ms REAL NOT NULL,
    revoked_ms REAL
);
CREATE TABLE generation (number INTEGER NOT NULL);
INSERT INTO generation VALUES (0)
"""
_VERSION_2 = "ALTER TABLE keys ADD COLUMN expires_ms REAL"
_COLUMNS = "key_id, org, name, scopes, source_id, created_ms, revoked_ms, expires_ms"
_RAISE_GENERATION = "UPDATE generation SET number = number + 1"


def _wall_ms() -> float:
    return time.time() * 1000.0


class SqliteKeyring:
    """Keys in the file `path`. `now_ms` stamps them, milliseconds since 1970 UTC. Raises StoreError."""

    def __init__(self, path: Path, now_ms: Callable[[], float] = _wall_ms) -> None:
        self._now_ms = now_ms
        self._file = SqliteFile(path, _VERSION_1, _VERSION_2)
        self._live: tuple[int, LiveKeys] = (-1, LiveKeys.of(()))

    def create(
        self,
        org: str,
        name: str,
        scopes: Sequence[str],
        *,
        source_id: str | None = None,
        secret: str | None = None,
        expires_ms: float | None = None,
    ) -> tuple[str, KeyInfo]:
        """Make a key (or take `secret` as one); returns its text and what it is."""
        info = describe(org, name, scopes, source_id, self._now_ms(), expires_ms)
        text = chosen(secret)
        kept = digest(text)
        with self._file.transaction() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM keys WHERE digest = ?", (kept,)).fetchone()  # noqa: S608 - a constant
            if row is None:
                told = (info.key_id, org, name, " ".join(sorted(info.scopes)), source_id, info.created_ms, expires_ms)
                connection.execute(
                    "INSERT INTO keys (digest, key_id, org, name, scopes, source_id, created_ms, expires_ms)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (kept, *told),
                )
                connection.execute(_RAISE_GENERATION)
                return text, info
        known = _info(row)
        if not known.lives(self._now_ms()):
            raise dead_error(known)
        return text, known

    def find(self, secret: str) -> KeyInfo | None:
        """What this key is, None if it is unknown, revoked or over."""
        number = self.generation()
        seen, live = self._live
        if seen != number:
            # Read after the number: rows that are newer than it are read once more, never missed.
            rows = self._file.read(f"SELECT digest, {_COLUMNS} FROM keys WHERE revoked_ms IS NULL")  # noqa: S608 - a constant
            live = LiveKeys.of((row[0], _info(row[1:])) for row in rows)
            self._live = (number, live)
        return live.find(secret, self._now_ms())

    def list(self) -> list[KeyInfo]:
        """All keys, oldest first."""
        return [_info(row) for row in self._file.read(f"SELECT {_COLUMNS} FROM keys ORDER BY position")]  # noqa: S608 - a constant

    def revoke(self, key_id: str) -> bool:
        """Revoke a key by its id; False if there is no live one."""
        with self._file.transaction() as connection:
            changed = connection.execute(
                "UPDATE keys SET revoked_ms = ? WHERE key_id = ? AND revoked_ms IS NULL", (self._now_ms(), key_id)
            )
            if changed.rowcount:
                connection.execute(_RAISE_GENERATION)
            return bool(changed.rowcount)

    def rename(self, org: str, source_id: str, new: str) -> None:
        """The keys that are limited to a source follow it."""
        with self._file.transaction() as connection:
            changed = connection.execute(
                "UPDATE keys SET source_id = ? WHERE org = ? AND source_id = ?", (new, org, source_id)
            )
            if changed.rowcount:
                connection.execute(_RAISE_GENERATION)

    def generation(self) -> int:
        """A number that any process's change of the keys raises."""
        return int(self._file.read("SELECT number FROM generation")[0][0])

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy into a folder that is there."""
        self._file.snapshot(folder)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _info(row: Sequence[Any]) -> KeyInfo:
    key_id, org, name, scopes, source_id, created_ms, revoked_ms, expires_ms = row
    return KeyInfo(key_id, org, name, frozenset(scopes.split()), source_id, created_ms, revoked_ms, expires_ms)

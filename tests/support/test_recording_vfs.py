"""The recorder itself: it sees what SQLite does, and tells a flushed commit from one that is not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.recording_vfs import Entry, flushed_between, recorded


def _commit(path: Path, synchronous: str) -> list[Entry | str]:
    with recorded() as recorder:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(f"PRAGMA synchronous={synchronous}")
            db.execute("CREATE TABLE t (a)")
            recorder.note("begin")
            db.execute("INSERT INTO t VALUES ('a marked value')")
            recorder.note("end")
        return recorder.entries


def test_a_full_commit_is_seen_to_be_flushed(tmp_path: Path) -> None:
    entries = _commit(tmp_path / "a.db", "FULL")
    assert flushed_between(entries, "begin", "end", "a.db-wal")
    written = b"".join(entry.data for entry in entries if isinstance(entry, Entry) and entry.action == "write")
    assert b"a marked value" in written


def test_a_commit_without_a_flush_is_seen_to_have_none(tmp_path: Path) -> None:
    entries = _commit(tmp_path / "a.db", "OFF")
    assert not flushed_between(entries, "begin", "end", "a.db-wal")


def test_afterwards_databases_are_as_before(tmp_path: Path) -> None:
    _commit(tmp_path / "a.db", "FULL")
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        assert db.execute("SELECT a FROM t").fetchall() == [("a marked value",)]

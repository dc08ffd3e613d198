"""The recorder itself: it sees what SQLite does, and tells a flushed commit from one that is not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.recording_vfs import FULL, IOERR_FSYNC, Entry, flushed_between, recorded


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


def test_a_file_that_was_not_there_is_seen_to_be_created(tmp_path: Path) -> None:
    entries = _commit(tmp_path / "a.db", "FULL")
    created = [Path(entry.path).name for entry in entries if isinstance(entry, Entry) and entry.action == "create"]
    assert created[0] == "a.db"
    assert "a.db-wal" in created


def test_a_flush_that_is_to_fail_fails_as_often_as_was_asked(tmp_path: Path) -> None:
    with recorded() as recorder, closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE t (a)")
        recorder.fail("sync", "-wal", IOERR_FSYNC, times=1)
        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            db.execute("INSERT INTO t VALUES (1)")
        db.execute("INSERT INTO t VALUES (2)")
        recorder.fail("write", "-wal", FULL)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            db.execute("INSERT INTO t VALUES (3)")
        recorder.heal()
        db.execute("INSERT INTO t VALUES (4)")

"""A disk that fails: nothing of the group is stored, no watermark moves, and it goes on when it can."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.store.embedded import EmbeddedStore, hot
from plexus.domain.errors import StoreError
from plexus.ports.store import Receipt, Submission
from plexus.testing.contracts.store.suite import named, raw_of, submission, values_of


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with closing(EmbeddedStore(tmp_path)) as made:
        made.commit([submission(("rpm", 1, 1), batch=named(1))])
        yield made


class FailingConnection:
    """A connection that raises at the first statement that begins so."""

    def __init__(self, connection: sqlite3.Connection, statement: str, error: sqlite3.Error) -> None:
        self._connection = connection
        self._statement = statement
        self._error = error

    def execute(self, sql: str, *values: Any) -> Any:
        if sql.startswith(self._statement):
            raise self._error
        return self._connection.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def fail(store: EmbeddedStore, statement: str, error: sqlite3.Error) -> sqlite3.Connection:
    """Let a statement of the journal fail; returns the connection to heal it with."""
    connection = store._journal._connection
    store._journal._connection = FailingConnection(connection, statement, error)  # type: ignore[assignment]
    return connection


def io_error(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name  # type: ignore[attr-defined,unused-ignore]
    return error


def second() -> list[Submission]:
    return [
        submission(("rpm", 2, 2), batch=named(2)),
        submission(("rpm", 3, 3), source_id="rig-02", batch=named(1, stream="f" * 32)),
    ]


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO journal", "COMMIT"])
def test_a_failed_statement_stores_nothing_and_moves_nothing(store: EmbeddedStore, statement: str) -> None:
    healthy = fail(store, statement, sqlite3.OperationalError("something is wrong"))
    with pytest.raises(StoreError, match=r"journal\.db: something is wrong; check the disk"):
        store.commit(second())
    assert set(store.sources("acme")) == {"rig-01"}
    assert values_of(store, "rpm") == [1]
    store._journal._connection = healthy
    assert store.commit(second()) == [Receipt("store", 1, 2), Receipt("store", 1, 1)]
    assert values_of(store, "rpm") == [1, 2]


def test_what_failed_is_not_there_after_a_new_start(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path)) as store:
        healthy = fail(store, "COMMIT", sqlite3.OperationalError("something is wrong"))
        with pytest.raises(StoreError):
            store.commit(second())
        store._journal._connection = healthy
    with closing(EmbeddedStore(tmp_path)) as store:
        assert dict(store.sources("acme")) == {}
        assert store.commit(second()[1:]) == [Receipt("store", 1, 1)]


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(tmp_path: Path, store: EmbeddedStore) -> None:
    execute = store._journal._connection.execute
    pages = execute("PRAGMA page_count").fetchone()[0]
    execute(f"PRAGMA max_page_count={pages + 2}")
    noise = submission(*(("noise", i, f"{i * 7919 % 100_003:x}" * 9) for i in range(3_000)), batch=named(2))
    with pytest.raises(StoreError, match=r"journal\.db: the disk is full; nothing of this was stored"):
        store.commit([noise])
    assert set(raw_of(store)) == {"rpm"}
    execute("PRAGMA max_page_count=1000000")
    assert store.commit([noise]) == [Receipt("store", 3_000, 2)]
    store.close()
    with closing(EmbeddedStore(tmp_path)) as again:
        assert len(values_of(again, "noise")) == 3_000
        assert again.commit([noise]) == [Receipt("duplicate", 0, 2)]


def test_a_flush_that_failed_is_never_tried_again(tmp_path: Path, store: EmbeddedStore) -> None:
    healthy = fail(store, "COMMIT", io_error("SQLITE_IOERR_FSYNC"))
    with pytest.raises(StoreError, match="the disk failed"):
        store.commit(second())
    store._journal._connection = healthy
    with pytest.raises(StoreError, match="nothing more is stored until the gateway is started again"):
        store.commit(second())
    assert values_of(store, "rpm") == [1], "questions are still answered"
    store.close()
    with closing(EmbeddedStore(tmp_path)) as again:
        assert again.commit(second())[0] == Receipt("store", 1, 2)


def test_a_value_that_cannot_be_kept_is_named(store: EmbeddedStore) -> None:
    group = [submission(("ok", 0, 1)), submission(("deep", 0, {"a": [2**64]}), source_id="rig-09")]
    with pytest.raises(StoreError, match="a point of source 'rig-09', metric 'deep', cannot be kept"):
        store.commit(group)


def test_a_commit_stands_when_the_points_cannot_be_shown_yet(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_segment: object) -> None:
        raise StoreError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(hot.Segment, "feed", refuse)
        assert store.commit(second())[0] == Receipt("store", 1, 2)
        with pytest.raises(StoreError, match="out of memory"):
            values_of(store, "rpm")
        assert store.latest("acme", "rig-02")["rpm"][1] == 3
    assert values_of(store, "rpm") == [1, 2]
    assert values_of(store, "rpm", source_id="rig-02") == [3]

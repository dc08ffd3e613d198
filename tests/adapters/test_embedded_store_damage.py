"""What damage and a full disk cost the history: what is named, what is answered all the same, and what goes on."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.store.embedded import EmbeddedStore
from plexus.adapters.store.embedded.checking import check
from plexus.domain.errors import StoreError
from plexus.ports.store import Selection
from plexus.testing.contracts.store.suite import ALWAYS, named, submission, values_of
from plexus.testing.contracts.store.tending import LATER_NS, fill, tend
from tests.support.daily import DAY_MS, NOW, days, parquet
from tests.support.store_answers import answers


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with closing(EmbeddedStore(tmp_path / "data")) as made:
        yield made


# --- damage ----------------------------------------------------------------------------------------------------------


def remove(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 9)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size - 4))


@pytest.mark.parametrize(("harm", "what"), [(remove, "is missing"), (shorten, "is not whole"), (overwrite, "opened")])
def test_a_damaged_file_is_named_and_all_else_is_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None], what: str
) -> None:
    with closing(EmbeddedStore(tmp_path / "data")) as store:
        days(store)
        store.commit([submission(("boot", 0, "x"), is_event=True)])
        tend(store, NOW)
    path = parquet(tmp_path, "points")[1]
    harm(path)
    with caplog.at_level(logging.ERROR), closing(EmbeddedStore(tmp_path / "data")) as store:
        assert values_of(store, "rpm") == [0, 2, 3]
        buckets = store.buckets("acme", None, ["rpm"], ALWAYS, DAY_MS)["rig-01"]["rpm"]
        assert list(buckets.last) == [0, 2, 3]
        assert store.count("acme", Selection(None, ["rpm"])) == 3
        assert len(store.events("acme", "rig-01", ALWAYS, None, 9, newest=True)) == 1
        store.commit([submission(("rpm", 4 * DAY_MS, 4))])
        assert values_of(store, "rpm") == [0, 2, 3, 4]
        (sentence,) = store.damage
        assert what in sentence
        assert str(path) in sentence
        assert "unavailable, all others are here" in sentence
        assert sentence in caplog.text
        assert "Traceback" not in caplog.text
    assert any(str(path) in problem for problem in check(tmp_path / "data"))


def test_a_file_that_is_put_back_is_there_again(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path / "data")) as store:
        days(store)
        tend(store, NOW)
    path = parquet(tmp_path, "points")[1]
    path.rename(tmp_path / "away")
    with closing(EmbeddedStore(tmp_path / "data")) as store:
        tend(store, NOW)
        assert values_of(store, "rpm") == [0, 2, 3]
    (tmp_path / "away").rename(path)
    with closing(EmbeddedStore(tmp_path / "data")) as store:
        assert values_of(store, "rpm") == [0, 1, 2, 3]
        assert store.damage == ()


def test_what_the_manifest_does_not_name_is_removed_at_start_and_nothing_else(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path / "data")) as store:
        days(store)
        tend(store, NOW)
    whole = parquet(tmp_path)
    orphans = [whole[0].with_name("ffff.parquet"), whole[1].with_name("eeee.parquet.part")]
    for orphan in orphans:
        shutil.copy(whole[0], orphan)
    mine = whole[0].parent.parent / "notes.txt"
    mine.write_text("somebody's own")
    EmbeddedStore(tmp_path / "data").close()
    assert parquet(tmp_path) == whole
    assert not any(orphan.exists() for orphan in orphans)
    assert mine.exists()


def test_a_check_names_a_row_that_is_damaged(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path)) as store:
        fill(store)
    assert check(tmp_path) == []
    with closing(sqlite3.connect(tmp_path / "journal.db")) as file, file:
        file.execute("UPDATE journal SET body = x'00' WHERE seq = 2")
    assert [re.search("journal row 2 cannot be read", problem) is not None for problem in check(tmp_path)] == [True]


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        ("DELETE FROM series WHERE metric = 'rpm'", "nobody knows whose its series"),
        ("UPDATE series SET last_ns = first_ns", "its times are not those of its series"),
        ("UPDATE streams SET prints = x'00'", "is not as it was written"),
        ("UPDATE counters SET value = 1 WHERE name = 'cut'", "they would be seen twice"),
    ],
)
def test_a_check_names_tables_that_do_not_fit(tmp_path: Path, harm: str, what: str) -> None:
    with closing(EmbeddedStore(tmp_path)) as store:
        store.commit([submission(("rpm", 0, 1), ("rpm", 1, 1), batch=named(1))])
        store.commit([submission(("rpm", 2, 1), batch=named(2))])
        tend(store)
    assert check(tmp_path) == []
    with closing(sqlite3.connect(tmp_path / "journal.db")) as file, file:
        file.execute(harm)
    assert any(what in problem for problem in check(tmp_path))


def test_a_check_is_refused_while_a_gateway_has_it_open(tmp_path: Path, store: EmbeddedStore) -> None:
    with pytest.raises(StoreError, match="in use by another gateway"):
        check(tmp_path / "data")


# --- a full disk -----------------------------------------------------------------------------------------------------


def test_a_full_disk_stops_sealing_and_nothing_else_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with closing(EmbeddedStore(tmp_path / "data")) as store:
        fill(store)
        before = answers(store)
        with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
            patch.setattr("plexus.adapters.store.embedded.files.output.flush", full)
            for now in range(LATER_NS, LATER_NS + 10**12, 10**10):
                while store.maintain(now):
                    pass
            assert caplog.text.count("the store's housekeeping failed and is tried again later; nothing is lost") == 1
            assert parquet(tmp_path) == []
            assert answers(store) == before
            store.commit([submission(("rpm", 77, 77))])
            assert values_of(store, "rpm")[-1] == 77
        with caplog.at_level(logging.WARNING):
            tend(store, LATER_NS + 10**13)
        assert "housekeeping goes on" in caplog.text
        assert parquet(tmp_path)
        assert values_of(store, "rpm")[-1] == 77


def test_a_manifest_that_cannot_be_written_leaves_no_file_behind(tmp_path: Path) -> None:
    class Full:
        """A connection on which the transaction of the manifest fails, as on a full disk."""

        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection

        def executemany(self, sql: str, rows: Any) -> Any:
            if "INTO files" in sql:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorname = "SQLITE_FULL"  # type: ignore[attr-defined]  # SQLite's own have it
                raise error
            return self._connection.executemany(sql, rows)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

    with closing(EmbeddedStore(tmp_path / "data")) as store:
        fill(store)
        before = answers(store)
        healthy = store._journal._connection
        store._journal._connection = Full(healthy)  # type: ignore[assignment]
        tend(store)
        assert parquet(tmp_path) == []
        assert answers(store) == before
        assert store.commit([submission(("rpm", 77, 77))])[0].stored == 1
        store._journal._connection = healthy
        tend(store, LATER_NS + 10**13)
        assert parquet(tmp_path)
        assert values_of(store, "rpm")[-1] == 77

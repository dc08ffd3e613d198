"""The history's own promises: what survives, what is let go of, what is on the disk when, and what a copy has."""

from __future__ import annotations

import errno
import logging
import os
import re
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.store.embedded import EmbeddedStore, journal
from plexus.adapters.store.embedded import record as records
from plexus.adapters.store.embedded.checking import check
from plexus.adapters.store.embedded.inside import DAY_NS, Upkeep
from plexus.adapters.store.memory import MemoryStore
from plexus.domain.errors import StoreError
from plexus.domain.loss import Loss
from plexus.ports.store import Receipt, Selection
from plexus.protocol.ledger import LET_GO
from plexus.testing.contracts.store.suite import named, submission, values_of
from plexus.testing.contracts.store.tending import fill, tend
from tests.support.daily import NOW, T0_NS, days, parquet
from tests.support.store_answers import answers


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with closing(EmbeddedStore(tmp_path / "data")) as made:
        yield made


# --- survival --------------------------------------------------------------------------------------------------------


def test_a_new_start_finds_everything_that_was_sealed(tmp_path: Path) -> None:
    model = MemoryStore()
    with closing(EmbeddedStore(tmp_path)) as first:
        for kept in (first, model):
            fill(kept)
            kept.commit([submission(("rpm", 99, 1), batch=named(1), losses=[Loss("malformed", 2, 1.0, 2.0)])])
        tend(first)
    with closing(EmbeddedStore(tmp_path)) as second:
        assert answers(second) == answers(model)
        assert second.losses("acme", "rig-01") == model.losses("acme", "rig-01")
        assert second.streams("acme", "rig-01") == model.streams("acme", "rig-01")
        assert second.commit([submission(("rpm", 99, 1), batch=named(1))]) == [Receipt("duplicate", 0, 1)]
        assert second.damage == ()


def test_series_keep_their_ids_when_rows_that_were_not_sealed_are_read_again(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path)) as store:
        store.commit([submission(("b", 0, 1), ("a", 0, 2))])
        tend(store)
        store.commit([submission(("c", 0, 3), ("a", 1, 4))])
        store.names("acme", "rig-01")
    with closing(EmbeddedStore(tmp_path)) as store:
        store.commit([submission(("d", 0, 5))])
        with store._newest.catalogue() as catalogue:
            assert {name: series for series, (_, name) in catalogue.pick("acme", None, None).items()} == {
                "b": 1,
                "a": 2,
                "c": 3,
                "d": 4,
            }
        tend(store)
        assert [values_of(store, name) for name in "abcd"] == [[2, 4], [1], [3], [5]]


def test_tags_and_run_ids_survive_sealing(tmp_path: Path) -> None:
    sent = submission(("a", 0, 1, {"k": "v"}), ("a", 1, 2), ("a", 2, 3, {"ü": "☃"}))
    sent.columns.run_id[1] = "run-1"
    with closing(EmbeddedStore(tmp_path)) as store:
        store.commit([sent])
        tend(store)
        (part,) = store.scan("acme", Selection())
        assert [tags or None for tags in part.tags] == [{"k": "v"}, None, {"ü": "☃"}]
        assert part.run_id == [None, "run-1", None]


def test_what_is_removed_is_not_in_the_rows_that_stay_for_streams(store: EmbeddedStore) -> None:
    store.commit([submission(("rpm", 0, 1))])
    tend(store)
    assert store.replay("acme", "rig-01", 1, 10) is not None
    store.remove("acme", Selection(None, ["rpm"]))
    assert store.replay("acme", "rig-01", 1, 10) is None
    store.commit([submission(("rpm", 1, 2))])
    assert store.head().seq == 2


def test_sealed_rows_are_replayed_under_the_new_name_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of them is deleted, with the renames that concern them: nothing is left out in silence."""
    monkeypatch.setattr(journal, "REPLAYED_ROWS", 3)
    with closing(EmbeddedStore(tmp_path)) as store:
        for turn in range(6):
            store.commit([submission(("rpm", turn, turn))])
        tend(store)
        store.rename("acme", "rig-01", "left-arm")
        store.commit([submission(("rpm", 6, 6), source_id="left-arm")])
    with closing(EmbeddedStore(tmp_path)) as store:
        for rows_deleted in (3, 5, 6, 7):
            for first in range(1, 8):
                found = store.replay("acme", "left-arm", first, 100)
                told = None if found is None else [value for _, own in found.groups for value in own.value]
                assert told == (None if first <= rows_deleted else list(range(first - 1, 7)))
            assert [store.replay("acme", "rig-01", first, 100) for first in range(1, 7)] == [None] * 6
            store.commit([submission(("rpm", 0, 0), source_id="another")])
            tend(store)


def test_the_journal_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "REPLAYED_BYTES", 100_000)
    sizes = []
    with closing(EmbeddedStore(tmp_path, upkeep=Upkeep(stretch_points=2_000, seal_after_ns=1))) as store:
        for round_ in range(8):
            for n in range(20):
                text = os.urandom(400).hex()
                store.commit(
                    [submission(*((f"m{i}", round_ * 1_000 + n + i / 128, text + str(i)) for i in range(100)))]
                )
            tend(store)
            sizes.append((tmp_path / "journal.db").stat().st_size)
    assert sizes[-1] <= sizes[2] * 1.1


# --- formats ---------------------------------------------------------------------------------------------------------

VERSION_1 = """
CREATE TABLE journal (seq INTEGER PRIMARY KEY, points INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE streams (
    org TEXT NOT NULL, stream TEXT NOT NULL, source_id TEXT NOT NULL, watermark INTEGER NOT NULL,
    seen_ns INTEGER NOT NULL, seq INTEGER NOT NULL, prints BLOB NOT NULL, PRIMARY KEY (org, stream));
CREATE TABLE sealed (
    file TEXT PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, points INTEGER NOT NULL);
PRAGMA user_version=1;
"""


def test_a_directory_of_version_1_is_migrated_with_its_data(tmp_path: Path) -> None:
    model = MemoryStore()
    group = [submission(("rpm", 0, 1.5), ("rpm", 1, "x"), arrival_ns=5, losses=[Loss("malformed", 2)], batch=named(1))]
    model.commit(group)
    step = records.Step("acme", named(1).stream, "rig-01", 1, {}, 5)
    body = records.pack(records.Record(records.gather(group), [step], records.declared(group)))
    with closing(sqlite3.connect(tmp_path / "journal.db")) as old, old:
        old.executescript(VERSION_1)
        old.execute("INSERT INTO journal VALUES (1, 2, ?, ?)", (zlib.crc32(body, 1), body))
        prints = bytes(16)
        old.execute("INSERT INTO streams VALUES ('acme', ?, 'rig-09', 7, 9, 1, ?)", ("f" * 32, prints))
    for _ in range(2):
        with closing(EmbeddedStore(tmp_path)) as store:
            assert answers(store) == answers(model)
            assert store.losses("acme", "rig-01") == model.losses("acme", "rig-01")
            assert [info.watermark for info in store.streams("acme", "rig-09")] == [7]
            assert [info.watermark for info in store.streams("acme", "rig-01")] == [1]
            tend(store)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as migrated:
        assert migrated.execute("PRAGMA user_version").fetchone() == (2,)
    assert check(tmp_path) == []


def test_a_migration_that_is_killed_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db")) as old, old:
        old.executescript(VERSION_1)

    def fail(_connection: object) -> None:
        raise StoreError("planted")

    with monkeypatch.context() as patch:
        patch.setattr("plexus.adapters.store.embedded.schema.rename_log", fail)
        with pytest.raises(StoreError, match="planted"):
            EmbeddedStore(tmp_path)
    with closing(EmbeddedStore(tmp_path)) as store:
        store.commit([submission(("rpm", 0, 1))])
        assert values_of(store, "rpm") == [1]


# --- retention -------------------------------------------------------------------------------------------------------


def test_days_that_are_too_old_go_with_what_had_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    upkeep = Upkeep(retention_days=1)
    with caplog.at_level(logging.INFO), closing(EmbeddedStore(tmp_path, upkeep=upkeep)) as store:
        days(store)
        store.commit([submission(("old", 0, 1), source_id="rig-02")])
        tend(store, NOW)
        assert values_of(store, "rpm") == [2, 3]
        assert store.names("acme", "rig-01") == ["day2", "day3", "rpm"]
        assert set(store.sources("acme")) == {"rig-01"}
    assert re.search(r"retention: let go of \d+ files of 2025-05-11 to 2025-05-12 with 5 points", caplog.text)
    with closing(EmbeddedStore(tmp_path, upkeep=upkeep)) as store:
        assert store.names("acme", "rig-01") == ["day2", "day3", "rpm"]
        assert set(store.sources("acme")) == {"rig-01"}
    assert check(tmp_path) == []


def test_bytes_that_are_too_many_go_the_oldest_days_first(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path / "data")) as store:
        days(store)
        tend(store, NOW)
        size = sum(path.stat().st_size for path in parquet(tmp_path))
    with closing(EmbeddedStore(tmp_path / "data", upkeep=Upkeep(retention_bytes=size // 2))) as store:
        tend(store, NOW)
        assert values_of(store, "rpm") == [2, 3]
        assert sum(path.stat().st_size for path in parquet(tmp_path)) <= size // 2


def test_streams_that_are_silent_for_400_days_are_let_go_of(store: EmbeddedStore) -> None:
    old, new = named(1, stream="a" * 32), named(1, stream="b" * 32)
    store.commit([submission(("rpm", 0, 1), batch=old, arrival_ns=T0_NS)])
    store.commit([submission(("rpm", 0, 1), batch=new, arrival_ns=T0_NS + 2 * DAY_NS)])
    tend(store, T0_NS + 399 * DAY_NS)
    assert len(store.streams("acme", "rig-01")) == 2
    tend(store, T0_NS + 401 * DAY_NS)
    assert [info.stream for info in store.streams("acme", "rig-01")] == [new.stream]
    for n, base in ((1, 1), (2, 1), (57, 57)):
        again = submission(("rpm", 0, "again"), batch=named(n, base, stream="a" * 32))
        assert store.commit([again]) == [Receipt("fork", 0, LET_GO)]
    assert values_of(store, "rpm") == [1, 1]


# --- order on the disk ------------------------------------------------------------------------------------------------


def test_files_and_their_names_are_flushed_before_the_manifest_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    flush, rename = os.fsync, Path.replace

    def flushed(descriptor: int) -> None:
        flush(descriptor)
        done.append(f"flush {Path(f'/proc/self/fd/{descriptor}').readlink()}")

    def renamed(path: Path, target: Any) -> Path:
        done.append(f"name {target}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    with closing(EmbeddedStore(tmp_path / "data", reached=done.append)) as store:
        fill(store)
        tend(store)
        written, swapped = done.index("sealing.written"), done.index("sealing.swapped")
        assert not [what for what in done[written:swapped] if what.startswith(("name", "flush"))]
        for path in (path for file in store._shelf.files for path in file.paths(tmp_path / "data" / "history")):
            named_at = done.index(f"name {path}")
            assert f"flush {path}.part" in done[:named_at], "the content before the name"
            assert f"flush {path.parent}" in done[named_at:written], "the name before the manifest"
            for folder in (path.parent.parent, path.parent.parent.parent):
                assert f"flush {folder}" in done[:named_at], "the folders before what is in them"


# --- copies ----------------------------------------------------------------------------------------------------------


def test_a_snapshot_has_everything_up_to_a_moment_while_commits_go_on(tmp_path: Path) -> None:
    numbers = iter(range(1, 10_000))

    def go_on(name: str) -> None:
        if name.startswith("snapshot"):
            number = next(numbers)
            opened.commit([submission(("count", number, number), batch=named(number))])

    with closing(EmbeddedStore(tmp_path / "data", reached=go_on)) as opened:
        for _ in range(5):
            number = next(numbers)
            opened.commit([submission(("count", number, number), batch=named(number))])
        tend(opened)
        fill(opened)
        opened.snapshot(tmp_path / "copy")
        head = opened.head()
        with closing(EmbeddedStore(tmp_path / "copy")) as copy:
            found = values_of(copy, "count")
            assert found == list(range(1, len(found) + 1))
            assert len(found) >= 6
            assert copy.head().log != head.log, "its next groups are others"
            assert copy.commit([submission(("count", 6, 6), batch=named(6))])[0].verdict == "duplicate"
            tend(copy)
        tend(opened)
        opened.remove("acme", Selection())
        assert opened.head().log == head.log
    assert check(tmp_path / "copy") == []
    assert check(tmp_path / "data") == []
    with closing(EmbeddedStore(tmp_path / "copy")) as copy:
        assert values_of(copy, "count")[:6] == [1, 2, 3, 4, 5, 6]


def test_a_snapshot_across_file_systems_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path, _target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with closing(EmbeddedStore(tmp_path / "data")) as store:
        fill(store)
        tend(store)
        store.snapshot(tmp_path / "copy")
        with closing(EmbeddedStore(tmp_path / "copy")) as copy:
            assert answers(copy) == answers(store)

"""The embedded store's own promises: what is in its directory, what a new start finds, what it holds in memory."""

from __future__ import annotations

import functools
import logging
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import plexus
from plexus.adapters.store.embedded import EmbeddedStore, arrow, hot, newest, record, streams
from plexus.adapters.store.embedded import store as store_module
from plexus.adapters.store.memory import MemoryStore
from plexus.domain.errors import StoreError
from plexus.ports.store import Receipt, Submission
from plexus.testing.contracts.store.suite import (
    ALWAYS,
    VALUES,
    columns,
    named,
    submission,
    values_of,
)
from plexus.testing.contracts.store.tending import tend
from tests.support.store_answers import answers

ROOT = Path(plexus.__file__).parents[1]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits so low that queue, row groups and streams overflow with a handful of points."""
    monkeypatch.setattr(store_module, "Newest", functools.partial(newest.Newest, max_queued=4, max_fresh=2))
    monkeypatch.setattr(store_module, "Streams", functools.partial(streams.Streams, max_in_memory=2))
    monkeypatch.setattr(arrow, "MAX_BATCHES", 1)
    monkeypatch.setattr(arrow, "LARGE_BATCH", 3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with closing(EmbeddedStore(tmp_path / "data")) as made:
        yield made


def some_of_everything() -> list[list[Submission]]:
    """Groups that use every column of the journal."""
    mixed = columns([(f"m{i}", i, value) for i, value in enumerate(VALUES)], "rig-02")
    mixed.extend(columns([("boot", 3, {"why": "cold"}, {"by": "ann"})], "rig-01", is_event=True))
    mixed.run_id[3] = "run-1"
    return [
        [submission(("rpm", 0, 1.5), ("rpm", 1, 2), arrival_ns=5, batch=named(1))],
        [Submission("acme", "rig-02", mixed, 6), submission(("rpm", -5, True), arrival_ns=7)],
        [
            submission(("rpm", 0, "tie", {"a": "b"}), arrival_ns=8, batch=named(2)),
            submission(("x", 0, 1), org="globex"),
        ],
        [submission(batch=named(3)), submission(("rpm", 9, 9), batch=named(9, base=8, stream="f" * 32))],
    ]


def test_a_new_start_finds_everything(tmp_path: Path) -> None:
    model = MemoryStore()
    with closing(EmbeddedStore(tmp_path)) as first:
        for group in some_of_everything():
            assert first.commit(group) == model.commit(group)
        assert answers(first) == answers(model)
    with closing(EmbeddedStore(tmp_path)) as second:
        assert answers(second) == answers(model)
        assert second.damage == ()
        again = [one for group in some_of_everything() for one in group if one.batch]
        assert second.commit(again) == model.commit(again)
        assert values_of(second, "x", org="globex") == [1]


def test_a_new_start_finds_what_was_committed_when_nothing_was_closed(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path / "data")) as first:
        for group in some_of_everything():
            first.commit(group)
        shutil.copytree(tmp_path / "data", tmp_path / "copy")
        expected = answers(first)
    with closing(EmbeddedStore(tmp_path / "copy")) as second:
        assert answers(second) == expected


def test_a_second_gateway_is_refused_in_one_line_and_the_first_goes_on(tmp_path: Path, store: EmbeddedStore) -> None:
    with pytest.raises(StoreError) as refusal:
        EmbeddedStore(tmp_path / "data")
    assert "journal.db is in use by another gateway" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert store.commit([submission(("rpm", 0, 1))]) == [Receipt("store", 1)]


def test_the_directory_is_free_again_after_close(tmp_path: Path) -> None:
    EmbeddedStore(tmp_path).close()
    EmbeddedStore(tmp_path).close()


def test_closing_twice_is_fine(store: EmbeddedStore) -> None:
    store.close()
    store.close()


def test_a_newer_format_is_refused_with_a_sentence_and_left_as_it_is(tmp_path: Path) -> None:
    EmbeddedStore(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
        journal.execute("PRAGMA user_version=3")
    before = (tmp_path / "journal.db").read_bytes()
    with pytest.raises(StoreError, match=r"journal\.db has format 3, .* reads up to 2: a newer one wrote it; update"):
        EmbeddedStore(tmp_path)
    assert (tmp_path / "journal.db").read_bytes() == before


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database at all, " * 400)
    with pytest.raises(StoreError, match=r"journal\.db: file is not a database; check"):
        EmbeddedStore(tmp_path)


def test_a_directory_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"file.data.journal\.db: .*; check that the directory is yours"):
        EmbeddedStore(tmp_path / "file" / "data")


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal"])
def test_a_link_in_the_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "elsewhere"
    target.touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).symlink_to(target)
    with pytest.raises(StoreError, match="is a symbolic link"):
        EmbeddedStore(tmp_path / "data")
    assert target.read_bytes() == b""


def test_directory_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        with closing(EmbeddedStore(tmp_path / "a" / "data")) as store:
            store.commit([submission(("rpm", 0, 1))])
            tend(store)
            data = tmp_path / "a" / "data"
            assert {path.name for path in data.iterdir()} == {"history", "journal.db", "journal.db-wal"}
            everything = [data, *data.rglob("*")]
            files = [path for path in everything if path.is_file()]
            assert any(path.suffix == ".parquet" for path in files)
            assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
            folders = [path for path in everything if path.is_dir()]
            assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    finally:
        os.umask(mask)


def test_every_commit_is_flushed(store: EmbeddedStore) -> None:
    execute = store._journal._connection.execute
    pragmas = {
        name: execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "locking_mode")
    }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive"}


def test_a_group_is_one_row(store: EmbeddedStore) -> None:
    store.commit([submission(("rpm", i, i)) for i in range(10)])
    store.commit([submission(("rpm", 0, 1), batch=named(2))])
    rows = store._journal._connection.execute("SELECT seq, points FROM journal").fetchall()
    assert rows == [(1, 10)]


def test_a_repeat_writes_nothing(store: EmbeddedStore) -> None:
    store.commit([submission(("rpm", 0, 1), batch=named(1))])
    store.commit([submission(("rpm", 0, 1), batch=named(1)), submission(("rpm", 0, 1), batch=named(1, digest="ee"))])
    assert store._journal._connection.execute("SELECT count(*) FROM journal").fetchone() == (1,)


def test_questions_never_touch_the_journal(store: EmbeddedStore) -> None:
    for group in some_of_everything():
        store.commit(group)
    expected = answers(store)
    store._journal._connection.close()
    assert answers(store) == expected


def test_points_that_are_fed_in_many_ways_keep_the_order_of_commit(tmp_path: Path, tiny: None) -> None:
    model = MemoryStore()
    with closing(EmbeddedStore(tmp_path)) as store:
        for i in range(12):
            group = [submission(*(("rpm", i % 3, f"{i}.{k}") for k in range(i % 4)), ("y", -i, i))]
            assert store.commit(group) == model.commit(group)
            if i % 5 == 4:
                assert answers(store) == answers(model)
        assert answers(store) == answers(model)
    with closing(EmbeddedStore(tmp_path)) as store:
        assert answers(store) == answers(model)


def test_more_points_than_a_row_group_keep_their_order(store: EmbeddedStore) -> None:
    count = hot.ROW_GROUP + 1_000
    half = columns([])
    half.source_id, half.metric, half.t_ns = ["rig-01"] * count, ["rpm"] * count, [7] * count
    half.is_event, half.tags, half.run_id = [False] * count, [None] * count, [None] * count
    half.value = [*range(count)]
    store.commit([Submission("acme", "rig-01", half, 1)])
    store.commit([submission(("rpm", 0, 1.5))])
    series = store.raw("acme", "rig-01", ["rpm"], ALWAYS, count + 1).series["rpm"]
    assert series.value == [*range(count), 1.5]


def test_small_and_large_submissions_of_a_group_keep_their_order(store: EmbeddedStore) -> None:
    sizes = [1, record.LARGE, 2, 1, record.LARGE + 1, 1]
    values = iter(range(sum(sizes)))
    group = [submission(*(("rpm", 0, next(values)) for _ in range(size))) for size in sizes]
    store.commit([*group, submission(("rpm", 0, "another's"), org="globex")])
    assert values_of(store, "rpm") == [*range(sum(sizes))]


def test_streams_that_leave_memory_are_known_when_they_come_back(tmp_path: Path, tiny: None) -> None:
    names = [f"{i:032x}" for i in range(6)]
    with closing(EmbeddedStore(tmp_path)) as store:
        for n in (1, 2):
            for stream in names:
                assert store.commit([submission(("rpm", n, n), batch=named(n, stream=stream))])[0].upto == n
        assert len(store._streams._held) == 2
        repeats = [submission(("rpm", 1, 1), batch=named(1, stream=stream)) for stream in names]
        assert store.commit(repeats) == [Receipt("duplicate", 0, 2)] * 6
    with closing(EmbeddedStore(tmp_path)) as store:
        assert store.commit(repeats) == [Receipt("duplicate", 0, 2)] * 6
        third = [submission(("rpm", 3, 3), batch=named(3, stream=stream)) for stream in names]
        assert store.commit(third) == [Receipt("store", 1, 3)] * 6


def test_a_streams_first_source_stays_with_it_when_it_leaves_memory_and_follows_a_rename(
    tmp_path: Path, tiny: None
) -> None:
    with closing(EmbeddedStore(tmp_path)) as store:
        store.commit([submission(("rpm", 1, 1), batch=named(1))])
        for i in range(3):
            store.commit([submission(batch=named(1, stream=f"{i:032x}"))])
        kept = store._journal.stream("acme", named(1).stream)
        assert kept is not None
        assert (kept.source_id, kept.watermark) == ("rig-01", 1)
        assert ("acme", named(1).stream) not in store._streams._held
        own, other, renamed = (
            submission(("rpm", 2, 2), source_id=name, batch=named(2)) for name in ("rig-01", "rig-02", "left-arm")
        )
        assert store.commit([other]) == [Receipt("fork", 0, 1)]
        store.rename("acme", "rig-01", "left-arm")
        assert store.commit([own]) == [Receipt("fork", 0, 1)]
        assert store.commit([renamed]) == [Receipt("store", 1, 2)]
        assert values_of(store, "rpm", source_id="left-arm") == [1, 2]


def test_a_commit_does_not_wait_for_a_question(store: EmbeddedStore, tiny: None) -> None:
    receipts: list[Receipt] = []
    writer = threading.Thread(target=lambda: receipts.extend(store.commit([submission(("rpm", 0, 1))])))
    with store._newest.catalogue():
        writer.start()
        writer.join(timeout=60)
        assert receipts == [Receipt("store", 1)]
    assert values_of(store, "rpm") == [1]


def test_what_is_sealed_is_not_read_again_and_not_missed(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path)) as store:
        for n in (1, 2, 3):
            store.commit([submission(("rpm", n, n))])
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal, journal:
        journal.execute("INSERT OR REPLACE INTO counters VALUES ('cut', 2)")
        journal.execute("DELETE FROM journal WHERE seq = 1")  # row 2 stays: the cut is believed, and no leftovers
    with closing(EmbeddedStore(tmp_path)) as store:
        assert values_of(store, "rpm") == [3]
        assert store.damage == ()


def test_rows_are_numbered_on_when_all_of_them_are_sealed(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path)) as store:
        store.commit([submission(("rpm", 1, 1))])
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal, journal:
        journal.execute("INSERT OR REPLACE INTO counters VALUES ('cut', 1)")
        journal.execute("DELETE FROM journal")
    with closing(EmbeddedStore(tmp_path)) as store:
        store.commit([submission(("rpm", 2, 2))])
        assert store._journal._connection.execute("SELECT seq FROM journal").fetchall() == [(2,)]
    with closing(EmbeddedStore(tmp_path)) as store:
        assert values_of(store, "rpm") == [2]


def test_it_loads_no_data_frames(tmp_path: Path) -> None:
    """pandas takes a quarter of a second and 40 MB, and comes in by itself through some of pyarrow's doors."""
    script = (
        "import sys; from pathlib import Path\n"
        "from plexus.adapters.store.embedded import EmbeddedStore\n"
        "from plexus.testing.contracts.store.suite import *\n"
        "store = EmbeddedStore(Path(sys.argv[1])); store.commit([submission(('a', 0, 1.5), ('b', 0, 'x'))])\n"
        "raw_of(store); store.buckets('acme', None, None, ALWAYS, 1000); store.close()\n"
        "print([name for name in ('pandas', 'polars') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


class TestDamage:
    """Rows 1 to 4 hold rpm = 1 to 4 of one stream; something is done to row 2."""

    @pytest.fixture(autouse=True)
    def _written(self, tmp_path: Path) -> None:
        self.path = tmp_path / "journal.db"
        with closing(EmbeddedStore(tmp_path)) as store:
            for n in (1, 2, 3, 4):
                store.commit([submission(("rpm", n, n), (f"only.in.{n}", n, n), batch=named(n))])

    def _sql(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path)) as journal, journal:
            for statement in statements:
                journal.execute(statement)

    def _found(self, caplog: pytest.LogCaptureFixture, what: str, rows: tuple[int, ...] = (2,)) -> None:
        with caplog.at_level(logging.ERROR), closing(EmbeddedStore(self.path.parent)) as store:
            assert values_of(store, "rpm") == [n for n in (1, 2, 3, 4) if n not in rows]
            assert len(store.damage) == len(rows)
            for row, sentence in zip(rows, store.damage, strict=True):
                assert re.search(
                    rf"journal\.db: journal row {row} cannot be read: {what}; its points are lost", sentence
                )
                assert sentence in caplog.text
            # The stream goes on: later rows say how far it is.
            assert store.commit([submission(("rpm", 4, 4), batch=named(4))]) == [Receipt("duplicate", 0, 4)]
            assert store.commit([submission(("rpm", 5, 5), batch=named(5))])[0].verdict == "store"
            assert values_of(store, "rpm")[-1] == 5

    def test_a_row_cut_short_is_named_and_the_rest_is_there(self, caplog: pytest.LogCaptureFixture) -> None:
        self._sql("UPDATE journal SET body = substr(body, 1, length(body) - 7) WHERE seq = 2")
        self._found(caplog, "its checksum does not match")

    def test_a_row_flipped_in_the_file_is_named_and_the_rest_is_there(self, caplog: pytest.LogCaptureFixture) -> None:
        with closing(sqlite3.connect(self.path)) as journal:
            body = journal.execute("SELECT body FROM journal WHERE seq = 2").fetchone()[0]
        content = bytearray(self.path.read_bytes())
        content[content.index(body) + len(body) // 2] ^= 0x10
        self.path.write_bytes(content)
        self._found(caplog, "its checksum does not match")

    def test_a_row_that_is_missing_is_named(self, caplog: pytest.LogCaptureFixture) -> None:
        self._sql("DELETE FROM journal WHERE seq = 2")
        self._found(caplog, "it is missing")

    def test_rows_that_changed_places_are_named(self, caplog: pytest.LogCaptureFixture) -> None:
        self._sql(
            "UPDATE journal SET seq = 99 WHERE seq = 2",
            "UPDATE journal SET seq = 2 WHERE seq = 3",
            "UPDATE journal SET seq = 3 WHERE seq = 99",
        )
        self._found(caplog, "its checksum does not match", rows=(2, 3))

    def test_a_row_that_is_whole_and_no_record_is_named(self, caplog: pytest.LogCaptureFixture) -> None:
        with closing(sqlite3.connect(self.path)) as journal, journal:
            journal.execute("UPDATE journal SET body = ?, crc = ? WHERE seq = 2", (b"what", zlib.crc32(b"what", 2)))
        self._found(caplog, ".+")

    def test_a_page_that_cannot_be_read_costs_its_own_row(
        self, caplog: pytest.LogCaptureFixture, tmp_path: Path
    ) -> None:
        """A row of several pages, whose chain of pages points nowhere."""
        with closing(EmbeddedStore(tmp_path)) as store:
            store.commit([submission(("big", 0, os.urandom(30_000).hex()))])
            store.commit([submission(("after", 0, 1))])
        with closing(sqlite3.connect(self.path)) as journal:
            body = journal.execute("SELECT body FROM journal WHERE seq = 5").fetchone()[0]
        content = bytearray(self.path.read_bytes())
        page = content.index(body[-16:]) // 4096  # the chain's last page; its first bytes say that none follows
        content[page * 4096 - 4096 : page * 4096 - 4092] = b"\xff\xff\xff\xff"
        self.path.write_bytes(content)
        with caplog.at_level(logging.ERROR), closing(EmbeddedStore(tmp_path)) as store:
            assert [re.search(r"row (\d+) cannot be read", sentence)[1] for sentence in store.damage] == ["5"]  # type: ignore[index]
            assert values_of(store, "rpm") == [1, 2, 3, 4]
            assert values_of(store, "after") == [1]

"""The streams of the embedded store: what is left of silent ones, and how little a commit waits for who lists them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.store.embedded import EmbeddedStore, record, streams
from plexus.adapters.store.embedded.checking import check
from plexus.adapters.store.embedded.inside import DAY_NS
from plexus.adapters.store.memory import MemoryStore
from plexus.ports.store import Store, StreamInfo
from plexus.testing.contracts.store.suite import named, submission, values_of
from plexus.testing.contracts.store.tending import tend
from tests.support.daily import T0_NS

AFTER_NS = T0_NS + 401 * DAY_NS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with closing(EmbeddedStore(tmp_path / "data")) as made:
        yield made


def stream(number: int) -> str:
    """The name of a stream."""
    return f"{number:032x}"


def begin(store: Store, numbers: range) -> None:
    """One batch in each of these streams, from rig-01."""
    names = [named(1, stream=stream(number)) for number in numbers]
    store.commit([submission(("rpm", 0, 1), batch=name, arrival_ns=T0_NS) for name in names])


def refused(store: Store, number: int) -> bool:
    """Whether every batch of this stream is a fork, of which nothing is stored: the first, the next, and any other."""
    names = [named(n, base, stream=stream(number)) for n, base in ((1, 1), (2, 1), (2, 2), (57, 57))]
    receipts = [store.commit([submission(("rpm", 0, "again"), batch=name)])[0] for name in names]
    return all((receipt.verdict, receipt.stored) == ("fork", 0) for receipt in receipts)


# --- silence ---------------------------------------------------------------------------------------------------------


def test_a_stream_that_was_let_go_of_stays_so_over_starts_and_in_copies(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path / "data")) as store:
        begin(store, range(2))
    # Closed for 400 days with rows that are not sealed: when it starts the streams are in memory alone.
    with closing(EmbeddedStore(tmp_path / "data")) as store:
        tend(store, AFTER_NS)
        assert refused(store, 0)
        store.snapshot(tmp_path / "copy")
    for folder in ("data", "copy"):
        for _start in range(2):
            with closing(EmbeddedStore(tmp_path / folder)) as store:
                assert refused(store, 0)
                assert refused(store, 1)
                assert store.streams("acme", "rig-01") == []
                tend(store, AFTER_NS + DAY_NS)
                assert values_of(store, "rpm") == [1, 1]
        assert check(tmp_path / folder) == []


def test_streams_are_let_go_of_in_lots_and_each_once(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LET_GO_AT_ONCE", 2)
    begin(store, range(5))
    tend(store, T0_NS + 30 * DAY_NS)
    assert [store._streams.let_go(AFTER_NS - 400 * DAY_NS) for _ in range(5)] == [2, 2, 1, 0, 0]
    assert all(refused(store, number) for number in range(5))


def test_what_is_left_of_a_silent_stream_is_small(tmp_path: Path) -> None:
    count = 2_000
    with closing(EmbeddedStore(tmp_path)) as store:
        begin(store, range(count))
        tend(store, AFTER_NS)
        assert store._journal.ask("SELECT count(*), sum(length(prints)) FROM streams") == [(count, 0)]
        store._journal.ask("VACUUM")
    assert (tmp_path / "journal.db").stat().st_size < count * 300


@pytest.mark.parametrize("kind", ["embedded", "memory"])
def test_a_batch_of_a_silent_stream_is_in_the_log_with_what_it_means(
    store: EmbeddedStore, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    own: Store = store if kind == "embedded" else MemoryStore()
    begin(own, range(1))
    tend(own, AFTER_NS)
    own.commit([submission(("rpm", 0, 1), batch=named(7, stream=stream(0))), submission(("rpm", 0, 1))])
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith(f"batch 7 of stream {stream(0)} from rig-01 (acme) is refused")
    assert "400 days" in told
    assert "under a new stream" in told


# --- questions that need the journal ---------------------------------------------------------------------------------


def expected(numbers: range) -> list[StreamInfo]:
    """What is listed of streams that `begin` began."""
    return [StreamInfo(stream(number), 1, T0_NS) for number in numbers]


def test_streams_in_memory_and_in_the_table_are_listed_once_each(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LISTED_AT_ONCE", 3)
    store._streams._max = 4
    for start in range(0, 10, 2):
        begin(store, range(start, start + 2))
    assert len(store._streams._held) == 4
    assert store.streams("acme", "rig-01") == expected(range(10))
    store.commit([submission(("rpm", 0, 1), batch=named(2, stream=stream(0)), arrival_ns=T0_NS + 1)])
    newest = StreamInfo(stream(0), 2, T0_NS + 1)
    assert store.streams("acme", "rig-01") == [newest, *expected(range(1, 10))]


def test_a_stream_that_leaves_memory_while_it_is_listed_is_not_missed(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LISTED_AT_ONCE", 2)
    store._streams._max = 4
    begin(store, range(6))
    numbers = iter(range(100, 200))
    ask = store._journal.ask

    def commit_after(sql: str, parameters: Any = ()) -> list[Any]:
        found = ask(sql, parameters)
        if sql.startswith("SELECT rowid"):
            names = [named(1, stream=stream(next(numbers)))]
            store._journal.writing.release()
            store.commit([submission(("rpm", 0, 1), source_id="rig-02", batch=name) for name in names])
            store._journal.writing.acquire()
        return found

    monkeypatch.setattr(store._journal, "ask", commit_after)
    assert store.streams("acme", "rig-01") == expected(range(6))


def test_streams_are_read_in_small_lots_and_looked_at_while_commits_go_on(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LISTED_AT_ONCE", 3)
    begin(store, range(10))
    tend(store, T0_NS + DAY_NS)
    lots: list[int] = []
    ask, writing = store._journal.ask, store._journal.writing

    def watched(sql: str, parameters: Any = ()) -> list[Any]:
        assert writing.locked()
        found = ask(sql, parameters)
        lots.append(len(found))
        return found

    def info(*values: Any) -> StreamInfo:
        assert not writing.locked()
        return StreamInfo(*values)

    class Lot(list[StreamInfo]):
        def __iter__(self) -> Iterator[StreamInfo]:
            assert not writing.locked()
            return super().__iter__()

    streams_of = store._journal.streams_of

    def in_lots(*asked: Any) -> tuple[list[StreamInfo], int | None]:
        lot, after = streams_of(*asked)
        return Lot(lot), after

    monkeypatch.setattr(store._journal, "ask", watched)
    monkeypatch.setattr(store._journal, "streams_of", in_lots)
    monkeypatch.setattr(streams, "StreamInfo", info)
    assert store.streams("acme", "rig-01") == expected(range(10))
    assert lots == [3, 3, 3, 1]


def test_streams_after_a_lot_of_silent_ones_are_listed(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LISTED_AT_ONCE", 2)
    begin(store, range(5))
    tend(store, AFTER_NS)
    begin(store, range(5, 10))
    tend(store, AFTER_NS - 2 * DAY_NS)
    store._streams._held.clear()
    assert store.streams("acme", "rig-01") == expected(range(5, 10))


def test_streams_are_found_by_an_index_and_without_their_prints(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Any]] = []
    ask = store._journal.ask

    def watched(sql: str, parameters: Any = ()) -> list[Any]:
        asked.append((sql, parameters))
        return ask(sql, parameters)

    monkeypatch.setattr(store._journal, "ask", watched)
    store.streams("acme", "rig-01")
    ((sql, parameters),) = asked
    (step,) = [row[3] for row in ask(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    assert step == "SEARCH streams USING INDEX streams_by_source (org=? AND source_id=? AND rowid>?)"
    assert "prints" not in sql


def test_rows_are_checked_and_unpacked_for_a_replay_while_commits_go_on(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in range(3):
        store.commit([submission(("rpm", value, value))])
    looked: list[str] = []
    crc32, unpack = zlib.crc32, record.unpack

    def checked(*arguments: Any) -> int:
        assert not store._journal.writing.locked()
        looked.append("checked")
        return crc32(*arguments)

    def unpacked(body: bytes) -> record.Record:
        assert not store._journal.writing.locked()
        looked.append("unpacked")
        return unpack(body)

    monkeypatch.setattr("plexus.adapters.store.embedded.journal.zlib.crc32", checked)
    monkeypatch.setattr("plexus.adapters.store.embedded.replaying.unpack", unpacked)
    replayed = store.replay("acme", "rig-01", 1, 100)
    assert replayed is not None
    assert [columns.value for _, columns in replayed.groups] == [[0], [1], [2]]
    assert looked == ["checked", "unpacked"] * 3


def test_where_the_order_of_commits_is_asks_nothing_of_the_journal(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(store, range(1))
    head = store.head()
    assert head.seq == 1
    with monkeypatch.context() as without:
        without.setattr(store._journal, "writing", None)
        without.setattr(store._journal, "ask", None)
        assert store.head() == head

"""From a journal's block to the hot tables: ids, tables, extras, ends, and that a replay makes the same of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.adapters.store.embedded import arrow, hot, record
from plexus.adapters.store.embedded.arrow import EVENTS, MAX_NUMBER, POINTS, Extras, Numbers, Rows, Tables, tables_of
from plexus.adapters.store.embedded.catalogue import Catalogue
from plexus.adapters.store.embedded.hot import HotTables
from plexus.adapters.store.embedded.record import DamagedRecord, Lost
from plexus.adapters.store.embedded.values import unpack, value_of
from plexus.domain.errors import StoreError
from plexus.ports.store import Submission
from plexus.protocol import columnar
from plexus.protocol.block import Block
from plexus.protocol.columnar import arrayreading
from plexus.protocol.columnar.arrays import ArrayColumns
from plexus.protocol.columns import Columns
from tests.adapters.columnar_blocks import blocks
from tests.adapters.test_columnar_arrays import number_blocks, telemetry


def columns(*rows: tuple[str, int, Any], event: bool = False) -> Columns:
    made = Columns()
    for metric, t_ns, value in rows:
        made.add("rig-01", metric, t_ns, is_event=event, value=value)
    return made


def journalled(*submissions: Columns) -> list[record.Block]:
    """Blocks as they come back from the disk."""
    gathered = record.gather([Submission("acme", "rig-01", one, 7) for one in submissions])
    return record.unpack(record.pack(record.Record(gathered, []))).blocks


def absorbed(some: Sequence[record.Block], catalogue: Catalogue | None = None) -> tuple[Catalogue, Tables]:
    catalogue = catalogue or Catalogue()
    rows = Rows(Extras(Numbers()))
    for block in some:
        rows.add(catalogue.absorb(block))
    return catalogue, tables_of(rows)


def told(catalogue: Catalogue, tables: Tables) -> list[str]:
    """Every row with what its numbers stand for."""
    rows = []
    for row in [*tables.points.to_pylist(), *tables.events.to_pylist()]:
        known = catalogue.known(row["series"])
        value = value_of(row["kind"], row["num"], row["packed"]) if "kind" in row else unpack(row["packed"])
        extra = tables.extras.get(row["extra"])
        rows.append(repr((known.source_id, known.metric, known.is_event, row["t_ns"], value, extra)))
    return rows


def ends(catalogue: Catalogue) -> list[str]:
    series = [catalogue.known(number) for number in range(1, catalogue.next_id)]
    return sorted(repr((one.metric, one.is_event, one.end)) for one in series)


def bodied(body: bytes) -> ArrayColumns | None:
    return arrayreading.read(body, "rig-01", 100_000)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(number_blocks(), blocks()), min_size=1, max_size=3))
def test_a_body_kept_as_it_came_becomes_the_same_rows_as_its_lists(some: list[Block]) -> None:
    arrays = bodied(columnar.write_body(some, columnar.BEST))
    if arrays is None or not len(arrays):
        return
    lists = Columns()
    lists.extend(arrays)
    kept = record.Block("acme", {"rig-01": 7}, "rig-01", body=arrays, count=len(arrays))
    read = record.unpack(record.pack(record.Record([kept], []))).blocks
    listed = [record._of_columns("acme", {"rig-01": 7}, lists)]
    fresh, again, plain = absorbed([kept]), absorbed(read), absorbed(listed)
    assert told(*fresh) == told(*again)
    assert sorted(told(*again)) == sorted(told(*plain))
    assert ends(fresh[0]) == ends(again[0]) == ends(plain[0])


def test_a_large_columnar_submission_is_kept_as_its_body() -> None:
    body = columnar.write_body([telemetry()], columnar.BEST)
    arrays = bodied(body)
    assert arrays is not None
    (block,) = journalled(arrays)
    assert (block.body, len(block), block.metric) == (body, 1_000, [])
    assert len(record.pack(record.Record([block], []))) < len(body) + 200


def test_a_small_one_lies_together_with_its_neighbours() -> None:
    arrays = bodied(columnar.write_body([telemetry(20)], columnar.BEST))
    assert arrays is not None
    (block,) = journalled(arrays, columns(("m", 1, 1)))
    assert (block.body, len(block)) == (b"", 21)


def test_a_body_that_the_fast_reader_will_not_have_is_read_by_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = bodied(columnar.write_body([telemetry()], columnar.BEST))
    assert arrays is not None
    read = journalled(arrays)
    expected = told(*absorbed(read))
    monkeypatch.setattr(arrayreading, "read", lambda *_: None)
    assert told(*absorbed(read)) == expected


def test_a_body_that_nobody_can_read_is_damage() -> None:
    with pytest.raises(DamagedRecord):
        absorbed([record.Block("acme", {}, "rig-01", body=b"PXC1 rubbish", count=5)])


def test_a_row_of_an_older_version_is_read() -> None:

    old = [[["acme", {"rig-01": 7}, "rig-01", ["m"], [1], [False], [2.5], None, None]], []]
    body = zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(old))
    _, tables = absorbed(record.unpack(body).blocks)
    assert tables.points.column("num").to_pylist() == [2.5]


class TestTables:
    def test_they_have_the_columns_that_files_are_made_of(self) -> None:
        _, tables = absorbed(journalled(columns(("m", 1, 1)), columns(("e", 2, "x"), event=True)))
        assert tables.points.schema == POINTS
        assert tables.events.schema == EVENTS

    def test_nothing_makes_empty_ones(self) -> None:
        _, tables = absorbed([])
        assert (tables.points.num_rows, tables.events.num_rows) == (0, 0)

    def test_points_that_say_the_same_share_an_extra_and_others_have_none(self) -> None:
        made = Columns()
        for row in range(6):
            tags = {"part": "left"} if row % 2 else None
            made.add("rig-01", "m", row, is_event=False, value=row, tags=tags, run_id="run" if row > 3 else None)
        _, tables = absorbed(journalled(made))
        assert tables.points.column("extra").to_pylist() == [0, 1, 0, 1, 2, 3]
        assert dict(tables.extras) == {1: ('{"part":"left"}', None), 2: ("", "run"), 3: ('{"part":"left"}', "run")}

    def test_numbers_of_extras_begin_anew_when_they_are_used_up(self) -> None:
        extras = Extras(Numbers(MAX_NUMBER))
        assert [extras.number({"a": "b"}, None), extras.number({"a": "c"}, None)] == [MAX_NUMBER, 1]


class TestSegments:
    def test_they_are_filled_read_in_order_and_dropped_whole(self) -> None:
        tables, catalogue = HotTables(), Catalogue()
        first, second = tables.open(1), tables.open(2)
        for segment, value in ((first, 1.0), (second, 2.0)):
            segment.rows.add(catalogue.absorb(journalled(columns(("m", 1, value), ("m", 0, value)))[0]))
            segment.feed()
        with tables.cut() as cursor:
            assert first.tables(cursor).points.column("t_ns").to_pylist() == [1, 0]
        tables.drop(first)
        with pytest.raises(StoreError):
            tables.ask("SELECT * FROM points_1")
        assert tables.ask("SELECT num FROM points_2") == [(2.0,), (2.0,)]
        tables.close()

    def test_a_cut_sees_what_was_there_when_it_was_made(self) -> None:
        tables, catalogue = HotTables(), Catalogue()
        segment = tables.open(1)
        segment.rows.add(catalogue.absorb(journalled(columns(("m", 1, 1.0)))[0]))
        segment.feed()
        with tables.cut() as cursor:
            segment.rows.add(catalogue.absorb(journalled(columns(("m", 2, 2.0)))[0]))
            segment.feed()
            tables.drop(segment)
            assert cursor.execute("SELECT num FROM points_1").fetchall() == [(1.0,)]
        tables.close()

    def test_rows_that_could_not_be_put_in_are_there_for_the_next_try(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tables, catalogue = HotTables(), Catalogue()
        segment = tables.open(1)
        segment.rows.add(catalogue.absorb(journalled(columns(("m", 1, 1.0)))[0]))
        with monkeypatch.context() as patch:
            patch.setattr(hot.Segment, "_insert", _refuse)
            with pytest.raises(OSError, match="no memory"):
                segment.feed()
        segment.feed()
        with tables.cut() as cursor:
            assert segment.tables(cursor).points.num_rows == 1
        tables.close()

    def test_what_nobody_asks_for_needs_no_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("duckdb.connect", _refuse)
        tables, catalogue = HotTables(), Catalogue()
        segment = tables.open(1)
        segment.rows.add(catalogue.absorb(journalled(columns(("m", 1, 1.0)))[0]))
        assert tables_of(segment.rows).points.num_rows == 1
        tables.drop(segment)
        tables.close()

    def test_a_segment_that_was_empty_when_it_was_asked_for_can_be_asked_for(self) -> None:
        tables = HotTables()
        tables.open(1).feed()
        assert tables.ask("SELECT count(*) FROM points_1") == [(0,)]
        tables.close()
        with pytest.raises(StoreError, match="closed"):
            tables.ask("SELECT count(*) FROM points_1")

    def test_no_question_reaches_a_file(self, tmp_path: Any) -> None:
        (tmp_path / "secret.csv").write_text("a\n1\n")
        tables = HotTables()
        with pytest.raises(StoreError):
            tables.ask(f"SELECT * FROM '{tmp_path}/secret.csv'")
        tables.close()


def _refuse(*_: object) -> None:
    raise OSError("no memory")


class TestIds:
    def test_they_come_in_the_order_of_the_journal_and_a_replay_gives_them_again(self) -> None:
        some = journalled(columns(("b", 1, 1), ("a", 2, 2)), columns(("b", 3, "x"), event=True), columns(("c", 4, 4)))
        once, again = absorbed(some)[0], absorbed(some)[0]
        assert [once.known(number).metric for number in (1, 2, 3)] == ["b", "a", "c"]
        assert once.known(4).is_event
        assert ends(once) == ends(again)

    def test_what_was_kept_is_loaded_and_the_next_series_gets_the_next_id(self) -> None:
        first, _ = absorbed(journalled(columns(("b", 1, 1), ("a", 2, {"x": 1}))))
        loaded = Catalogue()
        loaded.load(
            first.rows_for(range(1, 99)),
            first.next_id,
            first.all_sources(),
            [Lost("acme", "rig-01", "r", 1, None, None)],
        )
        assert loaded.latest("acme", "rig-01") == {"a": (2, {"x": 1}), "b": (1, 1)}
        assert loaded.sources("acme") == {"rig-01": 7}
        assert [loss.count for loss in loaded.losses("acme", "rig-01")] == [1]
        absorbed(journalled(columns(("c", 0, 1), ("b", 0, 0))), loaded)
        assert loaded.known(3).metric == "c"
        assert loaded.known(1).end == (0, 1, 1)

    def test_reading_a_row_twice_changes_nothing(self) -> None:
        some = journalled(columns(("b", 1, 1), ("b", 1, 2), ("a", 5, 5)))
        catalogue, _ = absorbed(some)
        before = ends(catalogue)
        absorbed(some, catalogue)
        assert ends(catalogue) == before

    def test_of_equal_times_the_last_value_is_the_newest(self) -> None:
        catalogue, _ = absorbed(journalled(columns(("m", 5, 1), ("m", 3, 2), ("m", 5, 3), ("m", 4, 4))))
        assert catalogue.known(1).end == (3, 5, 3)

    def test_a_renamed_source_keeps_its_series_and_the_name_in_its_files(self) -> None:
        catalogue, _ = absorbed(journalled(columns(("m", 5, 1))))
        assert catalogue.rename("acme", "rig-01", "rig-02") == [1]
        known = catalogue.known(1)
        assert (known.source_id, known.stored_source) == ("rig-02", "rig-01")
        assert catalogue.names("acme", "rig-02") == ["m"]
        assert catalogue.names("acme", "rig-01") == []
        assert catalogue.sources("acme") == {"rig-02": 7}

    def test_a_source_whose_last_series_is_forgotten_is_unknown(self) -> None:
        catalogue, _ = absorbed(journalled(columns(("m", 5, 1), ("n", 5, 1))))
        catalogue.forget([1])
        assert catalogue.sources("acme") == {"rig-01": 7}
        catalogue.forget([2, 2])
        assert catalogue.sources("acme") == {}
        assert catalogue.rows_for([1, 2]) == []


def test_many_extras_cost_their_segment_only() -> None:
    numbers = Numbers()
    first, second = arrow.Extras(numbers), arrow.Extras(numbers)
    assert first.number({"a": "1"}, None) != second.number({"a": "1"}, None)

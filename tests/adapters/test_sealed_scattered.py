"""Points that are stamped over thousands of days make a few files, and every answer is what it would be with many."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from plexus.adapters.store.embedded import EmbeddedStore, queries
from plexus.adapters.store.embedded.checking import check
from plexus.adapters.store.embedded.files import parting
from plexus.adapters.store.embedded.inside import Upkeep
from plexus.adapters.store.memory import MemoryStore
from plexus.ports.store import Selection, Store, Window
from plexus.testing.contracts.store.suite import ALWAYS, NS_PER_MS, T0_MS, submission, values_of
from plexus.testing.contracts.store.tending import tend
from tests.support.history import DAY_NS, T0_NS, History, rows_of
from tests.support.store_answers import answers

DAY_MS = 86_400_000
DAYS = 3_000


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = History(tmp_path)
    with closing(made.connection):
        yield made


def scatter(store: Store, days: int = DAYS, value: int = 0, metric: str = "rpm") -> None:
    """A message of a device whose clock is wrong: a point a day, and as many events."""
    stamps = [(metric, -day * DAY_MS, value + day) for day in range(days)]
    store.commit([submission(*stamps), submission(*stamps, is_event=True)])


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("history/**/*.parquet"))


def test_three_thousand_days_of_one_point_make_a_file_a_year_and_kind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = MemoryStore()
    scatter(model)
    with closing(EmbeddedStore(tmp_path)) as store, caplog.at_level(logging.INFO):
        scatter(store)
        tend(store)
        assert len(files(tmp_path)) <= 2 * (DAYS // 365 + 2)
        assert answers(store, limit=DAYS + 1) == answers(model, limit=DAYS + 1)
    assert "3000 points are stamped over 3000 days" in caplog.text
    window = Window((T0_MS - 1_000 * DAY_MS) * NS_PER_MS, (T0_MS - 500 * DAY_MS) * NS_PER_MS)
    with closing(EmbeddedStore(tmp_path)) as store:
        assert store.damage == ()
        for bucket_ms in (60_000, 3_600_000, DAY_MS, 30 * DAY_MS):
            wanted = {"window": window, "limit": 40, "bucket_ms": bucket_ms}
            assert answers(store, **wanted) == answers(model, **wanted)  # type: ignore[arg-type]  # each has its own
    assert check(tmp_path) == []


def test_more_of_them_are_merged_and_go_with_what_is_removed(tmp_path: Path) -> None:
    model = MemoryStore()
    upkeep = Upkeep(merge_files=3)
    with closing(EmbeddedStore(tmp_path, upkeep=upkeep)) as store:
        for turn in range(7):
            for kept in (store, model):
                scatter(kept, 400, turn * 1_000)
            tend(store)
        assert len(files(tmp_path)) <= 3 * 2 * 3
        assert answers(store, limit=9_999) == answers(model, limit=9_999)
        selection = Selection(["rig-01"], ["rpm"], Window(0, (T0_MS - 300 * DAY_MS) * NS_PER_MS))
        assert store.remove("acme", selection) == model.remove("acme", selection) > 0
        assert answers(store, limit=9_999) == answers(model, limit=9_999)
    assert check(tmp_path) == []


def test_they_go_when_the_newest_of_a_file_is_past_the_retention(tmp_path: Path) -> None:
    now = (T0_MS + 20 * DAY_MS) * NS_PER_MS
    with closing(EmbeddedStore(tmp_path, upkeep=Upkeep(retention_days=30))) as store:
        scatter(store)
        tend(store, now)
        left = values_of(store, "rpm")
    # Of the file that holds yesterday everything is there still.
    years = {path.parent.name for path in files(tmp_path)}
    assert (years, max(left)) == ({"year=2025"}, 130)


def test_a_day_with_much_has_a_file_of_its_own_beside_them(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parting, "WORTH_A_FILE", 5)
    points = [(1, T0_NS + day * DAY_NS, day) for day in range(20)] + [(1, T0_NS + i, i) for i in range(1, 5)]
    made = history.seal(rows_of(points))
    assert [(file.day, file.points, file.scattered) for file in made] == [("2026-05-27", 5, False), ("2026", 19, True)]
    assert [file.levels for file in made] == [(), ()]


def test_a_few_days_have_a_file_each(history: History) -> None:
    made = history.seal(rows_of((1, T0_NS + day * DAY_NS, day) for day in range(parting.FEW_DAYS)))
    assert [file.points for file in made] == [1] * parting.FEW_DAYS


def test_a_day_that_has_a_file_is_not_scattered_again(history: History) -> None:
    history.seal(rows_of([(1, T0_NS, 0)]))
    made = history.seal(rows_of((1, T0_NS + day * DAY_NS, day) for day in range(20)))
    assert [(file.day, file.points) for file in made] == [("2026-05-27", 1), ("2026", 19)]


def test_neither_is_one_whose_file_is_damaged(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path)) as store:
        store.commit([submission(("rpm", 0, 1))])
        tend(store)
    (own,) = files(tmp_path)
    own.write_bytes(b"nothing")
    with closing(EmbeddedStore(tmp_path)) as store:
        assert store.damage
        scatter(store, 20)
        tend(store)
    assert len([path for path in files(tmp_path) if path.parent == own.parent]) == 2


def test_equal_times_keep_the_order_of_commit_when_a_day_gets_its_file_later(history: History) -> None:
    def around(value: int) -> list[tuple[int, int, int]]:
        return [(1, T0_NS + day * DAY_NS, value) for day in range(20)]

    history.seal(rows_of(around(1)))
    history.seal(rows_of([(1, T0_NS, 2)]))
    history.seal(rows_of(around(3)))
    history.seal(rows_of([(1, T0_NS, 4)]))
    for scattered in (True, False):
        history.merge([file for file in history.files if file.scattered is scattered])
        found = queries.raw(history.reader, history.cut(), history.picked, Window(T0_NS, T0_NS + 1), 10)
        assert list(found.series["m1"].value) == [1, 2, 3, 4]


def test_work_that_a_kill_left_unfinished_is_removed_there_too(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path)) as store:
        scatter(store, 20)
        tend(store)
    kept = files(tmp_path)
    left = [kept[0].with_name("0123.parquet"), kept[0].with_name("0123.parquet.part")]
    for path in left:
        path.write_bytes(b"half")
    with closing(EmbeddedStore(tmp_path)):
        assert not any(path.exists() for path in left)
        assert files(tmp_path) == kept


def test_any_tool_reads_them(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path)) as store:
        scatter(store, 20)
        tend(store)
        frame = pd.read_parquet(tmp_path / "history" / "scattered_points").sort_values("t")
        assert frame["value"].tolist() == list(range(19, -1, -1))
        with duckdb.connect() as connection:
            found = connection.execute(
                "SELECT count(*), any_value(year) "
                f"FROM read_parquet('{tmp_path}/history/scattered_events/*/*.parquet', hive_partitioning = true)"
            ).fetchone()
        assert found == (20, 2025)
        assert [event.value for event in store.events("acme", "rig-01", ALWAYS, None, 2, newest=True)] == [1, 0]

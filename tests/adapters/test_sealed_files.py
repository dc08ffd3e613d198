"""Sealed files: what is in them, that any tool can read it, and that damage, removal and merging are told apart."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from plexus.adapters.store.embedded import EmbeddedStore, queries
from plexus.adapters.store.embedded.files import check, merging, output, series_of, without, writing
from plexus.adapters.store.embedded.files.index import GROUP
from plexus.adapters.store.embedded.inside import Upkeep
from plexus.domain.errors import QueryError, StoreError
from plexus.ports.store import Question, Window
from plexus.testing.contracts.store.suite import VALUES, submission
from tests.support.history import DAY_NS, T0_NS, History, Point, rows_of
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
MS = 1_000_000
ALWAYS = Window(-(2**63), 2**63 - 1)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = History(tmp_path)
    with closing(made.connection):
        yield made


def _values(history: History, metric: str = "m1") -> list[Any]:
    series = queries.raw(history.reader, history.cut(), history.picked, ALWAYS, 10**6).series
    return list(series[metric].value) if metric in series else []


@pytest.fixture
def sealed_house(tmp_path: Path) -> Iterator[Path]:
    """The history's folder of a store that is running, with a float, an integer, a state and an event."""
    upkeep = Upkeep(stretch_points=1, seal_after_ns=0, stream_ns=2**62)
    with closing(EmbeddedStore(tmp_path, upkeep=upkeep)) as store:
        store.commit([submission(("imu.x", 0, 9.812), ("rpm", 1.5, 3_200), ("state", 2, "RUNNING", {"by": "ann"}))])
        store.commit([submission(("boot", 3, {"cold": True}), is_event=True)])
        while store.maintain(1_900_000_000 * 10**9):
            pass
        yield tmp_path / "history"


def test_pandas_reads_them_while_the_gateway_runs(sealed_house: Path) -> None:
    frame = pd.read_parquet(sealed_house / "points").sort_values("t")
    assert frame["metric"].tolist() == ["imu.x", "rpm", "state"]
    assert frame["source"].unique().tolist() == ["rig-01"]
    assert frame["value"].tolist()[:2] == [9.812, 3_200.0]
    assert np.isnan(frame["value"].tolist()[2])
    assert frame["json"].tolist()[2] == '"RUNNING"'
    assert frame["tags"].tolist()[2] == '{"by":"ann"}'
    assert str(frame["t"].iloc[0]) == "2025-05-11 13:21:00+00:00"
    assert (frame["t"].iloc[1] + pd.Timedelta(int(frame["ns"].iloc[1]), "ns")).isoformat().endswith("00.001500+00:00")


def test_polars_reads_them_while_the_gateway_runs(sealed_house: Path) -> None:
    frame = pl.scan_parquet(sealed_house / "points/**/*.parquet", hive_partitioning=True).sort("t").collect()
    assert frame["metric"].to_list() == ["imu.x", "rpm", "state"]
    assert frame["value"].to_list() == [9.812, 3_200.0, None]
    assert frame["kind"].to_list() == [0, 1, 2]
    assert {str(day) for day in frame["day"].to_list()} == {"2025-05-11"}
    events = pl.read_parquet(sealed_house / "events/**/*.parquet")
    assert events["json"].to_list() == ['{"cold":true}']


def test_duckdb_reads_them_while_the_gateway_runs(sealed_house: Path) -> None:
    found = (
        duckdb.connect()
        .execute(
            f"SELECT metric, value FROM read_parquet('{sealed_house}/points/*/*.parquet', hive_partitioning = true) "
            "WHERE source = 'rig-01' AND day = '2025-05-11' ORDER BY metric"
        )
        .fetchall()
    )
    assert found == [("imu.x", 9.812), ("rpm", 3_200.0), ("state", None)]


def _examples(kind: str, house: Path) -> list[str]:
    """The blocks of the reference page in this language, about this directory."""
    page = (ROOT / "docs" / "reference" / "data-directory.md").read_text()
    blocks = re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)
    return [block.replace("DIR/", f"{house.parent}/").replace("2026-05", "2025-05") for block in blocks]


def test_the_pages_example_for_duckdb_finds_points(sealed_house: Path) -> None:
    (sql,) = _examples("sql", sealed_house)
    day = sql.replace("2025-05-07", "2025-05-31").rstrip().removesuffix(";")
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * EXCLUDE (bucket) FROM ({day})").fetchall()
    assert found == [(9.812, 9.812, 9.812)]


def test_the_pages_examples_for_data_frames_find_points(sealed_house: Path) -> None:
    with_polars, with_pandas = _examples("py", sealed_house)
    names: dict[str, Any] = {}
    exec(with_polars, names)
    assert names["frame"]["value"].to_list() == [9.812]
    exec(with_pandas, names)
    assert names["frame"].tolist() == [9.812]


def test_a_roll_up_reads_as_what_it_is_called(history: History) -> None:
    history.seal(rows_of((1, T0_NS + i * 1_000 * MS, i / 8) for i in range(3_600)))
    hours = pl.read_parquet(history.folder / "rollup_1h" / "**" / "*.parquet")
    columns = ("metric", "min", "max", "count", "numbers", "last")
    assert hours.select(columns).rows() == [("m1", 0.0, 3_599 / 8, 3_600, 3_600, 3_599 / 8)]
    assert hours["sum"].to_list()[0] / 3_600 == 3_599 / 16


def test_every_value_comes_back_as_it_went_in(history: History) -> None:
    history.seal(rows_of((1, T0_NS + i, value) for i, value in enumerate(VALUES)))
    assert repr(_values(history)) == repr(list(VALUES))


def test_realistic_telemetry_takes_less_than_four_bytes_a_point_with_its_roll_ups(history: History) -> None:
    rng = np.random.default_rng(1)
    count = 40_000
    points: list[Point] = []
    t = np.arange(count) * 100 + rng.integers(-2, 3, count)
    signals = (
        np.round(9.81 + 0.5 * np.sin(t / 7_000) + rng.normal(0, 0.05, count), 3),  # an accelerometer
        np.round(20 + np.cumsum(rng.normal(0, 0.002, count)), 1),  # a temperature
    )
    for series, values in enumerate(signals, 1):
        points += zip([series] * count, (T0_NS + t * MS).tolist(), values.tolist(), strict=True)
    (file,) = history.seal(rows_of(points))
    assert file.levels == ("1m", "10m", "1h")
    assert file.bytes == sum(path.stat().st_size for path in file.paths(history.folder))
    assert file.bytes / file.points < 4


def test_a_file_is_of_one_day_and_late_points_go_where_they_belong(history: History) -> None:
    made = history.seal(rows_of((1, T0_NS + offset, offset) for offset in (DAY_NS, -1, 0, DAY_NS - 1, -DAY_NS - 1)))
    assert [(file.day, file.points) for file in made] == [
        ("2026-05-25", 1),
        ("2026-05-26", 1),
        ("2026-05-27", 2),
        ("2026-05-28", 1),
    ]
    assert _values(history) == [-DAY_NS - 1, -1, 0, DAY_NS - 1, DAY_NS]


def test_files_and_folders_are_their_owners_alone(history: History) -> None:
    mask = os.umask(0)
    try:
        (file,) = history.seal(rows_of([(1, T0_NS, 1.5)]))
    finally:
        os.umask(mask)
    path = file.path(history.folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_disk_that_fails_leaves_nothing(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = output.Output.finish

    def fails(made: Any) -> int:
        if "2026-05-28" in str(made._path):
            raise OSError(28, "No space left on device")
        return finish(made)

    monkeypatch.setattr(output.Output, "finish", fails)
    with pytest.raises(StoreError, match="cannot be written: No space left on device"):
        history.seal(rows_of([(1, T0_NS, 1), (1, T0_NS + DAY_NS, 2)]))
    assert [path for path in history.folder.rglob("*") if path.is_file()] == []


def test_a_merged_file_has_what_its_files_had_and_equal_times_keep_the_order_of_commit(history: History) -> None:
    for part in range(4):
        history.seal(rows_of((series, T0_NS + i * MS, f"{part}.{i}") for i in (3, 1, 2) for series in (2, 1)))
    before = _values(history), _values(history, "m2")
    files = list(history.files)
    merged = history.merge(files)
    assert (_values(history), _values(history, "m2")) == before
    assert before[0] == [f"{part}.{i}" for i in (1, 2, 3) for part in range(4)]
    assert (merged.points, merged.first_seq, merged.last_seq) == (24, 1, 4)
    assert (merged.first_ns, merged.last_ns) == (T0_NS + MS, T0_NS + 3 * MS)


def test_merging_holds_a_part_of_the_points_at_a_time(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in range(3):
        history.seal(rows_of((series, T0_NS + (3 * i + part) * MS, i) for i in range(1_000) for series in range(1, 21)))
    monkeypatch.setattr(merging, "AT_ONCE", 6_000)
    sizes: list[int] = []
    add = writing.Writer.add

    def noted(writer: Any, rows: Any, **options: Any) -> None:
        sizes.append(len(rows))
        add(writer, rows, **options)

    monkeypatch.setattr(writing.Writer, "add", noted)
    assert history.merge(history.files).points == 60_000
    assert sizes == [6_000] * 10


def test_without_some_points_the_others_stay(history: History) -> None:
    (file,) = history.seal(rows_of((series, T0_NS + i * MS, i) for i in range(6) for series in (1, 2)))
    window = Window(T0_NS + 2 * MS, T0_NS + 4 * MS)
    left = without(history.folder, file, [1], window, history.names)
    assert left.removed == 2
    assert left.file is not None
    history.files = [left.file]
    assert (_values(history), _values(history, "m2")) == ([0, 1, 4, 5], [0, 1, 2, 3, 4, 5])
    assert (left.file.first_seq, left.file.last_seq) == (file.first_seq, file.last_seq)


def test_without_any_point_nothing_is_left_and_without_none_it_is_the_same_file(history: History) -> None:
    (file,) = history.seal(rows_of((1, T0_NS + i, i) for i in range(6)))
    assert without(history.folder, file, [1, 2], None, history.names) == merging.Remainder(None, 6)
    assert without(history.folder, file, [2], None, history.names) == merging.Remainder(file, 0)
    assert series_of(history.folder, file) == {1}


def test_a_sound_file_passes_the_check(history: History) -> None:
    values = [value for value in VALUES if value != 1.7976931348623157e308]
    points = [(1, T0_NS + i * 1_000 * MS, values[i % len(values)]) for i in range(4_000)]
    points += [(2, T0_NS + i * 90_000 * MS, 0.1 * i) for i in range(40)]
    (file,) = history.seal(rows_of(points))
    assert file.levels
    assert check(history.folder, file) == ""


@pytest.mark.parametrize("level", ["", "1m"])
def test_a_flipped_bit_is_found(history: History, level: str) -> None:
    (file,) = history.seal(rows_of((1, T0_NS + i * 1_000 * MS, i * 0.37) for i in range(4_000)))
    path = file.path(history.folder, level)
    content = bytearray(path.read_bytes())
    content[len(content) // 5] ^= 4
    path.write_bytes(content)
    assert str(path) in check(history.folder, file)


def test_a_roll_up_that_is_another_files_is_found(history: History) -> None:
    first, second = (
        history.seal(rows_of((1, T0_NS + i * 1_000 * MS, i + part) for i in range(4_000)))[0] for part in (0, 1)
    )
    other = second.path(history.folder, "10m")
    other.write_bytes(first.path(history.folder, "10m").read_bytes())
    assert check(history.folder, second) == f"{other}: it does not agree with the points"


def test_a_file_that_is_missing_or_no_parquet_is_a_store_error(history: History) -> None:
    (file,) = history.seal(rows_of([(1, T0_NS, 1)]))
    path = file.path(history.folder)
    path.write_bytes(b"nothing of ours")
    with pytest.raises(StoreError, match=str(path)):
        _values(history)
    path.unlink()
    with pytest.raises(StoreError, match=str(path)):
        _values(history)


def test_a_question_reads_the_row_groups_that_hold_its_answer(history: History) -> None:
    count = 3 * GROUP
    history.seal(rows_of((series, T0_NS + i * 10 * MS, i) for series in (1, 2) for i in range(count)))
    (file,) = history.files
    assert pq.read_metadata(file.path(history.folder)).num_row_groups == 6
    start = T0_NS + (GROUP + 5) * 10 * MS
    two = np.array([2], np.int32)
    assert history.reader.reach(file, two, start, start + 60_000 * MS) == GROUP
    question = Question()
    window = Window(start, start + 60_000 * MS)
    found = queries.raw(history.reader, history.cut(), {2: ("rig-01", "m2")}, window, 10_000, question)
    assert found.series["m2"].value == list(range(GROUP + 5, GROUP + 6_005))
    assert question.rows == 6_000


def test_a_raw_question_over_a_long_window_reads_about_what_its_limit_asks_for(history: History) -> None:
    count = 300_000
    history.seal(rows_of((1, T0_NS + i * 100 * MS, i) for i in range(count)))
    question = Question(max_rows=10_000)
    found = queries.raw(history.reader, history.cut(), {1: ("rig-01", "m1")}, ALWAYS, 1_000, question)
    assert (found.truncated, found.series["m1"].value) == (True, list(range(1_000)))


def test_the_newest_events_are_read_from_the_end(history: History) -> None:
    for day in range(3):
        points = ((1, T0_NS + day * DAY_NS + i * 800 * MS, i) for i in range(100_000))
        history.seal(rows_of(points, is_event=True))
    question = Question(max_rows=10_000)
    found = queries.events(history.reader, history.cut(), history.picked, ALWAYS, 1_000, newest=True, question=question)
    assert [event.value for event in found] == list(range(99_000, 100_000))


def test_a_count_of_whole_files_reads_nothing(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    history.seal(rows_of((1, T0_NS + i * MS, i) for i in range(1_000)))
    question = Question(max_rows=0)
    assert queries.count(history.reader, history.cut(), history.picked, None, question) == 1_000
    with pytest.raises(StoreError):
        queries.raw(history.reader, history.cut(), history.picked, ALWAYS, 10, question)


def test_a_question_that_waits_for_the_hot_tables_is_interrupted_from_another_thread(history: History) -> None:
    history.connection.execute(
        "CREATE VIEW points_1 AS SELECT range AS rowid, 1::INTEGER AS series, range AS t_ns FROM range(10000000000000)"
    )
    history.segments = [1]
    question = Question()
    said: list[str] = []

    def ask() -> None:
        try:
            queries.count(history.reader, history.cut(), {1: ("rig-01", "m1")}, None, question)
        except QueryError as exc:
            said.append(str(exc))

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: question._interrupt is not None)

    def ended() -> bool:
        question.cancel("time is up")  # again, when it came before the query had begun
        return not asking.is_alive()

    eventually(ended)
    assert said == ["the question was ended: time is up"]


def test_a_scan_holds_a_few_parts_whatever_its_length(history: History) -> None:
    """How many rows were read when the first part came, and when half of them had."""
    for day in range(4):
        history.seal(rows_of((1, T0_NS + day * DAY_NS + i * 200 * MS, i) for i in range(400_000)))
    question = Question()
    parts = queries.scan(history.reader, history.cut(), history.picked, None, question)
    given = 0
    for part in parts:
        given += len(part)
        assert question.rows - given < 300_000
    assert given == question.rows == 1_600_000


def test_sealing_and_asking_load_no_data_frames(tmp_path: Path) -> None:
    """pandas takes a quarter of a second and 40 MB, and comes in by itself through some of pyarrow's doors."""
    script = (
        "import sys; from pathlib import Path\n"
        "from tests.support.history import *\n"
        "from plexus.adapters.store.embedded import queries\n"
        "from plexus.adapters.store.embedded.files import check, without\n"
        "from plexus.ports.store import Window\n"
        "history = History(Path(sys.argv[1]))\n"
        "values = [0.5, 3, 'x', {'a': 1}]\n"
        "for part in range(2):\n"
        "    history.seal(rows_of((1, T0_NS + i * 10**9 + part, values[i % 4]) for i in range(8_000)))\n"
        "    history.seal(rows_of([(2, T0_NS, 'x')], is_event=True))\n"
        "history.heat(rows_of([(1, T0_NS + 5, 7), (1, T0_NS + 6, 'y')], tags=[{'a': 'b'}, None]))\n"
        "file = history.merge([file for file in history.files if file.kind == 'points'])\n"
        "assert check(history.folder, file) == ''\n"
        "always = Window(-(2**63), 2**63 - 1)\n"
        "queries.raw(history.reader, history.cut(), history.picked, always, 100)\n"
        "queries.buckets(history.reader, history.cut(), history.picked, always, 60_000)\n"
        "queries.events(history.reader, history.cut(), history.picked, always, 9, newest=True)\n"
        "list(queries.scan(history.reader, history.cut(), history.picked, None))\n"
        "assert queries.count(history.reader, history.cut(), history.picked, Window(T0_NS, T0_NS + 10**9)) == 4\n"
        "without(history.folder, file, [1], Window(T0_NS, T0_NS + 5), history.names)\n"
        "print([name for name in ('pandas', 'polars') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")

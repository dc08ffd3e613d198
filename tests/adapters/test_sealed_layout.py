"""Sealed files as their page describes them: order, packing and statistics, and how little of one a question reads."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from plexus.adapters.store.embedded import queries
from plexus.adapters.store.embedded.files import SealedFile, SeriesName, reading
from plexus.adapters.store.embedded.files.index import GROUP
from plexus.ports.store import Question, Window
from tests.support.history import T0_NS, History, Point, rows_of

MS = 1_000_000
ALWAYS = Window(-(2**63), 2**63 - 1)
SOURCES, METRICS, TIMES = 60, 50, 80
SERIES = SOURCES * METRICS
STATISTICS = ("org", "source", "metric", "t", "series")
FOLDERS = ("points", "events", "rollup_1m", "rollup_10m", "rollup_1h")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Three thousand series of one day in one file, as they come: at each time a point of each, in any order.

    One in eight times is told twice; an event of each is there too. The values of a series grow from point to point.
    """
    history = History(tmp_path_factory.mktemp("history"))
    luck = random.Random(1)
    numbers = luck.sample(range(1, SERIES + 1), SERIES)  # which say nothing about the names
    history.names = {
        number: SeriesName("acme", f"rig-{n % SOURCES:02}", f"m{n // SOURCES:02}") for n, number in enumerate(numbers)
    }
    history.picked = {series: (name.source_id, name.metric) for series, name in history.names.items()}
    points: list[Point] = []
    for place in range(TIMES):
        luck.shuffle(numbers)
        t_ns = T0_NS + (place - place % 8 // 7) * 400 * MS
        points += ((series, t_ns, place + luck.random()) for series in numbers)
    with closing(history.connection):
        history.seal(rows_of(points))
        history.seal(rows_of(((series, T0_NS + 5, series) for series in numbers), is_event=True))
        yield history
    history.reader.close()


def _paths(history: History) -> list[Path]:
    found = sorted(history.folder.rglob("*.parquet"))
    assert {path.parent.parent.name for path in found} == set(FOLDERS)
    return found


def _points(history: History) -> SealedFile:
    return next(file for file in history.files if file.kind == "points")


def test_rows_lie_in_the_order_of_series_and_time_and_equal_times_in_that_of_commit(fleet: History) -> None:
    for path in _paths(fleet):
        table = pq.ParquetFile(path).read()
        columns = [table.column(name).to_pylist() for name in ("org", "metric", "source", "t")]
        rows = list(zip(*columns, strict=True))
        assert rows == sorted(rows)
    table = pq.ParquetFile(_points(fleet).path(fleet.folder)).read(["series", "value"])
    assert [int(value) for value in table.column("value").to_pylist()] == list(range(TIMES)) * SERIES


def test_every_column_is_packed_with_zstd_in_row_groups_of_one_size(fleet: History) -> None:
    for path in _paths(fleet):
        metadata = pq.read_metadata(path)
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        assert all(group.num_rows == GROUP for group in groups[:-1])
        packed = {group.column(i).compression for group in groups for i in range(group.num_columns)}
        assert packed == {"ZSTD"}
    assert pq.read_metadata(_points(fleet).path(fleet.folder)).num_row_groups == -(-SERIES * TIMES // GROUP)


def test_every_row_group_says_the_least_and_the_greatest_of_what_readers_look_for(fleet: History) -> None:
    for path in _paths(fleet):
        file = pq.ParquetFile(path)
        for number in range(file.num_row_groups):
            rows, group = file.read_row_group(number), file.metadata.row_group(number)
            for i in range(group.num_columns):
                name, statistics = group.column(i).path_in_schema, group.column(i).statistics
                if name in STATISTICS:
                    values = rows.column(name).to_pylist()
                    assert (statistics.min, statistics.max) == (min(values), max(values))


def test_another_tool_finds_one_series_of_thousands_in_a_row_group_or_two(fleet: History) -> None:
    dataset = ds.dataset(_points(fleet).path(fleet.folder))
    wanted = (ds.field("metric") == "m23") & (ds.field("source") == "rig-42")
    (fragment,) = dataset.get_fragments()
    assert len(fragment.row_groups) > 6
    assert 1 <= len(fragment.subset(wanted).row_groups) <= 2
    assert dataset.to_table(filter=wanted).num_rows == TIMES


class CountingFile(io.FileIO):
    """A file that knows how much was read of it."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(-1 if size is None else size)
        self.read_bytes += len(content)
        return content

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self.read_bytes += count
        return count


def test_a_question_about_one_series_of_thousands_reads_a_small_part_of_the_file(
    fleet: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[CountingFile] = []
    parquet_file = pq.ParquetFile

    def counted(path: Path, **options: Any) -> Any:
        opened.append(CountingFile(path))
        return parquet_file(opened[-1], **options)

    monkeypatch.setattr(pq, "ParquetFile", counted)
    wanted = {series: place for series, place in fleet.picked.items() if place == ("rig-42", "m23")}
    file, question = _points(fleet), Question()
    size = file.path(fleet.folder).stat().st_size
    reader = reading.Reader(fleet.folder)
    reader.index(file)
    footer = opened[0].read_bytes
    found = queries.raw(reader, fleet.cut(), wanted, ALWAYS, 1_000, question)
    assert np.array(found.series["m23"].value, float).astype(int).tolist() == list(range(TIMES))
    assert question.rows == TIMES
    assert len(opened) == 1
    # Of two row groups of eight at most, and of these two columns.
    assert footer < size / 8
    assert 0 < opened[0].read_bytes - footer < size * 2 / 8
    for one in opened:
        one.close()
    reader.close()

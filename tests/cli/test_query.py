"""`plexus query` as CSV, as Parquet, and whole."""

from __future__ import annotations

import csv
import json
import subprocess
import time
from pathlib import Path

import pytest

from plexus.cli.tables import _moment, cell
from plexus.gateway import Gateway
from tests.cli.conftest import PLEXUS, Command, put


@pytest.fixture
def long(gateway: Gateway) -> Gateway:
    """More values than one answer holds, a minute old."""
    first_ms = int(time.time() * 1000) - 60_000
    for batch in range(3):
        points = [
            {"metric": "m", "value": n, "timestamp": first_ms + n} for n in range(batch * 4000, batch * 4000 + 4000)
        ]
        put(gateway, *points)
    return gateway


def test_csv_has_a_line_a_value_and_the_columns_of_an_export(plexus: Command, filled: Gateway) -> None:
    ended = plexus("query", "drone-01", "battery.voltage", "--last", "5m", "--csv")
    heading, *rows = csv.reader(ended.out.splitlines())
    assert heading == ["source", "metric", "timestamp", "value"]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("drone-01", "battery.voltage", "12.5"),
        ("drone-01", "battery.voltage", "12.25"),
    ]
    assert all(row[2].endswith("Z") and len(row[2]) == 30 for row in rows)


def test_csv_of_buckets_has_their_columns(plexus: Command, filled: Gateway) -> None:
    ended = plexus("query", "drone-01", "battery.voltage", "--last", "2d", "--interval", "1d", "--csv")
    heading, *rows = csv.DictReader(ended.out.splitlines()).reader
    assert heading == ["source", "metric", "timestamp", "min", "max", "avg", "count", "last"]
    assert sum(int(row[6]) for row in rows) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (-3.5, "-3.5"),
        (2**60, "1152921504606846976"),
        (True, "true"),
        (float("nan"), "NaN"),
        ("=1+1", "'=1+1"),
        ("@home", "'@home"),
        ({"a": 1}, '{"a":1}'),
        ("plain", "plain"),
    ],
)
def test_no_text_of_a_device_is_run_by_a_spreadsheet(value: object, text: str) -> None:
    assert cell(value) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (1_777_636_800_123.456, "2026-05-01T12:00:00.123456000Z"),
        (0, "1970-01-01T00:00:00.000000000Z"),
        (-1, "1969-12-31T23:59:59.999000000Z"),
        (1_777_636_799_999.9999, "2026-05-01T12:00:00.000000000Z"),
    ],
)
def test_times_in_csv_have_nine_digits_as_those_of_an_export(ms: float, text: str) -> None:
    assert _moment(ms) == text


def test_without_values_csv_says_so_on_stderr(plexus: Command, filled: Gateway) -> None:
    ended = plexus("query", "drone-01", "nothing", "--csv")
    assert (ended.code, ended.out) == (0, "")
    assert "no values" in ended.err


def test_more_than_one_answer_holds_is_said_with_the_way_out(plexus: Command, long: Gateway) -> None:
    ended = plexus("query", "drone-01", "m", "--last", "5m", "--json")
    assert len(json.loads(ended.out)["series"]["m"]["value"]) == 10_000
    assert "--whole" in ended.err


def test_whole_is_all_of_it_in_every_form(plexus: Command, long: Gateway, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    words = ("query", "drone-01", "m", "--last", "5m", "--whole")
    assert json.loads(plexus(*words, "--json").out)["series"]["m"]["value"] == list(range(12_000))
    assert [row["value"] for row in csv.DictReader(plexus(*words, "--csv").out.splitlines())] == [
        str(n) for n in range(12_000)
    ]
    file = tmp_path / "m.parquet"
    ended = plexus(*words, "--parquet", str(file))
    assert (ended.code, ended.out, "12,000 rows" in ended.err) == (0, "", True)
    table = parquet.read_table(file)
    assert table.column("value").to_pylist() == list(range(12_000))
    assert table.column_names == ["time", "metric", "value", "text"]
    assert [path.name for path in tmp_path.iterdir()] == ["m.parquet"]


def test_whole_may_be_in_buckets(plexus: Command, long: Gateway) -> None:
    ended = plexus("query", "drone-01", "m", "--last", "1d", "--whole", "--interval", "1h", "--csv")
    assert sum(int(row["count"]) for row in csv.DictReader(ended.out.splitlines())) == 12_000


def test_a_file_that_is_there_is_left_alone(plexus: Command, filled: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "m.parquet"
    file.write_text("precious")
    ended = plexus("query", "drone-01", "battery.voltage", "--parquet", str(file))
    assert (ended.code, "is there already" in ended.err, file.read_text()) == (1, True, "precious")


def test_a_folder_that_is_not_there_is_said(plexus: Command, filled: Gateway, tmp_path: Path) -> None:
    ended = plexus("query", "drone-01", "battery.voltage", "--parquet", str(tmp_path / "no" / "m.parquet"))
    assert (ended.code, "is not there" in ended.err) == (1, True)


def test_two_forms_at_once_are_refused(plexus: Command, gateway: Gateway) -> None:
    assert plexus("query", "drone-01", "m", "--csv", "--json").code == 2


def test_latest_can_be_of_some_metrics(plexus: Command, filled: Gateway) -> None:
    assert json.loads(plexus("latest", "drone-01", "battery.voltage", "--json").out) == {"battery.voltage": 12.25}
    ended = plexus("latest", "drone-01", "battery.voltage", "no.such")
    assert (ended.code, "no.such" in ended.err, "12.25" in ended.out) == (1, True, True)


def test_a_reader_that_has_enough_is_no_error(long: Gateway) -> None:
    process = subprocess.Popen(
        [PLEXUS, "query", "drone-01", "m", "--last", "1h", "--whole", "--csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=30), said) == (0, b"")

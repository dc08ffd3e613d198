"""GET /v1/export: files of any size."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import httpx
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from plexus.gateway.rest import parquetfile
from plexus.ports.store import Submission
from plexus.protocol.columns import Columns
from tests.gateway.rest.house import NOW_MS, NS, House, key

EXPORT = "/v1/export"
AT = NOW_MS - 120_000


def exported(house: House, **params: Any) -> httpx.Response:
    answer = house.request("GET", EXPORT, params={"sources": "rig", **params})
    assert answer.status_code == 200, answer.text
    return answer


def rows(answer: httpx.Response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.text, newline="")))


def test_csv_has_a_header_and_a_row_for_each_value(house: House) -> None:
    house.stored("rig", "b", 1, 2.5, at_ms=AT, tags={"motor": "A1"})
    house.stored("rig", "a", -3.5, at_ms=AT + 250)
    answer = exported(house)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert rows(answer) == [
        ["source", "metric", "timestamp", "value", "tags", "run_id"],
        ["rig", "a", "2025-05-11T13:19:00.250000000Z", "-3.5", "", ""],
        ["rig", "b", "2025-05-11T13:19:00.000000000Z", "1", '{"motor":"A1"}', ""],
        ["rig", "b", "2025-05-11T13:19:00.001000000Z", "2.5", '{"motor":"A1"}', ""],
    ]
    assert answer.text.endswith("\r\n")


def test_nanoseconds_and_the_run_are_in_the_file(house: House) -> None:
    columns = Columns()
    columns.add("rig", "a", AT * NS + 7, is_event=False, value=1, run_id="cycle-1")
    columns.add("rig", "boot", AT * NS, is_event=True, value="up")
    house.store.commit([Submission("acme", "rig", columns, house.now_ns)])
    assert rows(exported(house))[1:] == [["rig", "a", "2025-05-11T13:19:00.000000007Z", "1", "", "cycle-1"]]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-3.5", "@SUM(A1)", "\tx", "\rx", "\nx", '=cmd|"/c calc"!A1'])
def test_text_that_a_spreadsheet_would_run_is_made_harmless(house: House, text: str) -> None:
    house.stored("rig", text, text, at_ms=AT)
    ((_source, metric, _time, value, _tags, _run),) = rows(exported(house))[1:]
    assert (metric, value) == (f"'{text}", f"'{text}")


def test_values_that_are_no_plain_numbers_keep_their_meaning(house: House) -> None:
    house.stored("rig", "a", math.nan, -math.inf, True, {"x": [1, "y"]}, 2**64 - 1, 'say "hi", then\r\nleave', at_ms=AT)
    assert [row[3] for row in rows(exported(house))[1:]] == [
        "NaN",
        "-Infinity",
        "true",
        '{"x":[1,"y"]}',
        str(2**64 - 1),
        'say "hi", then\r\nleave',
    ]


def test_pandas_and_polars_read_the_csv(house: House) -> None:
    house.stored("rig", "a", 1.5, 2.5, at_ms=AT, step_ms=500)
    text = exported(house).text
    frame = pd.read_csv(io.StringIO(text), parse_dates=["timestamp"])
    assert list(frame["value"]) == [1.5, 2.5]
    assert frame["timestamp"][1] == pd.Timestamp(AT * NS + 500_000_000, tz="UTC")
    assert pl.read_csv(io.StringIO(text), try_parse_dates=True)["value"].to_list() == [1.5, 2.5]


def test_buckets_have_their_aggregates(house: House) -> None:
    house.stored("rig", "a", 1, 2, 6, at_ms=AT)
    house.stored("rig", "state", "IDLE", "=RUN", at_ms=AT)
    assert rows(exported(house, resolution="1m")) == [
        ["source", "metric", "timestamp", "min", "max", "avg", "count", "last"],
        ["rig", "a", "2025-05-11T13:19:00.000000000Z", "1.0", "6.0", "3.0", "3", "6"],
        ["rig", "state", "2025-05-11T13:19:00.000000000Z", "", "", "", "2", "'=RUN"],
    ]


def test_buckets_of_a_long_window_are_asked_for_in_slices_and_come_once(house: House) -> None:
    for day in (1, 20, 40):
        house.stored("rig", "a", day, at_ms=NOW_MS - day * 86_400_000)
        house.stored("rig", "b", day, at_ms=NOW_MS - day * 86_400_000)
    found = rows(exported(house, resolution="1m", last="60d"))[1:]
    assert [(row[1], row[7]) for row in found] == [
        ("a", "40"),
        ("a", "20"),
        ("a", "1"),
        ("b", "40"),
        ("b", "20"),
        ("b", "1"),
    ]
    assert len(rows(exported(house, resolution="1h", last="60d"))) == 7


def test_parquet_is_read_by_pyarrow_pandas_and_polars(house: House) -> None:
    house.stored("rig", "a", 1, "RUNNING", math.inf, at_ms=AT, tags={"m": "1"})
    answer = exported(house, format="parquet")
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    found = parquet.read_table(io.BytesIO(answer.content))
    assert found.schema.equals(parquetfile.RAW)
    assert found["value"].to_pylist() == [1.0, None, math.inf]
    assert found["text"].to_pylist() == [None, "RUNNING", None]
    assert found["tags"].to_pylist() == ['{"m":"1"}'] * 3
    assert found["timestamp"].cast(pa.int64()).to_pylist()[0] == AT * NS
    assert list(pd.read_parquet(io.BytesIO(answer.content))["metric"]) == ["a"] * 3
    assert pl.read_parquet(io.BytesIO(answer.content))["source"].to_list() == ["rig"] * 3


def test_parquet_of_buckets(house: House) -> None:
    house.stored("rig", "a", 1, 3, at_ms=AT)
    house.stored("rig", "b", "x", at_ms=AT)
    found = parquet.read_table(io.BytesIO(exported(house, format="parquet", resolution="1h").content))
    assert found.schema.equals(parquetfile.BUCKETS)
    assert found.select(["metric", "avg", "count", "last", "last_text"]).to_pylist() == [
        {"metric": "a", "avg": 2.0, "count": 2, "last": 3.0, "last_text": None},
        {"metric": "b", "avg": None, "count": 1, "last": None, "last_text": "x"},
    ]


@pytest.mark.parametrize("resolution", ["raw", "1m"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_window_without_a_value_is_a_file_without_a_row(house: House, form: str, resolution: str) -> None:
    house.connect("rig")
    answer = exported(house, format=form, resolution=resolution)
    if form == "parquet":
        assert parquet.read_table(io.BytesIO(answer.content)).num_rows == 0
    else:
        assert len(rows(answer)) == 1


def test_sources_and_metrics_and_the_window_choose(house: House) -> None:
    for source_id in ("rig", "arm", "leg"):
        house.stored(source_id, "a", 1, at_ms=AT)
        house.stored(source_id, "b,c", 2, at_ms=AT)
        house.stored(source_id, "a", 9, at_ms=NOW_MS - 7_200_000)
    found = rows(exported(house, sources="rig,arm", metric="b,c"))[1:]
    assert [(row[0], row[1]) for row in found] == [("arm", "b,c"), ("rig", "b,c")]
    answer = house.request("GET", EXPORT, params={"source": ["rig", "leg"], "metrics": "a", "last": "1h"})
    assert [(row[0], row[3]) for row in rows(answer)[1:]] == [("leg", "1"), ("rig", "1")]


def test_without_a_name_all_sources_are_meant_that_the_key_sees(house: House) -> None:
    for source_id in ("rig", "arm"):
        house.stored(source_id, "a", 1, at_ms=AT)
    everything = house.request("GET", EXPORT)
    assert [row[0] for row in rows(everything)[1:]] == ["arm", "rig"]
    own = house.request("GET", EXPORT, by=key("read", source_id="arm"))
    assert [row[0] for row in rows(own)[1:]] == ["arm"]


def test_a_source_that_is_named_twice_is_in_the_file_once(house: House) -> None:
    house.stored("rig", "a", 1, at_ms=AT)
    assert len(rows(exported(house, sources="rig,rig", source="rig"))) == 2


def test_an_estimate_says_how_many_rows(house: House) -> None:
    house.stored("rig", "a", *range(500), at_ms=AT)
    assert exported(house, estimate=1).json() == {"rows": 500}
    assert exported(house, estimate=1, resolution="1h").json() == {"rows": 2}
    assert exported(house, estimate=1, metrics="nothing").json() == {"rows": 0}


def test_the_file_has_a_safe_name(house: House) -> None:
    house.stored("rig", "a", 1, at_ms=AT)
    house.stored("arm", "a", 1, at_ms=AT)
    window = {"start": "2025-05-11T00:00:00Z", "end": "2025-05-12T00:00:00Z"}
    one = exported(house, **window).headers["content-disposition"]
    assert one == 'attachment; filename="plexus-rig-20250511T000000Z-20250511T235959Z.csv"'
    two = exported(house, sources="arm,rig", format="parquet", **window).headers["content-disposition"]
    assert two == 'attachment; filename="plexus-2-sources-20250511T000000Z-20250511T235959Z.parquet"'


def test_a_source_that_is_not_known_or_not_the_keys_is_404(house: House) -> None:
    house.stored("rig", "a", 1)
    for by, sources in ((None, "rig,nobody"), (key("read", org="other"), "rig"), (key("read", source_id="arm"), "rig")):
        status, error = house.refused("GET", EXPORT, by=by, params={"sources": sources})
        assert status == 404
        assert "NOT_FOUND" in error


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sources=", "empty name"),
        ("sources=rig,", "empty name"),
        ("sources=rig&resolution=5m", "use one of raw, 1m"),
        ("sources=rig&format=xlsx", "use csv or parquet"),
        ("sources=rig&estimate=yes", "write estimate=1"),
        ("sources=rig&start=2026-05-01T12:00:00", "has no offset"),
        ("sources=rig&metrics=", "empty name"),
    ],
)
def test_a_bad_request_is_refused_with_what_is_allowed(house: House, query: str, says: str) -> None:
    house.stored("rig", "a", 1)
    status, error = house.refused("GET", f"{EXPORT}?{query}")
    assert status == 400
    assert says in error

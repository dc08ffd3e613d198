"""Answers as arrays and data frames, whichever form they came in."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from plexus.api.refusals import Answer
from plexus.api.tables import BucketRow, FleetMetrics, QueryResult, Row, needs, reading
from plexus.domain.errors import ConfigurationError, ProtocolError, QueryError
from plexus.domain.series import BucketSeries, FleetSeries, Series
from plexus.gateway.rest import answers as wire
from plexus.gateway.rest import arrow, body

T_MS = 1_746_969_660_000
T_NS = T_MS * 1_000_000

RAW: Mapping[str, Series] = {
    "volts": Series([T_MS, T_MS + 1.5, T_MS + 2], [12.5, math.nan, math.inf]),
    "rpm": Series([T_MS + 1.5, T_MS + 3, T_MS + 3], [3200, 3300, 3400]),
    "state": Series([T_MS, T_MS + 2, T_MS + 9, T_MS + 9], ["IDLE", True, {"a": [1]}, 2**60 + 1]),
    "on": Series([T_MS, T_MS + 1.5], [True, False]),
    "never": Series(),
}
BUCKETS: Mapping[str, BucketSeries] = {
    "volts": BucketSeries([T_MS, T_MS + 60_000], [1.0, 4.0], [3.0, 4.0], [2.0, 4.0], [2, 1], [3.0, 4.0]),
    "state": BucketSeries([T_MS + 60_000], [None], [None], [None], [3], ["RUN"]),
}


def as_json(interval: str, series: Mapping[str, Any]) -> Answer:
    make: Any = wire.raw_columns if interval == "raw" else wire.bucket_columns
    columns = {name: make(part) for name, part in series.items()}
    text = body.query_json(wire.Query(interval, auto_downsampled=False, series=columns, truncated=False))
    return Answer(200, {"content-type": "application/json"}, text)


def as_arrow(interval: str, series: Mapping[str, Any]) -> Answer:
    said = {"interval": interval, "auto_downsampled": False, "truncated": False}
    stream = (arrow.raw_stream if interval == "raw" else arrow.bucket_stream)(series, said)
    return Answer(200, {"content-type": arrow.MEDIA_TYPE}, stream)


FORMS = [as_json, as_arrow]


@pytest.fixture(params=FORMS, ids=["json", "arrow"])
def raw(request: pytest.FixtureRequest) -> QueryResult:
    return reading.query(request.param("raw", RAW))


@pytest.fixture(params=FORMS, ids=["json", "arrow"])
def buckets(request: pytest.FixtureRequest) -> QueryResult:
    return reading.query(request.param("1m", BUCKETS))


def only(metric: str, values: Sequence[Any]) -> QueryResult:
    return QueryResult(
        "raw", auto_downsampled=False, series={metric: Series([T_MS + n for n in range(len(values))], values)}
    )


# --- as Python ------------------------------------------------------------------------------------------------------


def test_values_have_the_types_that_they_were_sent_with(raw: QueryResult) -> None:
    found = {
        name: list(zip(map(type, part.value), part.value, strict=True))
        for name, part in raw.series.items()
        if isinstance(part, Series)
    }
    expected = {name: list(zip(map(type, part.value), part.value, strict=True)) for name, part in RAW.items()}
    assert repr(found) == repr(expected)  # NaN is not equal to itself
    assert raw["state"].timestamp_ms == [T_MS, T_MS + 2, T_MS + 9, T_MS + 9]
    assert (raw.interval, raw.truncated, len(raw)) == ("raw", False, 12)


def test_rows_ascend_in_time_and_need_no_library(raw: QueryResult) -> None:
    rows = list(raw)
    assert rows[:3] == [Row(T_MS, "volts", 12.5), Row(T_MS, "state", "IDLE"), Row(T_MS, "on", True)]
    assert [row.timestamp_ms for row in rows] == sorted(row.timestamp_ms for row in rows)
    assert len(rows) == 12
    assert rows[0].time == datetime.fromtimestamp(T_MS / 1000, timezone.utc)


def test_rows_of_buckets_carry_their_aggregates(buckets: QueryResult) -> None:
    assert list(buckets.rows()) == [
        BucketRow(T_MS, "volts", 1.0, 3.0, 2.0, 2, 3.0),
        BucketRow(T_MS + 60_000, "volts", 4.0, 4.0, 4.0, 1, 4.0),
        BucketRow(T_MS + 60_000, "state", None, None, None, 3, "RUN"),
    ]


@pytest.mark.parametrize("form", FORMS)
def test_a_dict_is_what_the_json_of_the_server_says(form: Any) -> None:
    finite = {name: part for name, part in RAW.items() if name != "volts"}
    assert reading.query(form("raw", finite)).to_dict() == json.loads(as_json("raw", finite).body)
    assert json.dumps(reading.query(form("1m", BUCKETS)).to_dict(), default=None)


def test_both_forms_are_equal() -> None:
    finite = {name: part for name, part in RAW.items() if name != "volts"}
    assert reading.query(as_json("raw", finite)) == reading.query(as_arrow("raw", finite))
    assert reading.query(as_json("1m", BUCKETS)) == reading.query(as_arrow("1m", BUCKETS))


# --- numpy ----------------------------------------------------------------------------------------------------------


def test_numpy_has_nanoseconds_and_doubles(raw: QueryResult) -> None:
    arrays = raw.to_numpy()
    assert list(arrays) == list(RAW)
    assert arrays["volts"]["time"].dtype == np.dtype("M8[ns]")
    assert arrays["volts"]["time"].astype(np.int64).tolist() == [T_NS, T_NS + 1_500_000, T_NS + 2_000_000]
    np.testing.assert_array_equal(arrays["volts"]["value"], np.array([12.5, np.nan, np.inf]))
    assert arrays["rpm"]["value"].dtype == np.float64
    assert arrays["on"]["value"].tolist() == [True, False]
    assert arrays["on"]["value"].dtype == np.bool_
    assert arrays["state"]["value"].tolist() == ["IDLE", True, {"a": [1]}, 2**60 + 1]
    assert len(arrays["never"]["time"]) == 0


def test_numpy_of_buckets_has_an_array_for_each_aggregate(buckets: QueryResult) -> None:
    arrays = buckets.to_numpy()
    assert set(arrays["volts"]) == {"time", "min", "max", "avg", "count", "last"}
    assert arrays["volts"]["count"].tolist() == [2, 1]
    assert np.isnan(arrays["state"]["avg"]).all()
    assert arrays["state"]["last"].tolist() == ["RUN"]


# --- pandas ---------------------------------------------------------------------------------------------------------


def test_a_wide_frame_has_a_column_a_metric_and_a_row_a_moment(raw: QueryResult) -> None:
    frame = raw.to_pandas()
    assert list(frame) == list(RAW)
    assert str(frame.index.dtype) == "datetime64[ns, UTC]"
    assert frame.index.name == "time"
    # Two values of rpm at one moment are two rows.
    assert (frame.index.asi8 - T_NS).tolist() == [0, 1_500_000, 2_000_000, 3_000_000, 3_000_000, 9_000_000, 9_000_000]
    np.testing.assert_array_equal(frame["rpm"], [np.nan, 3200, np.nan, 3300, 3400, np.nan, np.nan])
    np.testing.assert_array_equal(frame["volts"], [12.5, np.nan, np.inf, np.nan, np.nan, np.nan, np.nan])
    assert frame["state"].tolist()[2:] == [True, None, None, {"a": [1]}, 2**60 + 1]
    assert frame["on"].tolist() == [True, False, None, None, None, None, None]


def test_metrics_of_the_same_moments_are_not_joined_again() -> None:
    result = QueryResult("raw", False, {"a": Series([T_MS, T_MS], [1.0, 2.0]), "b": Series([T_MS, T_MS], [3.0, 4.0])})
    assert result.to_pandas().to_numpy().tolist() == [[1.0, 3.0], [2.0, 4.0]]


def test_a_frame_can_be_changed(raw: QueryResult) -> None:
    frame = raw.to_pandas()
    frame.loc[frame.index[0], "rpm"] = 1.0
    assert frame["rpm"].iloc[0] == 1.0


def test_a_long_frame_has_a_row_a_value(raw: QueryResult) -> None:
    frame = raw.to_pandas(long=True)
    assert list(frame) == ["time", "metric", "value", "text"]
    assert frame["metric"].tolist() == [name for name, part in RAW.items() for _ in range(len(part))]
    assert str(frame["time"].dtype) == "datetime64[ns, UTC]"
    state = frame[frame["metric"] == "state"]
    assert state["text"].tolist() == ["IDLE", "true", '{"a":[1]}', str(2**60 + 1)]
    assert state["value"].isna().tolist() == [True, True, True, False]
    assert frame["text"].isna().sum() == 12 - 4 - 2


def test_a_wide_frame_of_buckets_has_the_aggregate_that_is_asked_for(buckets: QueryResult) -> None:
    assert buckets.to_pandas()["volts"].tolist() == [2.0, 4.0]
    frame = buckets.to_pandas(aggregate="last")
    assert frame["state"].tolist()[1] == "RUN"
    assert buckets.to_pandas(aggregate="count")["volts"].tolist() == [2, 1]
    long = buckets.to_pandas(long=True)
    assert list(long) == ["time", "metric", "min", "max", "avg", "count", "last", "last_text"]
    assert long["count"].tolist() == [2, 1, 3]


def test_an_aggregate_that_is_not_there_is_refused_with_those_that_are() -> None:
    fleet = FleetMetrics("cpu", "1m", 1, 1, [FleetSeries("rig", True, [T_MS], [1.0], [1.0], [1.0], [1])])
    with pytest.raises(QueryError, match="min, max, avg, count"):
        fleet.to_pandas(aggregate="last")


# --- polars and Arrow -----------------------------------------------------------------------------------------------


def test_polars_has_nanoseconds_in_utc_and_nulls_for_holes(raw: QueryResult) -> None:
    frame = raw.to_polars()
    assert frame.columns == ["time", *RAW]
    assert frame.schema["time"] == pl.Datetime("ns", "UTC")
    assert frame["rpm"].to_list() == [None, 3200, None, 3300, 3400, None, None]
    assert frame["on"].to_list()[:3] == [True, False, None]
    assert frame["state"].to_list() == ["IDLE", None, "true", None, None, '{"a":[1]}', str(2**60 + 1)]


def test_a_long_polars_frame_has_typed_columns(raw: QueryResult) -> None:
    frame = raw.to_polars(long=True)
    assert frame.schema["value"] == pl.Float64
    assert frame.schema["text"] == pl.String
    assert math.isnan(frame["value"].to_list()[1])
    assert frame["value"].to_list()[6:10] == [None, None, None, float(2**60 + 1)]
    assert frame["metric"].cast(pl.String).to_list()[:4] == ["volts", "volts", "volts", "rpm"]
    assert frame.height == 12


def test_arrow_has_nanoseconds_in_utc_and_nulls_for_holes(raw: QueryResult) -> None:
    table = raw.to_arrow()
    assert table.schema.field("time").type == pa.timestamp("ns", "UTC")
    assert table.schema.field("rpm").type == pa.float64()
    assert table["rpm"].to_pylist() == [None, 3200, None, 3300, 3400, None, None]
    assert table["state"].to_pylist()[2] == "true"
    long = raw.to_arrow(long=True)
    assert long["text"].to_pylist()[-3:] == [str(2**60 + 1), "true", "false"]
    # A value that is NaN is another thing than none.
    assert math.isnan(long["value"].to_pylist()[1])
    assert long["value"].to_pylist()[6:10] == [None, None, None, float(2**60 + 1)]
    assert long["metric"].to_pylist()[0] == "volts"


def test_a_metric_that_is_called_time_stands_where_columns_have_names_of_their_own() -> None:
    result = only("time", [1.0])
    assert result.to_pandas()["time"].tolist() == [1.0]
    assert result.to_polars(long=True)["metric"].cast(pl.String).to_list() == ["time"]
    for convert in (result.to_polars, result.to_arrow):
        with pytest.raises(QueryError, match="long=True"):
            convert()


@pytest.mark.parametrize("interval", ["raw", "1m"])
def test_an_answer_without_anything_is_a_table_without_a_row(interval: str) -> None:
    result = QueryResult(interval, auto_downsampled=False, series={})
    assert result.to_pandas().empty
    assert result.to_polars(long=True).height == 0
    assert result.to_arrow().num_rows == 0
    assert result.to_numpy() == {}
    assert list(result) == []


def test_the_fleet_is_a_table_with_a_column_a_source() -> None:
    parts = [
        FleetSeries("a1", True, [T_MS], [2.0], [1.0], [3.0], [2]),
        FleetSeries("b2", False, [T_MS + 60_000], [None], [None], [None], [1]),
    ]
    fleet = FleetMetrics("cpu", "1m", 1, 2, parts)
    assert fleet.to_pandas()["a1"].tolist()[0] == 2.0
    assert list(fleet.to_pandas(long=True)) == ["time", "source_id", "min", "max", "avg", "count"]
    assert [row.metric for row in fleet] == ["a1", "b2"]
    assert fleet.to_polars(long=True)["count"].to_list() == [2, 1]


numbers = st.floats(allow_nan=False) | st.integers(-(2**63), 2**63)
columns = st.dictionaries(
    st.sampled_from("abc"),
    st.lists(st.tuples(st.integers(0, 5), numbers | st.booleans() | st.text(max_size=3)), max_size=8),
    max_size=3,
)


@given(columns=columns)
def test_a_wide_table_holds_every_value_once_and_nothing_else(columns: dict[str, list[tuple[int, Any]]]) -> None:
    series = {
        name: Series(
            [T_MS + t for t, _ in sorted(rows, key=lambda row: row[0])],
            [value for _, value in sorted(rows, key=lambda row: row[0])],
        )
        for name, rows in columns.items()
    }
    frame = QueryResult("raw", auto_downsampled=False, series=series).to_pandas()
    for name, part in series.items():
        held = [
            (t // 1_000_000, value)
            for t, value in zip(frame.index.asi8.tolist(), frame[name].tolist(), strict=True)
            if value is not None and value == value
        ]
        assert held == list(part)


# --- what cannot be read, and what is not installed -----------------------------------------------------------------


@pytest.mark.parametrize("stream", [b"", b"{}", b"\xff\xff\xff\xff\x00\x00\x00\x00", as_arrow("raw", RAW).body[:-900]])
def test_a_broken_arrow_stream_is_told(stream: bytes) -> None:
    with pytest.raises(ProtocolError, match="Arrow stream"):
        reading.query(Answer(200, {"content-type": arrow.MEDIA_TYPE}, stream))


WHOLE = as_arrow("raw", RAW).body


@settings(deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_an_arrow_stream_that_was_damaged_is_read_or_told_and_never_crashes(places: list[tuple[int, int]]) -> None:
    damaged = bytearray(WHOLE)
    for place, byte in places:
        damaged[place] = byte
    try:
        result = reading.query(Answer(200, {"content-type": arrow.MEDIA_TYPE}, bytes(damaged)))
        assert len(list(result.rows())) == len(result)
        result.to_numpy()
    except ProtocolError as exc:
        event(str(exc)[:40])


@pytest.mark.parametrize(
    ("columns", "said", "words"),
    [
        ({"metric": ["a"]}, {"interval": "raw"}, "does not say auto_downsampled"),
        ({"metric": ["a"]}, {}, "has no column timestamp"),
        ({"metric": [1]}, {}, "column metric is not text"),
        ({"metric": ["a"], "timestamp": [1]}, {}, "column timestamp is not a timestamp"),
        ({"metric": [None, "a"]}, {}, "column metric has nulls"),
        ({"metric": ["a"]}, {"interval": 5}, "interval must be a string"),
    ],
)
def test_an_arrow_stream_that_breaks_the_contract_names_the_part(
    columns: dict[str, list[Any]], said: dict[str, Any], words: str
) -> None:
    told = (
        {"interval": "raw", "auto_downsampled": False, "truncated": False, **said}
        if said != {"interval": "raw"}
        else said
    )
    table = pa.table(columns).replace_schema_metadata({name: json.dumps(value) for name, value in told.items()})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ProtocolError, match=words):
        reading.query(Answer(200, {"content-type": arrow.MEDIA_TYPE}, sink.getvalue()))


def test_an_older_gateway_that_does_not_say_kinds_gives_numbers_and_text() -> None:
    table = pa.ipc.open_stream(as_arrow("raw", {"a": Series([T_MS, T_MS], [1.5, "x"])}).body).read_all()
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.drop_columns(["kind"]).schema) as writer:
        writer.write_table(table.drop_columns(["kind"]))
    result = reading.query(Answer(200, {"content-type": arrow.MEDIA_TYPE}, sink.getvalue()))
    assert result["a"] == Series([T_MS, T_MS], [1.5, "x"])


@pytest.mark.parametrize(
    ("library", "convert"),
    [
        ("numpy", lambda result: result.to_numpy()),
        ("pandas", lambda result: result.to_pandas()),
        ("polars", lambda result: result.to_polars()),
        ("pyarrow", lambda result: result.to_arrow()),
    ],
)
def test_a_library_that_is_missing_is_named_with_how_to_get_it(
    library: str, convert: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigurationError, match=rf"needs {library}.*pip install 'plexus-python\[tables\]'"):
        convert(only("a", [1.0]))


def test_a_plot_without_matplotlib_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ConfigurationError, match=r"plexus-python\[notebook\]"):
        only("a", [1.0]).plot()


def test_arrow_is_asked_for_only_where_it_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert arrow.choose_form(reading.accepted()) == "arrow"
    monkeypatch.setattr(reading, "has", lambda library: library != "pyarrow")
    assert reading.accepted() == "application/json"


def test_rows_are_read_without_a_library_of_tables() -> None:
    code = (
        "import sys\n"
        "from plexus.api.tables import QueryResult\n"
        "from plexus.domain.series import Series\n"
        "result = QueryResult('raw', False, {'a': Series([1.0], [2.0])})\n"
        "print(list(result.rows()), repr(result), result._repr_html_()[:7])\n"
        "print([name for name in ('numpy', 'pandas', 'polars', 'pyarrow', 'matplotlib') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_library_is_there_or_not() -> None:
    assert needs.has("json")
    assert not needs.has("no_library_has_this_name")

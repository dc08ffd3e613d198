"""Answers as Arrow streams, read back with pyarrow, pandas and polars."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from plexus.gateway.rest import arrow
from plexus.gateway.rest.arrow import MEDIA_TYPE, choose_form
from tests.gateway.rest.house import NOW_MS, House

SOURCE = "/v1/sources/rig"
QUERY = f"{SOURCE}/metrics/query"


def fetched(house: House, path: str, **params: Any) -> bytes:
    answer = house.request("GET", path, params=params, headers={"accept": MEDIA_TYPE})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    return answer.content


def table(content: bytes) -> Any:
    return pa.ipc.open_stream(content).read_all()


def said(found: Any) -> dict[str, Any]:
    return {name.decode(): json.loads(value) for name, value in found.schema.metadata.items()}


def test_raw_values_are_rows_with_numbers_apart_from_the_rest(house: House) -> None:
    house.stored("rig", "a", 1, 2.5, math.nan, "RUNNING", True, {"x": [1]}, 2**53 + 1, at_ms=NOW_MS - 10)
    house.stored("rig", "b", -3.5, at_ms=NOW_MS - 2.25)
    found = table(fetched(house, QUERY, last="1m"))
    assert found.schema.equals(arrow.RAW)
    assert found["metric"].to_pylist() == ["a"] * 7 + ["b"]
    values = found["value"].to_pylist()
    assert values[:2] == [1.0, 2.5]
    assert math.isnan(values[2])
    assert values[3:] == [None, None, None, float(2**53 + 1), -3.5]
    assert found["text"].to_pylist() == [None, None, None, "RUNNING", "true", '{"x":[1]}', "9007199254740993", None]
    assert found["kind"].to_pylist() == [1, 0, 0, 2, 3, 3, 1, 0]
    assert found["timestamp"].cast(pa.int64()).to_pylist()[-1] == (NOW_MS - 2.25) * 1_000
    assert said(found) == {"interval": "raw", "auto_downsampled": False, "truncated": False}


def test_integers_are_told_from_doubles_however_large(house: House) -> None:
    house.stored("rig", "small", 1, -2, at_ms=NOW_MS - 10)
    house.stored("rig", "large", 1, 2**53 + 1, -(2**53) - 1, at_ms=NOW_MS - 10)
    found = table(fetched(house, QUERY, last="1m"))
    assert found["kind"].to_pylist() == [1] * 5
    assert found["text"].to_pylist() == [None, "9007199254740993", "-9007199254740993", None, None]
    assert found["value"].to_pylist()[-2:] == [1.0, -2.0]


def test_buckets_are_rows(house: House) -> None:
    house.stored("rig", "a", 1, 2, 6, at_ms=NOW_MS - 120_000)
    house.stored("rig", "state", "IDLE", "RUNNING", at_ms=NOW_MS - 120_000)
    found = table(fetched(house, QUERY, last="1h"))
    assert found.schema.equals(arrow.BUCKETS)
    number, text = found.drop_columns(["timestamp"]).to_pylist()
    assert number == {
        "metric": "a",
        "min": 1,
        "max": 6,
        "avg": 3,
        "count": 3,
        "last": 6,
        "last_text": None,
        "last_kind": 1,
    }
    assert (text["avg"], text["count"], text["last"], text["last_text"]) == (None, 2, None, "RUNNING")
    assert text["last_kind"] == 2
    assert said(found) == {"interval": "1m", "auto_downsampled": True, "truncated": False}


def test_the_fleet_is_rows(house: House) -> None:
    house.stored("rig", "cpu", 10, 20, at_ms=NOW_MS - 120_000)
    house.stored("arm", "cpu", 5, at_ms=NOW_MS - 120_000)
    found = table(fetched(house, "/v1/fleet/metrics", metric="cpu"))
    assert found.schema.equals(arrow.FLEET)
    rows = found.drop_columns(["timestamp"]).to_pylist()
    assert [(row["source_id"], row["online"], row["avg"], row["count"]) for row in rows] == [
        ("arm", True, 5, 1),
        ("rig", True, 15, 2),
    ]
    assert said(found) == {
        "metric": "cpu",
        "interval": "1m",
        "sources_online": 2,
        "sources_w_metric": 2,
        "truncated": False,
    }


@pytest.mark.parametrize("route", ["events", "logs"])
def test_events_are_rows(house: House, route: str) -> None:
    house.stored("rig", "door", "open", 3, event=True, tags={"room": "3"}, at_ms=NOW_MS - 2)
    found = table(fetched(house, f"{SOURCE}/{route}", last="1h"))
    assert found.schema.equals(arrow.EVENTS)
    assert found.drop_columns(["timestamp"]).to_pylist() == [
        {"metric": "door", "value": None, "text": "open", "tags": '{"room":"3"}'},
        {"metric": "door", "value": 3.0, "text": None, "tags": '{"room":"3"}'},
    ]


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (f"{QUERY}?last=1m", arrow.RAW),
        (f"{QUERY}?last=1h", arrow.BUCKETS),
        (f"{SOURCE}/events", arrow.EVENTS),
        ("/v1/fleet/metrics?metric=nothing", arrow.FLEET),
    ],
)
def test_an_answer_without_a_row_has_its_schema(house: House, path: str, schema: Any) -> None:
    house.connect("rig")
    found = table(house.request("GET", path, headers={"accept": MEDIA_TYPE}).content)
    assert found.schema.equals(schema)
    assert found.num_rows == 0


def test_pandas_and_polars_read_the_same(house: House) -> None:
    house.stored("rig", "a", 1, 2.5, at_ms=NOW_MS - 10)
    house.stored("rig", "b", "RUNNING", at_ms=NOW_MS - 10)
    content = fetched(house, QUERY, last="1m")
    frame: pd.DataFrame = table(content).to_pandas()
    assert list(frame["metric"]) == ["a", "a", "b"]
    assert list(frame["value"][:2]) == [1.0, 2.5]
    assert frame["timestamp"][0] == pd.Timestamp(NOW_MS - 10, unit="ms", tz="UTC")
    other = pl.read_ipc_stream(io.BytesIO(content))
    assert other["metric"].cast(pl.String).to_list() == ["a", "a", "b"]
    assert other["value"].to_list() == [1.0, 2.5, None]
    assert other["text"].to_list() == [None, None, "RUNNING"]
    assert other["timestamp"].dt.epoch("us").to_list()[0] == (NOW_MS - 10) * 1_000


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        ("application/*", "json"),
        ("text/html, */*;q=0.1", "json"),
        (MEDIA_TYPE, "arrow"),
        (MEDIA_TYPE.upper(), "arrow"),
        (f"{MEDIA_TYPE}, */*", "arrow"),
        (f"{MEDIA_TYPE};q=0.5, application/json", "json"),
        (f"{MEDIA_TYPE};q=0, */*", "json"),
        (f"{MEDIA_TYPE};q=nonsense", "arrow"),
    ],
)
def test_accept_chooses(accept: str | None, form: str) -> None:
    assert choose_form(accept) == form


@pytest.mark.parametrize("accept", ["text/csv", "application/json;q=0", f"{MEDIA_TYPE};q=0"])
def test_an_accept_that_takes_neither_is_406_and_names_both(house: House, accept: str) -> None:
    house.connect("rig")
    answer = house.request("GET", QUERY, headers={"accept": accept})
    assert answer.status_code == 406
    assert "application/json" in answer.json()["error"]
    assert MEDIA_TYPE in answer.json()["error"]


@pytest.mark.parametrize("accept", [None, "application/json", MEDIA_TYPE, "text/csv"])
@pytest.mark.parametrize(
    "path",
    [
        f"{QUERY}?last=1m",
        f"{QUERY}?last=1h",
        f"{SOURCE}/events",
        f"{SOURCE}/logs",
        "/v1/fleet/metrics?metric=t",
    ],
)
def test_a_cache_is_told_that_accept_decides(house: House, path: str, accept: str | None) -> None:
    house.stored("rig", "t", 1)
    answer = house.request("GET", path, headers={} if accept is None else {"accept": accept})
    assert answer.headers["vary"] == "accept"
    assert "vary" not in house.request("GET", "/v1/sources").headers


def test_an_error_is_json_whatever_was_asked_for(house: House) -> None:
    answer = house.request("GET", QUERY, headers={"accept": MEDIA_TYPE})
    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]

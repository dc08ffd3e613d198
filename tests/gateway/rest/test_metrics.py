from __future__ import annotations

import math
from urllib.parse import quote

import pytest

from plexus.domain.values import Value
from plexus.gateway.rest.metrics import wanted_names
from tests.gateway.rest.house import NOW_MS, House

QUERY = "/v1/sources/rig/metrics/query"
HOSTILE = '"; DROP TABLE points; -- ,é💥%2F/..'


def test_names_are_sorted_and_metrics_only(house: House) -> None:
    house.stored("rig", "b.x", 1)
    house.stored("rig", "a", "text")
    house.stored("rig", "boot", "up", event=True)
    assert house.get("/v1/sources/rig/metrics") == ["a", "b.x"]


def test_latest_is_the_value_with_the_highest_time(house: House) -> None:
    house.stored("rig", "volt", 12.5, 12.4)
    house.stored("rig", "volt", 99.0, at_ms=NOW_MS - 50_000)
    house.stored("rig", "state", "RUNNING")
    house.stored("rig", "ok", True)
    house.stored("rig", "pose", {"x": [1, 2]})
    assert house.get("/v1/sources/rig/metrics/latest") == {
        "metrics": {"volt": 12.4, "state": "RUNNING", "ok": True, "pose": {"x": [1, 2]}}
    }


def test_latest_names_what_is_not_finite(house: House) -> None:
    house.stored("rig", "a", math.nan)
    house.stored("rig", "b", "NaN")
    assert house.get("/v1/sources/rig/metrics/latest") == {"metrics": {"a": "NaN", "b": "NaN"}, "non_finite": ["a"]}


def test_a_short_window_is_raw(house: House) -> None:
    house.stored("rig", "volt", 1, 2.5, at_ms=NOW_MS - 1_000, step_ms=0.25)
    assert house.get(QUERY, metrics="volt", last="5m") == {
        "interval": "raw",
        "auto_downsampled": False,
        "series": {"volt": {"timestamp_ms": [NOW_MS - 1_000, NOW_MS - 999.75], "value": [1, 2.5]}},
        "truncated": False,
    }


def test_whole_milliseconds_are_whole_numbers(house: House) -> None:
    house.stored("rig", "volt", 1, at_ms=NOW_MS - 1_000)
    text = house.request("GET", f"{QUERY}?last=5m").text
    assert f'"timestamp_ms":[{NOW_MS - 1_000}]' in text


def test_a_point_of_this_very_moment_is_in_the_last_minute(house: House) -> None:
    house.stored("rig", "volt", 1, at_ms=NOW_MS)
    assert house.get(QUERY, last="1m")["series"]["volt"]["value"] == [1]


def test_a_long_window_is_downsampled(house: House) -> None:
    house.stored("rig", "volt", 1, 2, 6, at_ms=NOW_MS - 120_000)
    minute = (NOW_MS - 120_000) // 60_000 * 60_000
    assert house.get(QUERY, metrics="volt", last="1h") == {
        "interval": "1m",
        "auto_downsampled": True,
        "series": {
            "volt": {"timestamp_ms": [minute], "min": [1], "max": [6], "avg": [3], "count": [3], "last": [6]},
        },
        "truncated": False,
    }


def test_buckets_of_text_have_a_count_and_the_last(house: House) -> None:
    house.stored("rig", "state", "IDLE", "RUNNING")
    (bucket,) = house.get(QUERY, last="1h")["series"].values()
    assert (bucket["min"], bucket["max"], bucket["avg"]) == ([None], [None], [None])
    assert (bucket["count"], bucket["last"]) == ([2], ["RUNNING"])


def test_an_interval_forces_buckets_or_raw(house: House) -> None:
    house.stored("rig", "volt", 1)
    forced = house.get(QUERY, last="1m", interval="1d")
    assert (forced["interval"], forced["auto_downsampled"]) == ("1d", False)
    assert "count" in forced["series"]["volt"]
    raw = house.get(QUERY, last="30d", interval="raw")
    assert (raw["interval"], raw["auto_downsampled"]) == ("raw", False)
    assert raw["series"]["volt"]["value"] == [1]


def test_last_wins_over_start_and_end(house: House) -> None:
    house.stored("rig", "volt", 1)
    both = house.get(QUERY, last="1m", start="1999-01-01T00:00:00Z", end="1999-01-02T00:00:00Z")
    assert both["series"]["volt"]["value"] == [1]


def test_start_and_end_bound_the_window(house: House) -> None:
    house.stored("rig", "volt", 0, 1, 2, 3, at_ms=NOW_MS - 3_000, step_ms=1_000)
    found = house.get(QUERY, start="2025-05-11T13:20:58Z", end="2025-05-11T15:21:00+02:00")
    assert found["series"]["volt"]["value"] == [1, 2]


def test_all_metrics_are_meant_when_none_is_named(house: House) -> None:
    house.stored("rig", "a", 1)
    house.stored("rig", "b", 2)
    assert sorted(house.get(QUERY, last="1m")["series"]) == ["a", "b"]


def test_a_metric_that_is_named_is_in_the_answer_without_values_too(house: House) -> None:
    house.stored("rig", "a", 1)
    raw = house.get(QUERY, metrics="a,b", last="1m")["series"]
    assert raw["b"] == {"timestamp_ms": [], "value": []}
    buckets = house.get(QUERY, metrics="a,b", last="1h")["series"]
    assert buckets["b"] == {"timestamp_ms": [], "min": [], "max": [], "avg": [], "count": [], "last": []}


def test_a_name_with_anything_in_it_is_asked_for_by_metric(house: House) -> None:
    house.stored("rig", HOSTILE, 1)
    assert house.get("/v1/sources/rig/metrics") == [HOSTILE]
    found = house.request("GET", f"{QUERY}?metric={quote(HOSTILE, safe='')}&last=1m").json()
    assert list(found["series"]) == [HOSTILE]
    assert found["series"][HOSTILE]["value"] == [1]


def test_names_come_from_commas_and_from_repeats_each_once() -> None:
    assert wanted_names(["a,b", "c"], ["d,e", "a"]) == ["a", "b", "c", "d,e"]
    assert wanted_names(None, None) is None


@pytest.mark.parametrize("query", ["metrics=", "metrics=a,", "metrics=a,,b", "metric="])
def test_an_empty_name_is_refused(house: House, query: str) -> None:
    house.stored("rig", "a", 1)
    status, error = house.refused("GET", f"{QUERY}?{query}")
    assert status == 400
    assert "empty name" in error


def test_a_raw_query_is_cut_at_ten_thousand_rows_and_says_so(house: House) -> None:
    house.stored("rig", "a", *range(10_000), at_ms=NOW_MS - 50_000)
    assert house.get(QUERY, last="1m")["truncated"] is False
    house.stored("rig", "a", 10_000, at_ms=NOW_MS - 1)
    cut = house.get(QUERY, last="1m")
    assert cut["truncated"] is True
    assert cut["series"]["a"]["value"] == list(range(10_000))


def test_values_come_back_as_they_went_in(house: House) -> None:
    values: list[Value] = [
        0, -1.5, 2**53 + 1, 2**64 - 1, -(2**63), 5e-324, 1.7976931348623157e308, True, False, "", "é\u2028</script>",
        {"a": {"b": [1, 2.5, "x"]}}, [[], {}],
    ]  # fmt: skip
    house.stored("rig", "a", *values)
    found = house.get(QUERY, last="1m")["series"]["a"]
    assert found["value"] == values
    assert [type(value) for value in found["value"]] == [type(value) for value in values]
    assert "non_finite" not in found


def test_numbers_that_are_not_finite_travel_as_text_and_are_told_from_text(house: House) -> None:
    house.stored("rig", "a", math.nan, 1, math.inf, "NaN", -math.inf)
    found = house.get(QUERY, last="1m")["series"]["a"]
    assert found["value"] == ["NaN", 1, "Infinity", "NaN", "-Infinity"]
    assert found["non_finite"] == [0, 2, 4]


def test_the_last_of_a_bucket_may_be_no_number(house: House) -> None:
    house.stored("rig", "a", 1, math.nan)
    found = house.get(QUERY, last="1h")["series"]["a"]
    assert (found["max"], found["count"], found["last"], found["non_finite"]) == ([1], [2], ["NaN"], [0])


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("last=5s", "write a number and m, h or d"),
        ("last=", "write a number and m, h or d"),
        ("start=2026-05-01T12:00:00", "has no offset"),
        ("start=1746969660", "is not ISO 8601"),
        ("end=2026-05-01T12:00:00Z", "end needs start"),
        ("start=2025-05-01T12:00:00Z&end=2025-05-01T12:00:00Z", "must be before end"),
        ("last=1h&interval=5m", "use one of raw, 1m, 10m, 1h, 1d"),
    ],
)
def test_a_bad_window_or_interval_is_refused_with_what_is_allowed(house: House, query: str, says: str) -> None:
    house.stored("rig", "a", 1)
    status, error = house.refused("GET", f"{QUERY}?{query}")
    assert status == 400
    assert says in error

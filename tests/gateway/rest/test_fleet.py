from __future__ import annotations

import pytest

from tests.gateway.rest.house import NOW_MS, NS, House, key

METRICS = "/v1/fleet/metrics"


def test_health_counts_sources_and_those_online(house: House) -> None:
    house.stored("old", "t", 1)
    house.now_ns += 60_000 * NS
    house.stored("new", "t", 1)
    house.registry.register("acme", "planned", "{}")
    assert house.get("/v1/fleet/health") == {"sources_total": 3, "sources_online": 1}


def test_a_metric_over_the_fleet_is_in_buckets_by_source(house: House) -> None:
    minute = NOW_MS - 60_000
    house.stored("b", "cpu", 10, 20, at_ms=minute)
    house.stored("a", "cpu", 5, at_ms=minute - 60_000)
    house.stored("a", "mem", 1, at_ms=minute)
    house.stored("c", "mem", 1, at_ms=minute)
    assert house.get(METRICS, metric="cpu", last="1h") == {
        "metric": "cpu",
        "interval": "1m",
        "sources_online": 3,
        "sources_w_metric": 2,
        "sources": [
            {
                "source_id": "a",
                "online": True,
                "timestamp_ms": [minute - 60_000],
                "avg": [5],
                "min": [5],
                "max": [5],
                "count": [1],
            },
            {
                "source_id": "b",
                "online": True,
                "timestamp_ms": [minute],
                "avg": [15],
                "min": [10],
                "max": [20],
                "count": [2],
            },
        ],
        "truncated": False,
    }


def test_a_short_window_is_in_minutes_never_raw(house: House) -> None:
    house.stored("a", "cpu", 5)
    assert house.get(METRICS, metric="cpu", last="1m")["interval"] == "1m"


def test_a_metric_that_nobody_has_is_an_empty_answer(house: House) -> None:
    house.stored("a", "cpu", 5)
    found = house.get(METRICS, metric="a,b")
    assert (found["metric"], found["sources_w_metric"], found["sources"]) == ("a,b", 0, [])


def test_a_key_of_one_source_sees_a_fleet_of_one(house: House) -> None:
    house.stored("a", "cpu", 5)
    house.stored("b", "cpu", 6)
    only = key("read", source_id="a")
    assert house.get("/v1/fleet/health", by=only) == {"sources_total": 1, "sources_online": 1}
    found = house.get(METRICS, metric="cpu", by=only)
    assert (found["sources_online"], [one["source_id"] for one in found["sources"]]) == (1, ["a"])


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "metric"),
        ("metric=", "metric"),
        ("metric=cpu&interval=raw", "for the fleet; use one of 1m, 10m, 1h, 1d"),
        ("metric=cpu&last=5s", "m, h or d"),
    ],
)
def test_a_bad_question_is_refused_with_what_is_allowed(house: House, query: str, says: str) -> None:
    status, error = house.refused("GET", f"{METRICS}?{query}")
    assert status == 400
    assert says in error


def test_the_document_requires_all_that_an_answer_has(house: House) -> None:
    house.stored("a", "cpu", 5, at_ms=NOW_MS - 60_000)
    answer = house.get(METRICS, metric="cpu", last="1h")
    house.key = None
    schemas = house.get("/openapi.json")["components"]["schemas"]
    assert set(schemas["FleetMetrics"]["required"]) == set(answer)
    assert set(schemas["FleetSeries"]["required"]) == set(answer["sources"][0])

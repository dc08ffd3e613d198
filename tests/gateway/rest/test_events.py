from __future__ import annotations

import math

import pytest

from tests.gateway.rest.house import NOW_MS, House

EVENTS = "/v1/sources/rig/events"


def test_events_are_oldest_first_and_as_they_went_in(house: House) -> None:
    house.stored("rig", "door", "open", {"by": "A"}, event=True, tags={"room": "3"}, at_ms=NOW_MS - 2, step_ms=0.5)
    house.stored("rig", "volt", 12.4)
    assert house.get(EVENTS, last="1h") == [
        {"timestamp_ms": NOW_MS - 2, "metric": "door", "value": "open", "tags": {"room": "3"}},
        {"timestamp_ms": NOW_MS - 1.5, "metric": "door", "value": {"by": "A"}, "tags": {"room": "3"}},
    ]


def test_logs_are_events_by_another_name(house: House) -> None:
    house.stored("rig", "door", "open", event=True)
    assert house.get("/v1/sources/rig/logs") == house.get(EVENTS) != []


def test_events_are_chosen_by_window_and_name(house: House) -> None:
    house.stored("rig", "door", "long ago", event=True, at_ms=NOW_MS - 7_200_000)
    house.stored("rig", "door", "open", event=True)
    house.stored("rig", "boot", "up", event=True)
    assert [one["value"] for one in house.get(EVENTS, name="door")] == ["open"]
    assert [one["value"] for one in house.get(EVENTS, name="door", last="3h")] == ["long ago", "open"]
    assert house.get(EVENTS, name="none") == []


def test_limit_takes_the_oldest_and_tail_the_newest(house: House) -> None:
    house.stored("rig", "n", "a", "b", "c", event=True)
    assert [one["value"] for one in house.get(EVENTS, limit=2)] == ["a", "b"]
    assert [one["value"] for one in house.get(EVENTS, tail=2)] == ["b", "c"]


def test_a_number_that_is_not_finite_says_so(house: House) -> None:
    house.stored("rig", "n", math.inf, "Infinity", event=True)
    first, second = house.get(EVENTS)
    assert (first["value"], first["non_finite"]) == ("Infinity", True)
    assert second["value"] == "Infinity"
    assert "non_finite" not in second


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=1&tail=1", "not both"),
        ("limit=0", "limit='0' must be a whole number from 1 to 10000"),
        ("tail=10001", "tail='10001' must be a whole number"),
        ("tail=x", "tail='x' must be a whole number"),
        ("tail=null", "tail='null' must be a whole number"),
        ("limit=", "limit='' must be a whole number"),
        ("last=1w", "m, h or d"),
    ],
)
def test_a_bad_question_is_refused_by_field(house: House, query: str, says: str) -> None:
    house.stored("rig", "n", "a", event=True)
    status, error = house.refused("GET", f"{EVENTS}?{query}")
    assert status == 400
    assert says in error

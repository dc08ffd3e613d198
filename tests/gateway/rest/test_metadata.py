"""Units, descriptions and expected ranges of metrics."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import quote

import pytest

from plexus.adapters.registry.memory import MemoryRegistry
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.values import Value
from plexus.gateway.metadata import Metadata
from plexus.ports.keyring import SCOPES
from tests.gateway.rest.house import House, key

METRICS = "/v1/sources/rig/metrics"
NAMES = ["battery.voltage", "a/b", "a//b/", "50%", "a%2Fb", "latest", "query", "stream", "é ✈", "data", "a?b#c", "+ +"]


@pytest.fixture
def house(house: House) -> House:
    house.stored("rig", "t", 1)
    return house


def put(house: House, name: str, **body: Any) -> Any:
    answer = house.request("PUT", f"{METRICS}/{quote(name, safe='')}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_known_of_a_metric_comes_back_whatever_it_is_called(house: House, name: str) -> None:
    known = {"name": name, "unit": "V", "description": "of the pack", "low": 10.5, "high": 12.0}
    assert put(house, name, unit="V", description="of the pack", low=10.5, high=12) == known
    assert known in house.get(METRICS, detail=1)
    gone = house.request("DELETE", f"{METRICS}/{quote(name, safe='')}")
    assert (gone.status_code, gone.json()) == (200, {"name": name})
    assert [info["name"] for info in house.get(METRICS, detail=1)] == ["t"]


def test_slashes_need_no_escape(house: House) -> None:
    assert house.request("PUT", f"{METRICS}/a/b", json={"unit": "V"}).json()["name"] == "a/b"


def test_all_metrics_are_in_the_detail_and_those_without_a_value_too(house: House) -> None:
    put(house, "later", unit="m/s")
    assert house.get(METRICS) == ["t"]
    nothing = {"unit": None, "description": None, "low": None, "high": None}
    assert house.get(METRICS, detail=1) == [
        {"name": "later", **nothing, "unit": "m/s"},
        {"name": "t", **nothing},
    ]


def test_what_is_put_takes_the_place_of_what_was(house: House) -> None:
    put(house, "t", unit="V", low=1)
    put(house, "t", high=2)
    assert house.get(METRICS, detail=1) == [{"name": "t", "unit": None, "description": None, "low": None, "high": 2.0}]


def test_it_is_in_the_trail(house: House) -> None:
    put(house, "t", unit="V")
    house.request("DELETE", f"{METRICS}/t")
    told = [(one.action, one.subject, one.detail["name"]) for _number, one in house.core.audit.entries("acme")]
    assert told == [("metric.forget", "rig", "t"), ("metric.put", "rig", "t")]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"low": 2, "high": 1}, "low"),
        ({"low": "x"}, "low"),
        ({"unit": "V" * 65}, "unit"),
        ({"description": "d" * 1025}, "description"),
    ],
)
def test_what_cannot_be_known_is_refused_by_field(house: House, body: Any, named: str) -> None:
    status, error = house.refused("PUT", f"{METRICS}/t", json=body)
    assert (status, named in error) == (400, True)


def test_a_name_that_is_too_long_is_refused(house: House) -> None:
    status, error = house.refused("PUT", f"{METRICS}/{'m' * 513}", json={})
    assert (status, error) == (400, "metric must be at most 512 bytes")


def test_of_a_metric_that_nobody_described_there_is_nothing_to_forget(house: House) -> None:
    assert house.refused("DELETE", f"{METRICS}/t")[0] == 404


def test_a_source_has_a_bounded_number_of_described_metrics(house: House) -> None:
    for number in range(house.core.limits.source_metrics):
        house.core.metadata.put("acme", "rig", MetricInfo(f"m{number}"))
        if number == 2:
            break
    object.__setattr__(house.core.limits, "source_metrics", 3)
    assert house.refused("PUT", f"{METRICS}/more", json={})[0] == 409
    put(house, "m1", unit="V")


def test_a_key_of_the_source_describes_its_own_metrics_and_no_others(house: House) -> None:
    assert house.request("PUT", f"{METRICS}/t", by=key("write", source_id="rig"), json={}).status_code == 200
    assert house.refused("PUT", f"{METRICS}/t", by=key("write", source_id="arm"), json={})[0] == 404
    assert house.refused("PUT", f"{METRICS}/t", by=key(*SCOPES, org="other"), json={})[0] == 404
    assert house.refused("PUT", f"{METRICS}/t", by=key("read", "admin"), json={})[0] == 403


class TestAlert:
    @pytest.mark.parametrize(
        ("value", "alert"),
        [
            (0.5, 1),
            (1, 0),
            (2.0, 0),
            (2.5, 1),
            (math.inf, 1),
            (math.nan, 1),
            (10**300, 1),
            (True, 0),
            ("9", 0),
            ({}, 0),
        ],
    )
    def test_a_number_outside_of_the_range_is_one(self, value: Value, alert: int) -> None:
        metadata = Metadata(MemoryRegistry())
        metadata.put("acme", "rig", MetricInfo("t", low=1.0, high=2.0))
        assert metadata.alert("acme", "rig", "t", value) == alert
        assert metadata.alert("acme", "rig", "other", value) == 0
        assert metadata.alert("other", "rig", "t", value) == 0

    @pytest.mark.parametrize(
        ("low", "high", "alerts"), [(1.0, None, [1, 0]), (None, 1.0, [0, 1]), (None, None, [0, 0])]
    )
    def test_a_side_without_a_bound_is_open(self, low: float | None, high: float | None, alerts: list[int]) -> None:
        info = MetricInfo("t", low=low, high=high)
        assert [info.is_outside(value) for value in (0.0, 2.0)] == alerts

    def test_what_was_put_is_there_after_a_restart(self) -> None:
        registry = MemoryRegistry()
        Metadata(registry).put("acme", "rig", MetricInfo("t", high=2.0))
        assert Metadata(registry).alert("acme", "rig", "t", 3) == 1
        Metadata(registry).remove("acme", "rig", "t")
        assert Metadata(registry).alert("acme", "rig", "t", 3) == 0

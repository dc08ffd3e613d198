from __future__ import annotations

import json

import pytest

from tests.gateway.rest.house import NOW_MS, NS, House


def test_sources_are_listed_by_name_with_when_they_were_heard_of(house: House) -> None:
    house.stored("rig.b-2_x", "t", 1)
    house.connect("arm")
    assert house.get("/v1/sources") == {
        "devices": [
            {"source_id": "arm", "online": True, "last_seen_ms": NOW_MS},
            {"source_id": "rig.b-2_x", "online": True, "last_seen_ms": NOW_MS},
        ]
    }


def test_a_source_that_is_only_registered_was_never_seen(house: House) -> None:
    house.registry.register("acme", "rig", "{}")
    assert house.get("/v1/sources/rig") == {"source_id": "rig", "online": False, "last_seen_ms": None}
    assert house.get("/v1/sources")["devices"] == [house.get("/v1/sources/rig")]


def test_a_source_is_offline_thirty_seconds_after_its_last_data(house: House) -> None:
    house.stored("rig", "t", 1)
    house.now_ns += 29_999 * NS
    assert house.get("/v1/sources/rig")["online"] is True
    house.now_ns += 1 * NS
    assert house.get("/v1/sources/rig") == {"source_id": "rig", "online": False, "last_seen_ms": NOW_MS}


def test_a_source_whose_socket_is_open_is_online_without_data(house: House) -> None:
    house.connect("rig")
    house.now_ns += 3_600_000 * NS
    assert house.get("/v1/sources/rig")["online"] is True


def test_sources_are_filtered_by_status(house: House) -> None:
    house.stored("old", "t", 1)
    house.now_ns += 60_000 * NS
    house.stored("new", "t", 1)
    assert [one["source_id"] for one in house.get("/v1/sources", status="online")["devices"]] == ["new"]
    assert [one["source_id"] for one in house.get("/v1/sources", status="offline")["devices"]] == ["old"]


def test_an_unknown_status_is_refused_with_those_that_are_known(house: House) -> None:
    status, error = house.refused("GET", "/v1/sources?status=idle")
    assert (status, error) == (400, "status='idle' is not known; use online or offline, or leave it out")


@pytest.mark.parametrize("source_id", ["rig", "..", "%2e%2e", "A", "a" * 257, "%00", "r%69g", "💥"])
@pytest.mark.parametrize("rest", ["", "/metrics", "/metrics/latest", "/metrics/query", "/events", "/logs"])
def test_an_unknown_source_is_not_found(house: House, source_id: str, rest: str) -> None:
    status, error = house.refused("GET", f"/v1/sources/{source_id}{rest}")
    assert status == 404
    assert "no source" in error or "no such route" in error


def test_a_source_that_only_sent_events_is_known(house: House) -> None:
    house.stored("rig", "boot", "up", event=True)
    assert house.get("/v1/sources/rig")["source_id"] == "rig"
    assert house.get("/v1/sources/rig/metrics") == []


def test_devices_lead_to_sources_with_their_query(house: House) -> None:
    answer = house.request("GET", "/v1/devices?status=online&x=a%20b")
    assert (answer.status_code, answer.headers["location"]) == (307, "/v1/sources?status=online&x=a%20b")
    answer = house.request("GET", "/v1/devices/rig.1/metrics/latest")
    assert (answer.status_code, answer.headers["location"]) == (307, "/v1/sources/rig.1/metrics/latest")


@pytest.mark.parametrize("path", ["/v1/devices//evil.example", "/v1/devices/%0d%0ax-evil:1", "/v1/devices/%3F%23"])
def test_a_redirect_never_leaves_the_gateway(house: House, path: str) -> None:
    answer = house.request("GET", path)
    assert answer.status_code == 307
    assert answer.headers["location"].startswith("/v1/sources/")
    assert "\n" not in answer.headers["location"]
    assert "x-evil" not in answer.headers


def test_a_source_is_registered_once(house: House) -> None:
    body = {"source_type": "device", "slug": "rig.1", "device_type": "oven", "metadata": {"room": 3}, "org": "other"}
    answer = house.request("POST", "/api/sources", json=body)
    assert (answer.status_code, answer.json()) == (201, {"source_id": "rig.1", "slug": "rig.1"})
    assert house.refused("POST", "/api/sources", json=body) == (409, "the source 'rig.1' is registered already")
    assert house.registry.registered("acme") == ["rig.1"]
    assert house.registry.registered("other") == []
    kept = json.loads(house.registry._of("acme").metadata["rig.1"])
    assert kept == {"source_type": "device", "device_type": "oven", "metadata": {"room": 3}}


@pytest.mark.parametrize("slug", ["", "Rig", "a/b", "../x", "é"])
def test_a_slug_that_is_no_name_is_refused_with_the_rule(house: House, slug: str) -> None:
    status, error = house.refused("POST", "/api/sources", json={"slug": slug})
    assert status == 400
    assert error.startswith("slug must match ^[a-z0-9]")


def test_a_source_without_a_slug_is_refused(house: House) -> None:
    status, error = house.refused("POST", "/api/sources", json={"name": "rig"})
    assert status == 400
    assert "slug" in error

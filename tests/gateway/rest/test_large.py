"""Large answers: what bounds them, and that the bounds say what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import httpx
import pytest

from plexus.adapters.store.memory import MemoryStore
from plexus.domain.series import BucketSeries
from plexus.gateway import Gateway
from plexus.gateway.rest import body
from plexus.gateway.rest.answers import BucketColumns, Query, RawColumns
from plexus.gateway.rest.app import build_rest
from tests.gateway.rest.house import NOW_MS, House

QUERY = "/v1/sources/rig/metrics/query"
FLEET = "/v1/fleet/metrics"
DAY_MS = 86_400_000


@pytest.fixture
def small(house: House) -> House:
    """A house whose answers hold 100 buckets, and its questions 1,000 rows."""
    limits = attrs.evolve(house.core.limits, answer_rows=100, question_rows=1_000)
    house.core = attrs.evolve(house.core, limits=limits)
    house.app = build_rest(house.core)
    return house


def test_a_fine_interval_over_a_long_window_is_refused_with_what_to_do(house: House) -> None:
    house.stored("rig", "a", 1)
    status, error = house.refused("GET", f"{QUERY}?metrics=a&last=3650d&interval=1m")
    assert status == 400
    assert "5256001 buckets of 1m (1 metrics)" in error
    assert "take a longer interval" in error


def test_an_interval_that_was_not_asked_for_gives_way(small: House) -> None:
    small.stored("rig", "a", 1)
    small.stored("rig", "b", 1)
    assert small.get(QUERY, last="1h", metrics="a")["interval"] == "1m"
    answer = small.get(QUERY, last="1h")
    assert (answer["interval"], answer["auto_downsampled"]) == ("10m", True)
    assert small.refused("GET", f"{QUERY}?last=1h&interval=1m")[0] == 400
    assert small.refused("GET", f"{QUERY}?last=90d")[0] == 400


def test_a_question_that_reads_too_much_is_refused(small: House) -> None:
    small.stored("rig", "a", *range(1_001), at_ms=NOW_MS - 30_000)
    status, error = small.refused("GET", f"{QUERY}?last=1m")
    assert status == 400
    assert "more than 1000 rows" in error


def test_a_raw_answer_has_as_many_rows_as_the_limit_says_and_no_more_than_the_gateway_gives(small: House) -> None:
    small.stored("rig", "a", *range(150), at_ms=NOW_MS - 30_000)
    answers = [small.get(f"{QUERY}?last=1m{limit}") for limit in ("&limit=20", "&limit=5000", "")]
    assert [answer["series"]["a"]["value"] for answer in answers] == [list(range(20)), *[list(range(100))] * 2]
    assert all(answer["truncated"] for answer in answers)
    said = small.request("GET", f"{QUERY}?last=1m").headers["x-plexus-max-limit"]
    assert said == "100"


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1e3"])
def test_a_limit_that_is_no_number_of_rows_is_refused(small: House, limit: str) -> None:
    small.stored("rig", "a", 1)
    status, error = small.refused("GET", f"{QUERY}?last=1m&limit={limit}")
    assert status == 400
    assert "limit=" in error


def test_the_fleet_is_cut_where_the_answer_is_full_and_says_so(small: House) -> None:
    for index in range(5):
        small.stored(f"rig-{index}", "t", *range(30), at_ms=NOW_MS - 31 * 60_000, step_ms=60_000)
    answer = small.get(FLEET, metric="t", last="1h")
    assert answer["truncated"] is True
    assert [source["source_id"] for source in answer["sources"]] == ["rig-0", "rig-1", "rig-2"]
    assert answer["sources_online"] == 5
    assert small.get(FLEET, metric="t", last="1h", interval="1h")["truncated"] is False


def test_a_fleet_of_one_bucket_more_than_fits_is_refused(small: House) -> None:
    small.stored("rig", "t", 1)
    assert small.get(FLEET, metric="t", last="95m", interval="1m")["truncated"] is False
    status, error = small.refused("GET", f"{FLEET}?metric=t&last=100m&interval=1m")
    assert status == 400
    assert "take a longer interval" in error


class _Crowd(MemoryStore):
    """10,000 sources of which each has a value."""

    def sources(self, org: str) -> Mapping[str, int]:
        return {f"rig-{index:05d}": NOW_MS * 1_000_000 - 1 for index in range(10_000)}

    def buckets(self, *arguments: Any, **named: Any) -> Mapping[str, Mapping[str, BucketSeries]]:
        series = BucketSeries([NOW_MS - 60_000.0], [1.0], [1.0], [1.0], [1], [1.0])
        return {name: {"t": series} for name in self.sources("acme")}


def test_ten_thousand_sources_are_one_list_and_one_fleet() -> None:
    house = House(_Crowd())
    devices = house.get("/v1/sources")["devices"]
    assert len(devices) == 10_000
    assert devices[0] == {"source_id": "rig-00000", "online": True, "last_seen_ms": NOW_MS - 1}
    assert house.get("/v1/sources", status="offline")["devices"] == []
    assert house.get("/v1/fleet/health") == {"sources_total": 10_000, "sources_online": 10_000}
    assert house.get(FLEET, metric="t", last="1h")["sources_w_metric"] == 10_000
    house.close()


def test_an_answer_in_slices_is_the_same_json() -> None:
    count = body.SLICE * 2 + 1
    times: list[float] = list(range(count))
    raw = RawColumns(times, [{"a": index} for index in range(count)], [3])
    buckets = BucketColumns(times, [None] * count, [1.5] * count, [1.5] * count, [1] * count, ["x"] * count)
    answer = Query("raw", auto_downsampled=False, series={'a"\u2028': raw, "b": buckets}, truncated=True)
    found = json.loads(body.query_json(answer))
    assert list(found) == ["interval", "auto_downsampled", "series", "truncated"]
    assert found["series"]['a"\u2028'] == {"timestamp_ms": times, "value": raw.value, "non_finite": [3]}
    assert found["series"]["b"]["last"] == ["x"] * count
    assert "non_finite" not in found["series"]["b"]


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    key = "plx_a-key-for-large-answers-0123456789abc"
    with (
        Gateway(bootstrap_key=key) as gateway,
        httpx.Client(base_url=gateway.url, headers={"x-api-key": key}, trust_env=False) as made,
    ):
        points = [{"metric": "t", "value": index} for index in range(5_000)]
        assert made.post("/ingest", json={"source_id": "rig", "points": points}).status_code == 200
        yield made


def test_head_has_the_heads_of_get_and_no_body(client: httpx.Client) -> None:
    for path in ("/v1/sources", f"{QUERY}?last=1m", "/v1/export?sources=rig"):
        asked, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == asked.headers["content-type"]
    assert client.head("/v1/sources/nobody").status_code == 404
    assert client.head("/v1/nothing").status_code == 404


def test_an_export_comes_over_http_in_chunks(client: httpx.Client) -> None:
    with client.stream("GET", "/v1/export?sources=rig") as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        assert sum(1 for _line in answer.iter_lines()) == 5_001


def test_a_reader_that_leaves_an_export_leaves_room_for_the_next(client: httpx.Client) -> None:
    for _ in range(10):
        with client.stream("GET", "/v1/export?sources=rig") as answer:
            next(answer.iter_raw(16))
    assert client.get("/v1/export?sources=rig").text.count("\r\n") == 5_001


def test_an_old_devices_route_is_followed_with_method_and_query(client: httpx.Client) -> None:
    moved = client.get("/v1/devices/rig/metrics/query?metrics=t&last=5m")
    assert (moved.status_code, moved.headers["location"]) == (307, "/v1/sources/rig/metrics/query?metrics=t&last=5m")
    assert client.head("/v1/devices").status_code == 307
    command = client.post("/v1/devices/rig/commands", json={"command": "reboot"}, follow_redirects=True)
    assert command.json()["queued"] is False

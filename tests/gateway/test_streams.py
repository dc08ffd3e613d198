"""The live streams: who may listen, what is heard, and that nobody slow is in anybody's way."""

from __future__ import annotations

from typing import Any

import pytest

from plexus.gateway import Gateway
from plexus.gateway.streams.asking import Asked, VideoAsked, asked
from plexus.protocol import live
from tests.gateway.test_ingest import point
from tests.support.gateway import KEY, http, make_key, reader, running, socket
from tests.support.waiting import eventually

METRICS = "/v1/sources/rig-01/metrics/stream"
EVENTS = "/v1/sources/rig-01/events/stream"


def post(gateway: Gateway, *points: dict[str, Any], source_id: str = "rig-01", key: str = KEY) -> None:
    with http(gateway, key) as client:
        assert client.post("/ingest", json={"source_id": source_id, "points": list(points)}).status_code == 200


class TestAddresses:
    @pytest.mark.parametrize(
        ("path", "query", "expected"),
        [
            (METRICS, b"", Asked("rig-01", "metrics")),
            (METRICS, b"metrics=a,b&metrics=c", Asked("rig-01", "metrics", frozenset("abc"))),
            (METRICS, b"metrics=", Asked("rig-01", "metrics")),
            (METRICS, b"metric=a,b&metric=c&metrics=d", Asked("rig-01", "metrics", frozenset({"a,b", "c", "d"}))),
            (METRICS, b"metrics=motor.rpm%20x,%C3%A9", Asked("rig-01", "metrics", frozenset({"motor.rpm x", "é"}))),
            (EVENTS, b"", Asked("rig-01", "events")),
            ("/v1/sources/rig-01/logs/stream", b"", Asked("rig-01", "events")),
            ("/v1/sources//metrics/stream", b"", None),
            ("/v1/sources/a/b/metrics/stream", b"", None),
            ("/v1/sources/rig-01/metrics/stream\n", b"", None),
        ],
    )
    def test_a_streams_address_is_read(self, path: str, query: bytes, expected: Asked | None) -> None:
        assert asked(path, query) == expected

    @pytest.mark.parametrize(("query", "cursor"), [(b"", None), (b"cursor=", ""), (b"cursor=a-1-0", "a-1-0")])
    def test_a_cursor_is_read(self, query: bytes, cursor: str | None) -> None:
        found = asked(EVENTS, query)
        assert isinstance(found, Asked)
        assert found.cursor == cursor

    @pytest.mark.parametrize(
        ("query", "cameras", "timeout_s"),
        [
            (b"", {"default", "camera:0"}, None),
            (b"camera_id=front&camera_id=rear&timeout=2.5", {"front", "rear"}, 2.5),
            (b"camera_id=default&camera_id=x", {"default", "camera:0", "x"}, None),
        ],
    )
    def test_a_video_streams_address_is_read(self, query: bytes, cameras: set[str], timeout_s: float | None) -> None:
        expected = VideoAsked("rig-01", frozenset(cameras), timeout_s)
        assert asked("/v1/sources/rig-01/video/stream", query) == expected

    @pytest.mark.parametrize("timeout", [b"x", b"", b"0", b"-1", b"nan", b"inf", b"86401"])
    def test_a_timeout_that_is_none_is_a_fault(self, timeout: bytes) -> None:
        found = asked("/v1/sources/rig-01/video/stream", b"timeout=" + timeout)
        assert isinstance(found, VideoAsked)
        assert found.fault


class TestAuthentication:
    def refused(self, gateway: Gateway, first: str | bytes) -> int:
        with socket(gateway, METRICS) as wire:
            wire.connection.send(first)
            return wire.closed()[0]

    def test_a_bad_key_closes_with_4401(self, shared: Gateway) -> None:
        assert self.refused(shared, live.auth_message(KEY + "x")) == 4401

    def test_a_key_that_may_not_read_closes_with_4401(self, shared: Gateway) -> None:
        assert self.refused(shared, live.auth_message(make_key(shared, "write", "commands", "admin"))) == 4401

    def test_a_key_of_another_source_closes_with_4401(self, shared: Gateway) -> None:
        assert self.refused(shared, live.auth_message(make_key(shared, "read", source_id="rig-02"))) == 4401

    @pytest.mark.parametrize("first", ["{", "[]", '{"type":"hello"}', '{"type":"auth"}', b"\x00\xff"])
    def test_another_first_frame_closes_with_4401(self, shared: Gateway, first: str | bytes) -> None:
        assert self.refused(shared, first) == 4401

    def test_silence_closes_with_4401(self, shared: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(live, "AUTH_TIMEOUT_S", 0.05)
        with socket(shared, METRICS) as wire:
            assert wire.closed()[0] == 4401

    def test_a_key_of_this_source_may_listen(self, gateway: Gateway) -> None:
        with reader(gateway, METRICS, make_key(gateway, "read", source_id="rig-01")) as wire:
            post(gateway, point(1))
            assert wire.hear()["points"][0]["value"] == 1


class TestMetrics:
    def test_points_arrive_in_the_contracts_form(self, gateway: Gateway) -> None:
        with reader(gateway, METRICS) as wire:
            post(gateway, point(12.4, metric="battery.voltage", tags={"cell": "1"}))
            heard = wire.hear()
            assert heard.pop("cursor")
            assert heard == {
                "type": "telemetry",
                "points": [
                    {
                        "source_id": "rig-01",
                        "metric": "battery.voltage",
                        "value": 12.4,
                        "timestamp": 1746969660000,
                        "class": "metric",
                        "alert": 0,
                    }
                ],
            }

    def test_only_the_named_metrics_arrive(self, gateway: Gateway) -> None:
        with reader(gateway, METRICS + "?metrics=a,b") as wire:
            post(gateway, point(1, metric="c"))
            post(gateway, point(2, metric="a"), point(3, metric="c"), point(4, metric="b"))
            assert [item["value"] for item in wire.hear()["points"]] == [2, 4]

    def test_events_do_not_arrive_among_metrics(self, gateway: Gateway) -> None:
        with reader(gateway, METRICS) as wire:
            post(gateway, point("door open"))
            post(gateway, point(1))
            assert wire.hear()["points"][0]["value"] == 1

    def test_what_json_has_no_number_for_arrives_by_name(self, gateway: Gateway) -> None:
        with reader(gateway, METRICS) as wire:
            post(gateway, point("NaN", non_finite=True))
            item = wire.hear()["points"][0]
        assert (item["value"], item["non_finite"]) == ("NaN", True)

    def test_another_source_and_another_organisation_are_not_heard(self, gateway: Gateway) -> None:
        with reader(gateway, METRICS) as wire:
            post(gateway, point(1), source_id="rig-02")
            post(gateway, point(2), key=make_key(gateway, "write", org="umbrella"))
            post(gateway, point(3))
            assert wire.hear()["points"][0]["value"] == 3

    def test_a_repeat_is_not_heard_twice(self, gateway: Gateway) -> None:
        batch = {"stream": "0" * 32, "n": 1, "base": 1, "digest": "ab"}
        with reader(gateway, METRICS) as wire, http(gateway) as client:
            for _ in range(2):
                body = {"source_id": "rig-01", "points": [point(1)], "batch": batch}
                assert client.post("/ingest", json=body).status_code == 200
            post(gateway, point(2))
            assert [wire.hear()["points"][0]["value"] for _ in range(2)] == [1, 2]

    def test_what_a_reader_says_later_is_passed_over(self, gateway: Gateway) -> None:
        with reader(gateway, METRICS) as wire:
            wire.say(type="anything")
            post(gateway, point(1))
            assert wire.hear()["points"][0]["value"] == 1


class TestEvents:
    @pytest.mark.parametrize("path", [EVENTS, "/v1/sources/rig-01/logs/stream"])
    def test_events_arrive_one_a_frame(self, gateway: Gateway, path: str) -> None:
        with reader(gateway, path) as wire:
            post(
                gateway, point(1), point("open", metric="door", tags={"side": "left"}), point({"a": [1]}, metric="door")
            )
            first, second = wire.hear(), wire.hear()
        assert first.pop("cursor") != second.pop("cursor")
        assert first == {
            "type": "event",
            "source_id": "rig-01",
            "metric": "door",
            "value": "open",
            "timestamp": 1746969660000,
            "class": "event",
            "tags": {"side": "left"},
        }
        assert second["value"] == {"a": [1]}


class TestTheEnd:
    def test_a_reader_that_leaves_is_forgotten(self, gateway: Gateway) -> None:
        with reader(gateway, METRICS):
            pass
        eventually(lambda: len(gateway.core.sockets) == 0)
        post(gateway, point(1))

    def test_a_revoked_key_closes_with_4401(self, gateway: Gateway) -> None:
        text, info = gateway.core.keyring.create("default", "short-lived", ["read"])
        with reader(gateway, METRICS, text) as wire:
            gateway.core.keyring.revoke(info.key_id)
            assert wire.closed(timeout=5.0)[0] == 4401

    def test_the_gateway_says_goodbye_to_readers(self) -> None:
        with running() as gateway, reader(gateway, METRICS) as wire:
            gateway.close()
            assert wire.closed()[0] == 1001

    def test_a_reader_that_does_not_read_delays_nobody(self, gateway: Gateway) -> None:
        big = "x" * 500_000
        with reader(gateway, METRICS, close_timeout=0.1) as slow, reader(gateway, METRICS) as quick:
            for value in range(25):
                post(gateway, point(value), point(big, **{"class": "metric"}))
                assert quick.hear()["points"][0]["value"] == value
            assert slow.hear()["points"][0]["value"] == 0

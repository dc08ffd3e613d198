"""What a message meets on its way in: sizes of events, a disk that is full, a store that is slow, and the meters."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import attrs
import pytest

from plexus.gateway import Gateway, committer, remotewrite
from plexus.gateway.asgi import Message, Receive, Scope, Send
from plexus.gateway.assembly import build_app
from plexus.gateway.core import Limits
from plexus.gateway.settings import Settings
from plexus.ports.store import Submission
from plexus.protocol import binaryframe, columnar
from plexus.protocol.block import Block
from plexus.protocol.frames import UNAVAILABLE
from plexus.testing.contracts.bus import columns_of
from tests.gateway.test_bounds import rejected
from tests.gateway.test_ingest import point, post, stored
from tests.gateway.test_remotewrite import packed, series
from tests.support.gateway import KEY, PATIENCE_S, MoodyStore, ask, core_of, device, http, running, socket
from tests.support.waiting import eventually

TOO_LONG = [
    "x" * 257,
    "é" * 129,
    {"text": "x" * 4_086},
    ["x" * 4_093],
]
JUST_SHORT = ["x" * 256, "é" * 128, {"text": "x" * 4_085}, ["x" * 4_092]]


def metered(gateway: Gateway, name: str, **labels: str) -> float:
    return gateway.core.meters.registry.get_sample_value(name, labels) or 0.0


class TestEvents:
    @pytest.mark.parametrize("value", TOO_LONG)
    def test_one_that_is_too_large_is_a_fault_of_its_point(self, gateway: Gateway, value: Any) -> None:
        items = [point(1), {"metric": "state", "value": value, "class": "event"}, {"metric": "state", "value": value}]
        status, body = post(gateway, {"source_id": "rig-01", "points": items})
        assert (status, body["count"], [error["index"] for error in body["errors"]]) == (200, 1, [1, 2])
        assert "bytes" in body["errors"][0]["error"]
        assert rejected(gateway, "malformed_point") == 2

    @pytest.mark.parametrize("value", JUST_SHORT)
    def test_one_of_exactly_the_limit_is_stored(self, gateway: Gateway, value: Any) -> None:
        item = {"metric": "state", "value": value, "class": "event"}
        assert post(gateway, {"source_id": "rig-01", "points": [item]})[1]["count"] == 1

    @pytest.mark.parametrize("value", [*TOO_LONG, *JUST_SHORT])
    def test_a_metric_has_no_such_limit(self, gateway: Gateway, value: Any) -> None:
        items = [{"metric": "state", "value": value, "class": "metric"}]
        assert post(gateway, {"source_id": "rig-01", "points": items})[1]["count"] == 1
        assert stored(gateway) == [value]

    @pytest.mark.parametrize("value", TOO_LONG)
    def test_a_columnar_frame_meets_the_same_limit(self, gateway: Gateway, value: Any) -> None:
        block = Block(["a", "b"] * 200, range(10**18, 10**18 + 400), ["short", value] * 200, True)
        body = columnar.write_body([block], columnar.PLAIN)
        with device(gateway, acks=True, ext={"columnar": 1}) as wire:
            wire.connection.send(binaryframe.dump(body, seq=1))
            error = wire.hear()
            assert "points[1]: value must be at most" in error["detail"]
            assert wire.hear() == {"type": "telemetry_ack", "seq": 1}


class TestAFullDisk:
    def test_it_refuses_over_both_ways_loses_nothing_acknowledged_and_recovers_by_itself(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(committer, "TROUBLE_S", 0.05)
        store = MoodyStore()
        with running(store=store) as gateway:
            body = {"source_id": "rig-01", "points": [point(1)]}
            assert post(gateway, body)[0] == 200
            with device(gateway, "rig-02", acks=True) as wire:
                wire.telemetry(point(1), seq=1)
                assert wire.hear()["type"] == "telemetry_ack"
                store.full()
                wire.telemetry(point(2), seq=2)
                assert wire.hear()["code"] == UNAVAILABLE
                assert wire.closed()[0] == 1013
            with http(gateway) as client:
                answer = client.post("/ingest", json=body)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert metered(gateway, "plexus_messages_total", verdict="failed") == 2
            store.failure = None
            eventually(lambda: self.takes(gateway), what="the gateway to take data again")
            assert stored(gateway, "rig-01") == [1]
            assert stored(gateway, "rig-02") == [1, 3]

    def takes(self, gateway: Gateway) -> bool:
        with socket(gateway, "/ws/device") as wire:
            wire.say(type="device_auth", api_key=KEY, source_id="rig-02", acks=True)
            if wire.hear()["type"] != "authenticated":
                return False
            wire.telemetry(point(3), seq=1)
            return bool(wire.hear()["type"] == "telemetry_ack")

    def test_while_it_lasts_a_device_is_sent_away_before_it_is_let_in(self) -> None:
        store = MoodyStore()
        store.full()
        with running(store=store) as gateway:
            assert post(gateway, {"source_id": "rig-01", "points": [point(1)]})[0] == 503
            with socket(gateway, "/ws/device") as wire:
                wire.say(type="device_auth", api_key=KEY, source_id="rig-01", acks=True)
                assert wire.hear()["code"] == UNAVAILABLE
                assert wire.closed()[0] == 1013


class TestASlowStore:
    def test_what_waits_for_it_is_bounded_and_the_sockets_wait_instead(self) -> None:
        store = MoodyStore()
        text = json.dumps({"type": "telemetry", "points": [point(number) for number in range(1_000)]})
        settings = Settings(limits=Limits(unsettled_points=5_000))
        with running(store=store, settings=settings) as gateway, device(gateway) as wire:
            store.open.clear()
            sent = threading.Event()

            def flood() -> None:
                for _ in range(200):
                    wire.connection.send(text)
                sent.set()

            sender = threading.Thread(target=flood)
            sender.start()
            waiting = gateway.core.committer
            eventually(lambda: store.points() + waiting.waiting_points >= 5_000, what="the socket to be full")
            assert not sent.wait(0.3)
            assert store.points() + waiting.waiting_points <= 6_000
            store.open.set()
            sender.join(30)
            assert sent.is_set()
            eventually(lambda: store.points() == 200_000, timeout=30.0)

    @pytest.mark.parametrize(("path", "good"), [("/ingest", 200), ("/api/ingest", 200), ("/api/v1/write", 204)])
    def test_http_is_not_read_either(self, path: str, good: int) -> None:
        asyncio.run(self.unread_until_there_is_room(path, good))

    async def unread_until_there_is_room(self, path: str, good: int) -> None:
        core = core_of()
        own = committer.Committer(core.store, core.bus, core.monotonic, queue_points=1)
        core = attrs.evolve(core, committer=own)
        body = json.dumps({"source_id": "rig-01", "points": [point(1)]}).encode()
        if path == remotewrite.PATH:
            body = packed(series({"__name__": "up", "job": "rig-01"}, [(1.0, 1_700_000_000_000)]))
        read = asyncio.Event()

        async def client(scope: Scope, receive: Receive, send: Send) -> None:
            async def reading() -> Message:
                read.set()
                return await receive()

            await build_app(core)(scope, reading, send)

        # Its committer is not started yet: as long as that, the store is behind.
        full = core.committer.enqueue(Submission("default", "rig-02", columns_of("rig-02", 1.5), 1))
        asked = asyncio.ensure_future(ask(client, "POST", path, chunks=[body]))
        for _ in range(100):
            await asyncio.sleep(0)
        assert (core.committer.has_room, read.is_set()) == (False, False)
        core.committer.start()
        answer = await asyncio.wait_for(asked, PATIENCE_S)
        assert (answer.status, read.is_set(), (await full).verdict) == (good, True, "store")
        await core.committer.stop()


class TestMeters:
    def test_points_messages_and_commits_are_counted(self, gateway: Gateway) -> None:
        post(gateway, {"source_id": "rig-01", "points": [point(1), point(2)]})
        assert metered(gateway, "plexus_points_stored_total") == 2
        assert metered(gateway, "plexus_messages_total", verdict="store") == 1
        assert metered(gateway, "plexus_commit_seconds_count") == 1

    def test_a_message_that_cannot_be_read_is_counted(self, gateway: Gateway) -> None:
        with device(gateway, acks=True) as wire:
            wire.say(type="telemetry", points="x", seq=1)
            assert wire.hear()["code"] == "MALFORMED"
        assert post(gateway, b"{")[0] == 400
        assert rejected(gateway, "malformed") == 2

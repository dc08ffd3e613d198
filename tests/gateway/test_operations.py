"""/healthz, /readyz and /metrics: what whoever runs the gateway looks at."""

from __future__ import annotations

import contextlib
import shutil
import threading
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from plexus.gateway import Gateway
from plexus.gateway.settings import Proxy, Settings
from tests.gateway.test_ingest import point
from tests.support.gateway import PATIENCE_S, MoodyStore, device, http, make_key, reader, running, socket
from tests.support.waiting import eventually


def post(client: Any, *values: float) -> int:
    body = {"source_id": "rig-01", "points": [point(value) for value in values]}
    return int(client.post("/ingest", json=body).status_code)


def posted(gateway: Gateway, *values: float) -> None:
    with http(gateway) as client:
        assert post(client, *values) == 200


def measured(text: str) -> dict[tuple[str, ...], float]:
    """Samples by name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class TestReady:
    def test_a_gateway_that_takes_data_is_ready_and_asks_for_no_key(self, shared: Gateway) -> None:
        with http(shared, None) as client:
            answer = client.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready"})

    def test_a_store_that_refuses_is_a_503_that_says_so_while_it_lives_on(self) -> None:
        store = MoodyStore()
        with running(store=store) as gateway, http(gateway) as client:
            store.full()
            assert post(client, 1) == 503
            answer = client.get("/readyz")
            assert answer.status_code == 503
            assert "store" in answer.json()["error"]
            assert client.get("/healthz").status_code == 200
            store.failure = None
            assert post(client, 1) in (200, 503)

    def test_a_disk_that_is_nearly_full_is_a_503(self, embedded: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        with http(embedded, None) as client:
            assert client.get("/readyz").status_code == 200
            full = shutil.disk_usage("/")._replace(free=1)
            monkeypatch.setattr("plexus.gateway.health.shutil.disk_usage", lambda _path: full)
            answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "disk" in answer.json()["error"]

    def test_a_gateway_that_leaves_is_not_ready(self, gateway: Gateway) -> None:
        with http(gateway, None) as client:
            client.get("/healthz")
            gateway.core.sockets.goodbye()
            answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "shutting down" in answer.json()["error"]


class TestMeasures:
    def test_what_was_stored_refused_and_waits_is_there(self, embedded: Gateway) -> None:
        with http(embedded) as client:
            assert post(client, 1, 2, 3) == 200
            client.get("/v1/sources", headers={"x-api-key": "plx_unknown"})
            answer = client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        found = measured(answer.text)
        assert found["plexus_rejects_total", "key"] == 1
        assert found["plexus_queue_points",] == 0
        assert found["plexus_open_sockets",] == 0
        assert found["plexus_ready",] == 1
        assert found["plexus_store_bytes", "journal"] > 0
        assert found["plexus_store_files", "keys"] >= 1
        assert found["plexus_disk_free_bytes",] > 0
        assert found["process_resident_memory_bytes",] > 0

    def test_points_that_wait_for_a_commit_are_counted_until_they_are_in_one(self) -> None:
        store = MoodyStore()
        with running(store=store) as gateway, http(gateway, None) as client:
            store.open.clear()
            senders = [threading.Thread(target=posted, args=(gateway, *values)) for values in ((1,), (2, 3), (4, 5, 6))]
            try:
                senders[0].start()
                assert store.entered.acquire(timeout=PATIENCE_S)  # the first one is in a commit, which takes long
                for sender, waiting in ((senders[1], 2), (senders[2], 5)):
                    sender.start()
                    eventually(lambda n=waiting: gateway.core.committer.waiting_points == n)  # type: ignore[misc]
                    assert measured(client.get("/metrics").text)["plexus_queue_points",] == waiting
            finally:
                store.open.set()
                for sender in senders:
                    sender.join()
            assert measured(client.get("/metrics").text)["plexus_queue_points",] == 0

    def test_open_sockets_are_counted_by_what_they_are_for(self, gateway: Gateway) -> None:
        streams = {"metrics": "metrics", "events": "events", "logs": "events", "video": "video"}

        def counted() -> tuple[dict[str, float], float]:
            with http(gateway, None) as client:
                found = measured(client.get("/metrics").text)
            kinds = {name[1]: value for name, value in found.items() if name[0] == "plexus_sockets"}
            return {kind: count for kind, count in kinds.items() if count}, found["plexus_open_sockets",]

        expected: dict[str, float] = {}
        with contextlib.ExitStack() as stack:
            for number in range(2):
                stack.enter_context(device(gateway, f"rig-0{number}"))
            expected["device"] = 2
            assert counted() == (expected, 2)
            for path, kind in streams.items():
                stack.enter_context(reader(gateway, f"/v1/sources/rig-00/{path}/stream"))
                expected[kind] = expected.get(kind, 0) + 1
                assert counted() == (expected, sum(expected.values()))
        eventually(lambda: counted() == ({}, 0), what="the end of all sockets")

    def test_a_device_that_is_not_let_in_is_no_open_socket(self, gateway: Gateway) -> None:
        with socket(gateway, "/ws/device") as wire:
            wire.say(type="device_auth", api_key="plx_unknown", source_id="rig-00")
            assert wire.hear()["type"] == "error"
            wire.closed()
        with http(gateway, None) as client:
            found = measured(client.get("/metrics").text)
        assert found["plexus_open_sockets",] == 0
        assert found.get(("plexus_sockets", "device"), 0) == 0

    def test_no_name_that_a_client_chose_is_in_it(self, gateway: Gateway) -> None:
        with http(gateway) as client:
            post(client, 1)
            client.get("/v1/sources/rig-01")
            assert "rig-01" not in client.get("/metrics").text

    def test_this_machine_itself_needs_no_key(self, shared: Gateway) -> None:
        with http(shared, None) as client:
            assert client.get("/metrics").status_code == 200
            assert client.get("/metrics/").status_code == 401
            assert client.get("/v1/sources").status_code == 401

    @pytest.mark.parametrize("headers", [{"x-forwarded-for": "127.0.0.1"}, {"forwarded": "for=127.0.0.1"}])
    def test_who_comes_through_a_proxy_needs_one(self, shared: Gateway, headers: dict[str, str]) -> None:
        with http(shared, None) as client:
            assert client.get("/metrics", headers=headers).status_code == 401

    def test_where_a_proxy_is_trusted_everybody_needs_one(self) -> None:
        with running(settings=Settings(proxy=Proxy(("10.0.0.0/8",)))) as gateway, http(gateway, None) as client:
            assert client.get("/metrics").status_code == 401

    @pytest.mark.parametrize(
        ("scope", "org", "source_id", "status"),
        [
            ("read", "default", None, 200),
            ("admin", "default", None, 200),
            ("write", "default", None, 403),
            ("read", "other", None, 403),
            ("read", "default", "rig-01", 403),
        ],
    )
    def test_a_key_must_be_of_the_gateways_own_organisation(
        self, shared: Gateway, scope: str, org: str, source_id: str | None, status: int
    ) -> None:
        with http(shared, make_key(shared, scope, org=org, source_id=source_id)) as client:
            assert client.get("/metrics").status_code == status

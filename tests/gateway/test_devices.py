"""`/ws/device` over real sockets: who is let in, what is stored and acknowledged, how it ends."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from plexus.adapters.registry.memory import MemoryRegistry
from plexus.domain.errors import StoreError
from plexus.gateway import Gateway
from plexus.gateway import running as running_module
from plexus.gateway.core import Limits
from plexus.gateway.intake import only_source
from plexus.protocol.columns import Columns, Decoded, PointFault
from tests.gateway.test_ingest import STREAM, point, stored
from tests.support.gateway import KEY, MoodyStore, device, http, make_key, running, socket
from tests.support.waiting import eventually

NAME = {"stream": STREAM, "n": 1, "base": 1, "digest": "ab"}


def refusal(gateway: Gateway, **auth: Any) -> tuple[dict[str, Any], int]:
    """What a device that is not let in hears first, and the close code after it."""
    with socket(gateway, "/ws/device") as wire:
        wire.say(**{"type": "device_auth", "api_key": KEY, "source_id": "drone-01", **auth})
        return wire.hear(), wire.closed()[0]


def command(gateway: Gateway) -> Any:
    """Send the device a command, as a reader does."""
    with http(gateway) as client:
        answer = client.post("/v1/sources/drone-01/commands", json={"command": "reboot", "params": {"delay_s": 3}})
    return answer.json()


class TestAuthentication:
    def test_a_device_is_told_its_name_and_the_time(self, shared: Gateway) -> None:
        with device(shared, "drone-01") as wire:
            answer = wire.authenticated
        assert answer["source_id"] == "drone-01"
        assert abs(answer["server_time_ms"] - shared.core.wall_ns() / 1e6) < 60_000
        assert set(answer) == {"type", "source_id", "server_time_ms"}

    def test_what_both_sides_have_is_answered(self, shared: Gateway) -> None:
        with device(shared, acks=True, ext={"batch": 2, "warp": 1}) as wire:
            assert (wire.authenticated["acks"], wire.authenticated["ext"]) == (True, {"batch": 1})

    def test_a_bad_key_hears_an_error_first_and_then_the_close(self, shared: Gateway) -> None:
        error, code = refusal(shared, api_key=KEY + "x")
        assert (error["type"], error["code"], error["detail"]) == ("error", "invalid_api_key", "invalid API key")
        assert code == 1008

    def test_a_key_that_may_not_write_is_refused(self, shared: Gateway) -> None:
        error, code = refusal(shared, api_key=make_key(shared, "read", "commands", "admin"))
        assert (error["code"], code) == ("not_permitted", 1008)

    def test_a_key_of_another_source_is_refused_and_claims_no_name(self, gateway: Gateway) -> None:
        key = make_key(gateway, "write", source_id="drone-02")
        assert refusal(gateway, api_key=key, source_id="drone-01")[0]["code"] == "not_permitted"
        assert gateway.core.registry.registered("default") == []

    def test_a_bad_name_is_refused(self, shared: Gateway) -> None:
        for name in ("Drone", "../x", "", "a" * 257):
            assert refusal(shared, source_id=name)[0]["code"] == "invalid_source_id"

    @pytest.mark.parametrize(
        "first", ['{"type":"telemetry","points":[]}', '{"type":"heartbeat"}', "{", '{"type":"device_auth"}', b"\x01"]
    )
    def test_the_first_frame_must_be_the_authentication(self, shared: Gateway, first: str | bytes) -> None:
        with socket(shared, "/ws/device") as wire:
            wire.connection.send(first)
            assert wire.hear()["type"] == "error"
            assert wire.closed()[0] == 1008

    def test_a_silent_client_is_not_waited_for(self, shared: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("plexus.protocol.gateway.AUTH_TIMEOUT_S", 0.05)
        with socket(shared, "/ws/device") as wire:
            assert wire.hear()["code"] == "auth_timeout"
            assert wire.closed()[0] == 1008

    def test_a_large_first_message_is_refused_unread(self, shared: Gateway) -> None:
        with socket(shared, "/ws/device") as wire:
            wire.connection.send("x" * (256 * 1024 + 1))
            assert wire.closed()[0] == 1009

    def test_a_large_message_is_taken_once_authenticated(self, gateway: Gateway) -> None:
        with device(gateway, acks=True) as wire:
            wire.telemetry(*[point(index) for index in range(10_000)], seq=1)
            assert wire.hear() == {"type": "telemetry_ack", "seq": 1}
        assert len(stored(gateway, "drone-01")) == 10_000

    def test_two_installs_of_one_name_get_two(self, gateway: Gateway) -> None:
        with device(gateway, install_id="a" * 32), device(gateway, install_id="b" * 32) as second:
            assert second.authenticated["source_id"] == "drone-01_2"
            second.telemetry(point(1))
            eventually(lambda: stored(gateway, "drone-01_2") == [1])
        with device(gateway, install_id="b" * 32) as again:
            assert again.authenticated["source_id"] == "drone-01_2"

    def test_a_registry_that_fails_sends_the_device_away_for_later(self) -> None:
        class Broken(MemoryRegistry):
            def claim(self, org: str, declared: str, install_id: str) -> str:
                raise StoreError("registry.db: disk I/O error")

        with running(registry=Broken()) as gateway:
            error, code = refusal(gateway)
        assert (error["code"], code) == ("REDIS_UNAVAILABLE", 1013)
        assert "registry.db" not in error["detail"]


class TestTelemetry:
    def test_numbered_frames_are_acknowledged_once_stored(self, gateway: Gateway) -> None:
        with device(gateway, acks=True) as wire:
            for seq in (1, 2, 3):
                wire.telemetry(point(seq), seq=seq)
            heard = 0
            while heard < 3:
                heard = wire.hear()["seq"]
        assert stored(gateway, "drone-01") == [1, 2, 3]

    def test_an_old_client_is_stored_and_not_answered(self, gateway: Gateway) -> None:
        with device(gateway) as wire:
            wire.telemetry(point(1))
            eventually(lambda: stored(gateway, "drone-01") == [1])
            command(gateway)
            assert wire.hear()["type"] == "typed_command"

    def test_no_acknowledgement_before_the_commit(self) -> None:
        store = MoodyStore()
        with running(store=store) as gateway, device(gateway, acks=True) as wire:
            store.open.clear()
            wire.telemetry(point(1), seq=1)
            assert store.entered.acquire(timeout=10)
            command(gateway)
            assert wire.hear()["type"] == "typed_command"  # and not the acknowledgement
            store.open.set()
            assert wire.hear() == {"type": "telemetry_ack", "seq": 1}

    def test_good_points_are_stored_and_the_bad_one_is_named(self, gateway: Gateway) -> None:
        with device(gateway, acks=True) as wire:
            wire.telemetry(point(1), point(2, timestamp="now"), point(3), seq=1)
            heard = [wire.hear(), wire.hear()]
        assert "points[1]" in heard[0]["detail"]
        assert heard[1] == {"type": "telemetry_ack", "seq": 1}
        assert stored(gateway, "drone-01") == [1, 3]

    def test_a_frame_of_bad_points_only_is_refused_by_number(self, gateway: Gateway) -> None:
        with device(gateway, acks=True) as wire:
            wire.telemetry({"metric": ""}, seq=1)
            error = wire.hear()
        assert (error["code"], error["seq"]) == ("MALFORMED", 1)

    def test_too_many_points_in_a_frame_are_refused_and_the_socket_stays(self, gateway: Gateway) -> None:
        with device(gateway, acks=True) as wire:
            body = ",".join(['{"metric":"m","value":1}'] * 100_001)
            wire.connection.send('{"type":"telemetry","seq":1,"points":[' + body + "]}")
            error = wire.hear()
            assert (error["code"], error["seq"]) == ("MALFORMED", 1)
            assert "100000" in error["detail"]
            wire.telemetry(point(1), seq=2)
            assert wire.hear() == {"type": "telemetry_ack", "seq": 2}

    def test_batches_are_acknowledged_by_name_repeats_too(self, gateway: Gateway) -> None:
        with device(gateway, ext={"batch": 1}) as wire:
            for _ in range(2):
                wire.telemetry(point(1), batch=NAME)
                assert wire.hear() == {"type": "batch_ack", "stream": STREAM, "upto": 1}
            wire.telemetry(point(3), batch={**NAME, "n": 3})
            assert wire.hear() == {"type": "batch_nack", "stream": STREAM, "expected": 2}
            wire.telemetry(point(2), batch={**NAME, "digest": "cd"})
            assert wire.hear() == {"type": "batch_fork", "stream": STREAM}
        assert stored(gateway, "drone-01") == [1]

    def test_a_batch_without_a_good_point_moves_its_stream_on(self, gateway: Gateway) -> None:
        with device(gateway, ext={"batch": 1}) as wire:
            wire.telemetry({"metric": ""}, batch=NAME)
            ack = wire.hear()
            assert (ack["type"], ack["upto"], ack["errors"][0]["index"]) == ("batch_ack", 1, 0)
            wire.telemetry(point(2), batch={**NAME, "n": 2})
            assert wire.hear() == {"type": "batch_ack", "stream": STREAM, "upto": 2}

    def test_a_batch_over_the_socket_and_its_twin_over_http_are_stored_once(self, gateway: Gateway) -> None:
        with device(gateway, ext={"batch": 1}) as wire, http(gateway) as client:
            wire.telemetry(point(1), batch=NAME)
            wire.hear()
            body = {"source_id": "drone-01", "points": [point(1)], "batch": NAME}
            assert client.post("/ingest", json=body).status_code == 200
        assert stored(gateway, "drone-01") == [1]

    def test_a_key_of_one_source_cannot_store_for_another(self, gateway: Gateway) -> None:
        key = make_key(gateway, "write", source_id="drone-01")
        with device(gateway, key=key, ext={"batch": 1}) as wire:
            wire.telemetry(point(1), point(2, source_id="drone-02"), point(3), batch=NAME)
            ack = wire.hear()
        assert [error["index"] for error in ack["errors"]] == [1]
        assert "drone-01" in ack["errors"][0]["error"]
        assert (stored(gateway, "drone-01"), stored(gateway, "drone-02")) == ([1, 3], [])

    def test_unknown_frames_heartbeats_and_video_are_passed_over(self, gateway: Gateway) -> None:
        with device(gateway, acks=True) as wire:
            wire.say(type="something_new", value=1)
            wire.say(type="heartbeat", source_id="drone-01", agent_version="0.5.2")
            wire.connection.send(b"\x01video")
            wire.telemetry(point(1), seq=1)
            assert wire.hear() == {"type": "telemetry_ack", "seq": 1}

    def test_many_frames_at_once_are_all_stored_in_order(self, embedded: Gateway) -> None:
        with device(embedded, acks=True) as wire:
            for seq in range(1, 501):
                wire.telemetry(point(seq), seq=seq)
            heard = 0
            while heard < 500:
                heard = wire.hear()["seq"]
        assert stored(embedded, "drone-01") == list(range(1, 501))


def test_a_point_of_another_source_becomes_a_fault_at_its_own_index() -> None:
    columns = Columns()
    for source in ("a", "b", "a"):
        columns.add(source, "m", 1, is_event=True, value=source, tags={"k": "v"}, run_id="r")
    narrowed = only_source(Decoded(columns, (PointFault(0, "bad"), PointFault(2, "bad"))), "a")
    assert [fault.index for fault in narrowed.faults] == [0, 2, 3]
    assert narrowed.total == 5
    expected = Columns()
    for _ in range(2):
        expected.add("a", "m", 1, is_event=True, value="a", tags={"k": "v"}, run_id="r")
    assert narrowed.columns == expected


class TestStoreTrouble:
    def test_a_store_that_fails_releases_nothing_and_sends_the_device_away_for_later(self) -> None:
        store = MoodyStore()
        with running(store=store) as gateway:
            with device(gateway, acks=True) as wire:
                wire.telemetry(point(1), seq=1)
                assert wire.hear()["seq"] == 1
                store.full()
                wire.telemetry(point(2), seq=2)
                error = wire.hear()
                assert (error["code"], "seq" in error) == ("REDIS_UNAVAILABLE", False)
                assert wire.closed()[0] == 1013
            error, code = refusal(gateway)
            assert (error["type"], error["code"], code) == ("error", "REDIS_UNAVAILABLE", 1013)

    def test_a_socket_is_not_read_while_too_much_of_it_is_unsettled(self) -> None:
        store = MoodyStore()
        with running(store=store) as gateway, device(gateway, acks=True) as wire:
            store.open.clear()
            limit = Limits().unsettled_frames
            for seq in range(1, 4 * limit):
                wire.telemetry(point(seq), seq=seq)
            assert store.entered.acquire(timeout=10)
            waiting = gateway.core.committer
            eventually(lambda: store.points() + waiting.waiting_points >= limit)
            assert store.points() + waiting.waiting_points == limit
            store.open.set()
            heard = 0
            while heard < 4 * limit - 1:
                heard = wire.hear()["seq"]
        assert len(stored(gateway, "drone-01")) == 4 * limit - 1


class TestPresenceAndCommands:
    def test_a_connected_device_is_online_and_a_gone_one_leaves(self, gateway: Gateway) -> None:
        with device(gateway):
            assert gateway.core.presence.online("default", "drone-01")
            assert gateway.core.devices.connected("default", "drone-01")
        eventually(lambda: not gateway.core.devices.connected("default", "drone-01"))

    def test_a_command_reaches_the_device_and_its_outcome_the_gateway(
        self, gateway: Gateway, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "plexus.gateway"), device(gateway) as wire:
            answer = command(gateway)
            call = wire.hear()
            assert answer == {"queued": True, "run_id": call["id"]}
            assert (call["type"], call["command"], call["params"]) == ("typed_command", "reboot", {"delay_s": 3})
            wire.say(type="command_result", id=call["id"], command="reboot", event="ack")
            wire.say(type="command_result", id=call["id"], command="reboot", event="error", error="no power")
            book = gateway.core.devices.book
            eventually(lambda: book.entries("default", "drone-01", state="failed"))
            ((_number, entry),) = book.entries("default", "drone-01")
        assert (entry.run_id, entry.error_message) == (call["id"], "no power")
        assert "no power" in caplog.text

    def test_a_command_for_an_offline_device_is_not_queued(self, gateway: Gateway) -> None:
        with http(gateway) as client:
            client.post("/ingest", json={"source_id": "drone-01", "points": [point()]})
        assert command(gateway)["queued"] is False


class TestTheEnd:
    def test_a_revoked_key_ends_the_open_socket(self, gateway: Gateway) -> None:
        text, info = gateway.core.keyring.create("default", "short-lived", ["write"])
        with device(gateway, key=text) as wire, device(gateway, "drone-02") as other:
            gateway.core.keyring.revoke(info.key_id)
            assert wire.hear(timeout=5.0)["code"] == "invalid_api_key"
            assert wire.closed()[0] == 1008
            other.say(type="heartbeat", source_id="drone-02")
            assert gateway.core.devices.connected("default", "drone-02")
        assert running_module.KEYS_WATCHED_S < 5.0

    def test_what_is_unsettled_is_committed_and_acknowledged_before_the_goodbye(self) -> None:
        store = MoodyStore()
        with running(store=store) as gateway, device(gateway, acks=True, hears_goodbye=True) as wire:
            store.open.clear()
            wire.telemetry(point(1), seq=1)
            assert store.entered.acquire(timeout=10)
            wire.telemetry(point(2), seq=2)
            eventually(lambda: gateway.core.committer.waiting_points == 1)
            assert gateway.core.sockets.closing is False
            server = gateway._server
            assert server is not None
            server.leave()
            eventually(lambda: gateway.core.sockets.closing)
            store.open.set()
            assert [wire.hear()["seq"] for _ in range(2)][-1] == 2
            assert wire.closed() == (1001, "gateway is shutting down")
        assert store.points() == 2

    def test_a_key_never_reaches_the_log(self, gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
        wrong = "plx_" + "canary" * 8
        with caplog.at_level(logging.DEBUG), device(gateway):
            refusal(gateway, api_key=wrong)
            refusal(gateway, source_id="../x")
            with socket(gateway, "/ws/device") as wire:
                wire.say(type="device_auth", api_key=wrong, source_id=7)
                wire.hear()
        ours = [record for record in caplog.records if not record.name.startswith(("websockets", "httpcore"))]
        text = "\n".join(record.getMessage() for record in ours)
        assert KEY not in text
        assert "canary" not in text

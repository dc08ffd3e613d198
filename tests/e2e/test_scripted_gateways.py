"""Our client against gateways of other releases, which know nothing of our code: what arrives, and in which manner.

Everything runs over real sockets on 127.0.0.1. The gateways note in `violations` whatever their release would not know.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from plexus import AuthenticationError, Plexus, RateLimitedError
from tests.support.scripted import Gateway0160, Gateway052, ScriptedGateway
from tests.support.waiting import eventually

PORTAL = b"<html><body>Welcome to our hotel. Please accept the terms.</body></html>"


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXUS_QUIET", "1")


def lead(monkeypatch: pytest.MonkeyPatch, gateway: ScriptedGateway) -> None:
    for name, value in gateway.environ().items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=[Gateway052, Gateway0160], ids=["0.5.2", "0.16.0"])
def gateway(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedGateway]:
    with request.param() as started:
        lead(monkeypatch, started)
        yield started
        assert started.violations == []


@pytest.fixture
def acking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway0160]:
    with Gateway0160() as started:
        lead(monkeypatch, started)
        yield started
        assert started.violations == []


@contextlib.contextmanager
def device(**settings: Any) -> Iterator[Plexus]:
    px = Plexus(source_id="drone-01", **settings)
    try:
        yield px
    finally:
        px.close()


def send(px: Plexus, metric: str, values: range) -> None:
    for value in values:
        px.send(metric, value)


def arrived(gateway: ScriptedGateway, metric: str, values: range, timeout: float = 20.0) -> None:
    """Exactly these, in order, once."""
    eventually(lambda: len(gateway.values(metric)) >= len(values), timeout, f"{len(values)} values of {metric}")
    assert gateway.values(metric) == list(values)


def settled(px: Plexus, count: int) -> None:
    """The device knows that they arrived: what it does not know is sent again over the next socket, by contract."""
    eventually(lambda: px.stats().delivered == count, what=f"{count} delivered")


class TestEverythingArrives:
    def test_what_is_sent_arrives_once_and_in_order(self, gateway: ScriptedGateway) -> None:
        with device() as px:
            send(px, "imu.x", range(500))
            arrived(gateway, "imu.x", range(500))
        assert gateway.values("imu.x") == list(range(500))

    def test_closing_sends_what_is_left(self, gateway: ScriptedGateway) -> None:
        with device() as px:
            send(px, "imu.x", range(100))
        arrived(gateway, "imu.x", range(100))

    def test_what_is_no_number_is_an_event(self, gateway: ScriptedGateway) -> None:
        with device() as px:
            px.send("robot.state", "RUNNING")
            px.event("door", {"open": True})
            px.send_batch([("a", 1), ("b", 2.5)], tags={"axis": "z"})
            eventually(lambda: len(gateway.stored) == 4)
        classes = {point["metric"]: point["class"] for point in gateway.stored}
        assert classes == {"robot.state": "event", "door": "event", "a": "metric", "b": "metric"}
        assert [point["tags"] for point in gateway.stored if point["metric"] == "b"] == [{"axis": "z"}]

    def test_a_timestamp_of_the_caller_is_not_corrected(self, gateway: ScriptedGateway) -> None:
        with device() as px:
            px.send("m", 1, timestamp=1_746_969_660.0)
            eventually(lambda: gateway.stored)
        assert gateway.stored[0]["timestamp"] == 1_746_969_660_000

    def test_a_nan_is_counted_and_the_rest_arrives(self, gateway: ScriptedGateway) -> None:
        with device() as px:
            px.send("m", float("nan"))
            px.send("m", 1)
            eventually(lambda: gateway.values("m") == [1])
            eventually(lambda: sum(px.stats().dropped.values()) == 1)

    def test_the_device_goes_on_under_the_name_it_is_given(self, gateway: ScriptedGateway) -> None:
        gateway.assign("drone-01_2")
        with device() as px:
            px.send("m", 1)
            eventually(lambda: gateway.values("m") == [1])
            assert px.source_id == "drone-01_2"
            gateway.stop_sockets()
            px.send("m", 2)
            eventually(lambda: gateway.values("m") == [1, 2], 20.0)
        assert gateway.ingests()[-1].body["source_id"] == "drone-01_2"

    def test_no_key_travels_in_an_address(self, gateway: ScriptedGateway) -> None:
        with device() as px:
            px.send("m", 1)
            eventually(lambda: gateway.stored)
            assert gateway.api_key not in gateway.sockets[0].connection.request.path  # type: ignore[union-attr]


class TestCommands:
    def test_a_command_is_acknowledged_then_answered(self, gateway: ScriptedGateway) -> None:
        called: list[tuple[str, dict[str, Any]]] = []

        def reboot(name: str, params: dict[str, Any]) -> dict[str, Any]:
            called.append((name, params))
            return {"rebooting": True}

        with device() as px:
            px.on_command("reboot", reboot, description="Restart the flight computer")
            px.send("m", 1)
            eventually(lambda: gateway.stored)
            # Who was connected already greets again, on a busy machine.
            eventually(lambda: [c["name"] for c in gateway.sockets[-1].auth.get("commands", ())] == ["reboot"])
            gateway.send_command("reboot", {"delay_s": 3}, "call-7")
            eventually(lambda: len(gateway.command_results()) == 2)
        assert called == [("reboot", {"delay_s": 3})]
        ack, result = gateway.command_results()
        assert (ack["event"], ack["id"]) == ("ack", "call-7")
        assert (result["event"], result["result"]) == ("result", {"rebooting": True})

    def test_a_handler_that_fails_is_an_error(self, gateway: ScriptedGateway) -> None:
        def jam(name: str, params: dict[str, Any]) -> None:
            raise RuntimeError("the motor is jammed")

        with device() as px:
            px.on_command("move", jam)
            px.send("m", 1)
            eventually(lambda: gateway.stored)
            gateway.send_command("move")
            eventually(lambda: len(gateway.command_results()) == 2)
        assert gateway.command_results()[1]["event"] == "error"
        assert "the motor is jammed" in gateway.command_results()[1]["error"]

    def test_an_unknown_command_is_acknowledged_then_refused(self, gateway: ScriptedGateway) -> None:
        with device() as px:
            px.send("m", 1)
            eventually(lambda: gateway.stored)
            gateway.send_command("fly")
            eventually(lambda: len(gateway.command_results()) == 2)
        assert [said["event"] for said in gateway.command_results()] == ["ack", "error"]
        assert gateway.command_results()[1]["error"] == "unknown command: fly"


class TestFallback:
    def test_where_sockets_are_refused_points_go_by_http(self, gateway: ScriptedGateway) -> None:
        gateway.refuse_sockets()
        with device() as px:
            send(px, "m", range(50))
            arrived(gateway, "m", range(50))
        assert {point["via"] for point in gateway.stored} == {"http"}

    def test_where_nothing_listens_for_sockets_points_go_by_http(self, gateway: ScriptedGateway) -> None:
        gateway.stop_sockets()
        with device() as px:
            send(px, "m", range(50))
            arrived(gateway, "m", range(50))

    def test_when_sockets_are_taken_again_points_go_there(self, gateway: ScriptedGateway) -> None:
        gateway.refuse_sockets()
        with device() as px:
            send(px, "m", range(10))
            arrived(gateway, "m", range(10))
            gateway.accept_sockets()
            eventually(lambda: gateway.sockets, 20.0)
            send(px, "n", range(10))
            arrived(gateway, "n", range(10))
        assert {point["via"] for point in gateway.stored if point["metric"] == "n"} <= {"ws", "http"}

    def test_http_alone_carries_everything(self, gateway: ScriptedGateway) -> None:
        with device(transport="http") as px:
            send(px, "m", range(3_000))
            arrived(gateway, "m", range(3_000))
        assert gateway.sockets == []
        assert any(ingest.headers.get("content-encoding") == "gzip" for ingest in gateway.ingests())


class TestHttpTrouble:
    def test_retry_after_is_obeyed(self, gateway: ScriptedGateway) -> None:
        gateway.answer_next(429, {"error": "too many"}, {"Retry-After": "1"})
        with device(transport="http") as px:
            send(px, "m", range(5))
            arrived(gateway, "m", range(5))
        first, second = gateway.ingests()[:2]
        assert first.status == 429
        assert second.at - first.at >= 1.0

    @pytest.mark.parametrize(
        ("status", "body"), [(500, b""), (503, b'{"error":"busy"}'), (200, PORTAL), (200, b""), (400, PORTAL)]
    )
    def test_what_is_not_the_gateways_answer_releases_nothing(
        self, gateway: ScriptedGateway, status: int, body: bytes
    ) -> None:
        gateway.answer_next(status, body, {"Content-Type": "text/html"})
        with device(transport="http") as px:
            send(px, "m", range(5))
            arrived(gateway, "m", range(5))

    def test_what_is_malformed_is_not_sent_again_and_the_rest_goes_on(self, gateway: ScriptedGateway) -> None:
        gateway.answer_next(400, {"error": "points[0].metric is not allowed here"})
        with device(transport="http") as px:
            px.send("bad", 1)
            eventually(lambda: any(ingest.status == 400 for ingest in gateway.ingests()))
            px.send("good", 1)
            eventually(lambda: gateway.values("good") == [1])
            eventually(lambda: sum(px.stats().dropped.values()) == 1)
        assert gateway.values("bad") == []
        assert len([i for i in gateway.ingests() if i.body["points"][0]["metric"] == "bad"]) == 1

    def test_what_a_200_calls_dropped_is_counted_and_not_sent_again(self, gateway: ScriptedGateway) -> None:
        gateway.answer_next(200, {"success": True, "count": 1, "dropped": 1, "source_id": "drone-01"})
        with device(transport="http") as px:
            px.send("m", 1)
            eventually(lambda: sum(px.stats().dropped.values()) == 1)
        assert len(gateway.ingests()) == 1

    def test_a_refused_key_reaches_the_next_send_and_the_data_stays(
        self, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrong = "plx_wrong_key_0123456789abcdef012345"
        monkeypatch.setenv("PLEXUS_API_KEY", wrong)
        px = Plexus(source_id="drone-01")
        try:
            # The refusal may be here before the first reading is, or after any other.
            with pytest.raises(AuthenticationError) as refused:
                eventually(lambda: px.send("m", 2) is None)
            assert gateway.refused_auths
            assert wrong not in str(refused.value)
            px.send("m", 1)
            assert px.buffer_size() >= 1
        finally:
            px.close()
        monkeypatch.setenv("PLEXUS_API_KEY", gateway.api_key)
        with device():
            eventually(lambda: 1 in gateway.values("m"), 20.0)


class TestGoodbye:
    def test_after_a_goodbye_the_next_points_take_another_socket(self, gateway: ScriptedGateway) -> None:
        with device() as px:
            send(px, "m", range(50))
            arrived(gateway, "m", range(50))
            settled(px, 50)
            gateway.close_sockets()
            send(px, "m", range(50, 100))
            arrived(gateway, "m", range(100))
            eventually(lambda: len(gateway.sockets) == 2)
        assert gateway.sockets[0].auth["hears_goodbye"] is True

    def test_nothing_is_written_into_a_socket_that_said_goodbye(self, gateway: ScriptedGateway) -> None:
        with device() as px:
            px.send("m", 0)
            arrived(gateway, "m", range(1))
            settled(px, 1)
            gateway.say_goodbye_and_linger()
            eventually(lambda: len(gateway.sockets) == 2)
            send(px, "m", range(1, 20))
            arrived(gateway, "m", range(20))
        assert len(gateway.sockets[0].telemetry()) == 1

    def test_a_device_that_was_sent_away_waits_a_moment_before_it_returns(self, gateway: ScriptedGateway) -> None:
        with device() as px:
            px.send("m", 0)
            arrived(gateway, "m", range(1))
            settled(px, 1)
            left = time.monotonic()
            gateway.close_sockets()
            eventually(lambda: len(gateway.sockets) == 2)
            assert time.monotonic() - left >= 0.1


class TestAcknowledgements:
    def test_delayed_acknowledgements_send_nothing_twice(self, acking: Gateway0160) -> None:
        with device() as px:
            acking.hold_acks()
            send(px, "m", range(200))
            eventually(acking.held)
            assert px.stats().delivered == 0
            acking.release_acks()
            arrived(acking, "m", range(200))
            eventually(lambda: px.stats().delivered == 200)
        assert px.buffer_size() == 0

    def test_what_was_not_acknowledged_is_sent_again(self, acking: Gateway0160) -> None:
        with device() as px:
            acking.hold_acks()
            send(px, "m", range(200))
            eventually(acking.held)
            acking.cut_sockets()
            acking.forget_held()
            arrived(acking, "m", range(200))

    def test_try_again_later_is_obeyed(self, acking: Gateway0160) -> None:
        with device() as px:
            acking.unavailable_next()
            send(px, "m", range(50))
            arrived(acking, "m", range(50))
            eventually(lambda: px.stats().delivered == 50)
        assert len(acking.unstored) == 1
        assert acking.sockets[0].close_code == 1013
        assert not px.stats().dropped

    def test_what_is_refused_for_rate_is_counted_and_not_sent_again(self, acking: Gateway0160) -> None:
        with device() as px:
            acking.rate_limit_next()
            px.send("m", 0)
            eventually(lambda: acking.unstored)
            eventually(lambda: sum(px.stats().dropped.values()) == 1)
            with contextlib.suppress(RateLimitedError):
                px.send("told", 1)
            px.send("m", 1)
            eventually(lambda: acking.values("m") == [1])

    def test_what_a_closed_client_could_not_send_the_next_one_sends(self, acking: Gateway0160) -> None:
        acking.stop_sockets()
        acking.answer_next(503, times=1_000)
        began = time.monotonic()
        with device() as px:
            send(px, "m", range(20))
        assert time.monotonic() - began < 10.0
        acking.start_sockets()
        with device():
            arrived(acking, "m", range(20))

    def test_a_gateway_that_restarts_misses_nothing(self, acking: Gateway0160) -> None:
        with device() as px:
            send(px, "m", range(50))
            arrived(acking, "m", range(50))
            settled(px, 50)
            acking.stop_sockets()
            acking.answer_next(503, times=1_000)
            send(px, "m", range(50, 100))
            acking.start_sockets()
            eventually(lambda: set(acking.values("m")) == set(range(100)), 20.0)

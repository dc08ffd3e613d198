"""`WebSocketTransport`, the public class of 0.5.2."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from plexus import WebSocketTransport
from plexus.domain.command import CommandCall
from plexus.domain.errors import ConfigurationError
from tests.support.peer import KEY, Gateway, serving
from tests.support.waiting import eventually

POINT = {"class": "metric", "metric": "m", "value": 1, "timestamp": 1_746_969_660_000}


@pytest.fixture(params=["plexus", "0.16.0", "0.5.2"])
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    with serving(Gateway(request.param)) as served:
        yield served


def link(gateway: Gateway, **changes: Any) -> WebSocketTransport:
    return WebSocketTransport(KEY, "drone-01", "ws://127.0.0.1:9", transport=gateway.socket, **changes)


@pytest.fixture
def connected(gateway: Gateway) -> Iterator[WebSocketTransport]:
    transport = link(gateway)
    transport.start()
    assert transport.wait_authenticated(10.0)
    yield transport
    transport.stop(10.0)


def test_points_arrive_and_the_answer_is_true(gateway: Gateway, connected: WebSocketTransport) -> None:
    assert connected.send_points([POINT, {**POINT, "value": 2}]) is True
    eventually(lambda: gateway.values() == [1, 2])


def test_nothing_is_sent_before_the_gateway_let_it_in(gateway: Gateway) -> None:
    transport = link(gateway)
    assert not transport.is_authenticated
    assert transport.wait_authenticated(0.01) is False
    assert transport.send_points([POINT]) is False


def test_after_stop_nothing_is_sent(gateway: Gateway, connected: WebSocketTransport) -> None:
    connected.stop(10.0)
    assert not connected.is_authenticated
    assert connected.send_points([POINT]) is False


def test_points_that_json_cannot_say_are_a_type_error(connected: WebSocketTransport) -> None:
    with pytest.raises(TypeError, match="cannot be sent"):
        connected.send_points([{**POINT, "value": float("nan")}])
    with pytest.raises(TypeError, match="cannot be sent"):
        connected.send_points([{**POINT, "value": {1, 2}}])


def test_a_connection_that_breaks_is_made_again(gateway: Gateway, connected: WebSocketTransport) -> None:
    gateway.goodbye()
    eventually(lambda: gateway.socket.peer.opened == 2)
    assert connected.wait_authenticated(10.0)
    eventually(lambda: connected.send_points([POINT]))
    eventually(lambda: gateway.values() == [1])


def test_without_auto_reconnect_it_stays_down(gateway: Gateway) -> None:
    transport = link(gateway, auto_reconnect=False)
    transport.start()
    assert transport.wait_authenticated(10.0)
    gateway.goodbye()
    eventually(lambda: not transport.is_authenticated)
    transport.stop(10.0)
    assert gateway.socket.peer.opened == 1


def test_the_assigned_name_and_the_offset_are_told(gateway: Gateway) -> None:
    gateway.assigned, gateway.clock_ahead_ms = "drone-01_2", 60_000.0
    names: list[str] = []
    offsets: list[float] = []
    transport = link(gateway, on_source_id_assigned=names.append, on_clock_synced=offsets.append)
    transport.start()
    eventually(lambda: offsets)
    assert names == ["drone-01_2"]
    assert transport.source_id == "drone-01_2"
    assert offsets == [pytest.approx(60_000.0, abs=5_000.0)]
    assert transport.clock_offset_ms == pytest.approx(offsets[0], abs=5_000.0)
    transport.stop(10.0)


def test_a_callback_that_fails_does_not_end_the_connection(gateway: Gateway) -> None:
    def fail(_told: Any) -> None:
        raise ValueError("the program's own")

    transport = link(gateway, on_clock_synced=fail)
    transport.start()
    assert transport.wait_authenticated(10.0)
    assert transport.send_points([POINT])
    transport.stop(10.0)


def test_a_command_is_declared_run_and_answered(gateway: Gateway) -> None:
    transport = link(gateway)
    transport.register_command("reboot", lambda name, params: [name, params], description="Restart")
    transport.start()
    assert transport.wait_authenticated(10.0)
    assert gateway.auths[0].commands[0]["name"] == "reboot"
    gateway.call(CommandCall("c1", "reboot", {"delay_s": 3}))
    eventually(lambda: len(gateway.outcomes) == 2)
    assert gateway.outcomes[1].result == ["reboot", {"delay_s": 3}]
    transport.stop(10.0)


def test_a_command_that_is_registered_later_is_declared_by_a_new_greeting(
    gateway: Gateway, connected: WebSocketTransport
) -> None:
    connected.register_command("reboot", lambda _name, _params: None)
    eventually(lambda: len(gateway.auths) == 2)
    assert gateway.auths[1].commands[0]["name"] == "reboot"


def test_a_refusal_of_the_points_is_false() -> None:
    with serving(Gateway("0.16.0")) as gateway:
        gateway.rate_limited = True
        transport = link(gateway)
        transport.start()
        assert transport.wait_authenticated(10.0)
        assert transport.send_points([POINT]) is False
        transport.stop(10.0)


def test_points_under_way_when_it_stops_are_not_said_to_be_stored() -> None:
    with serving(Gateway()) as gateway:
        gateway.answers = False
        transport = link(gateway)
        transport.start()
        assert transport.wait_authenticated(10.0)
        results: list[bool] = []
        sender = threading.Thread(target=lambda: results.append(transport.send_points([POINT])))
        sender.start()
        eventually(lambda: gateway._unsettled)
        transport.stop(10.0)
        sender.join(10.0)
        assert results == [False]


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError):
        WebSocketTransport(KEY, "drone-01", "ftp://gateway")

"""A device and a gateway greet, wired in memory: names, clocks, dialects, and who is not let in."""

from __future__ import annotations

import pytest

from plexus.domain.errors import ProtocolError
from plexus.protocol import extensions, frames
from plexus.protocol import gateway as gateway_end
from plexus.protocol.device import (
    HEARTBEAT_S,
    DeviceSession,
)
from plexus.protocol.gatewayevents import AuthRequested, TelemetryReceived
from plexus.protocol.messages import (
    AuthRefused,
    Ended,
    Ready,
)
from tests.support.pair import (
    START_MS,
    START_NS,
    V0160,
    V052,
    ConnectionPair,
    batch_of,
    hello,
    opened,
)


class TestGreeting:
    def test_the_first_frame_of_a_device_says_who_it_is_and_what_it_can_do(self) -> None:
        pair = opened()
        first = pair.said_by_device[0]
        assert first["type"] == "device_auth"
        assert first["acks"] is True
        assert first["hears_goodbye"] is True
        assert first["ext"] == dict(extensions.DEVICE_OFFERS)
        assert (first["source_id"], first["install_id"]) == ("drone-01", "c9f2")

    def test_the_first_frame_of_a_gateway_is_authenticated(self) -> None:
        assert opened().said_by_gateway[0]["type"] == "authenticated"

    def test_the_device_takes_the_name_that_the_gateway_gives(self) -> None:
        pair = ConnectionPair()
        pair.open(source_id="drone-01_2")
        assert pair.heard(Ready)[0].source_id == "drone-01_2"
        pair.advance(HEARTBEAT_S)
        heartbeat = {"type": "heartbeat", "source_id": "drone-01_2", "agent_version": "1.0"}
        assert heartbeat in pair.said_by_device

    def test_commands_are_declared_anew_at_every_connection(self) -> None:
        declared: list[dict[str, str]] = []
        told = hello(commands=lambda: tuple(declared))
        ConnectionPair(device=DeviceSession(told, lambda: 0)).open()
        declared.append({"name": "reboot"})
        pair = ConnectionPair(device=DeviceSession(told, lambda: 0))
        pair.open()
        assert pair.asked(AuthRequested)[0].auth.commands == ({"name": "reboot"},)

    def test_the_time_that_the_gateway_tells_was_so_in_the_middle_of_the_round_trip(self) -> None:
        pair = ConnectionPair()
        pair.device.opened(pair.now)
        pair.pump_device()
        pair.deliver_to_gateway()
        pair.gateway.accept("drone-01", START_MS + 5_000.0)
        pair.now += 0.2
        pair.exchange()
        ready = pair.heard(Ready)[0]
        assert ready.clock is not None
        assert (ready.clock.tick, ready.clock.wall_ms) == (pair.tick() - 100_000_000, START_MS + 5_000.0)
        assert ready.clock.error_ms == pytest.approx(100.0, abs=1.1)

    def test_a_gateway_that_tells_no_time_corrects_no_clock(self) -> None:
        device = DeviceSession(hello(), lambda: 0)
        device.opened(0.0)
        device.receive('{"type":"authenticated","source_id":"drone-01"}', 0.1)
        (ready,) = device.take_events()
        assert isinstance(ready, Ready)
        assert ready.clock is None

    @pytest.mark.parametrize(
        ("old", "confirms", "has_names"),
        [((), True, True), (V0160, True, False), (V052, False, False)],
        ids=["ours", "0.16.0", "0.5.2"],
    )
    def test_the_dialect_is_what_both_ends_have(self, old: tuple[str, ...], confirms: bool, has_names: bool) -> None:
        ready = opened(old).heard(Ready)[0]
        assert ready.confirms is confirms
        assert (extensions.BATCH in ready.features) is has_names

    def test_acks_that_are_not_literally_true_are_not_acks(self) -> None:
        raw = '{"type":"device_auth","api_key":"k","source_id":"s","acks":1}'
        frame = frames.parse(raw)
        assert isinstance(frame, frames.DeviceAuth)
        assert frame.acks is False

    def test_a_refused_key_ends_the_link_and_names_the_key(self) -> None:
        pair = ConnectionPair()
        pair.device.opened(pair.now)
        pair.pump_device()
        pair.deliver_to_gateway()
        pair.gateway.refuse("invalid_key", "invalid API key")
        pair.exchange()
        assert pair.heard(AuthRefused) == [AuthRefused("invalid_key", "invalid API key", key_at_fault=True)]
        assert pair.heard(Ended)[0].batches == ()
        assert pair.gateway.close == (gateway_end.CLOSE_POLICY, "invalid API key")

    def test_a_plan_without_streaming_does_not_blame_the_key(self) -> None:
        device = DeviceSession(hello(), lambda: 0)
        device.opened(0.0)
        device.receive('{"type":"error","code":"streaming_requires_plan","detail":"upgrade"}', 0.1)
        refused, ended = device.take_events()
        assert refused == AuthRefused("streaming_requires_plan", "upgrade", key_at_fault=False)
        assert isinstance(ended, Ended)

    @pytest.mark.parametrize("code", ["REDIS_UNAVAILABLE", "RATE_LIMITED", "auth_timeout"])
    def test_a_gateway_that_cannot_just_now_is_asked_again_and_no_key_is_blamed(self, code: str) -> None:
        device = DeviceSession(hello(), lambda: 0)
        device.opened(0.0)
        device.receive(f'{{"type":"error","code":"{code}"}}', 0.1)
        assert [type(event) for event in device.take_events()] == [Ended]

    def test_a_gateway_that_cannot_store_says_so_before_authenticated(self) -> None:
        pair = ConnectionPair()
        pair.device.opened(pair.now)
        pair.pump_device()
        pair.deliver_to_gateway()
        pair.gateway.try_later("the disk is full")
        pair.exchange()
        assert [frame["type"] for frame in pair.said_by_gateway] == ["error"]
        assert pair.gateway.close == (gateway_end.CLOSE_TRY_LATER, "the disk is full")
        assert not pair.heard(AuthRefused)

    def test_a_gateway_whose_first_frame_is_another_is_left(self) -> None:
        device = DeviceSession(hello(), lambda: 0)
        device.opened(0.0)
        device.receive('{"type":"telemetry_ack","seq":1}', 0.1)
        assert [type(event) for event in device.take_events()] == [Ended]

    def test_an_unknown_first_frame_is_passed_over(self) -> None:
        device = DeviceSession(hello(), lambda: 0)
        device.opened(0.0)
        device.receive('{"type":"motd","text":"hello"}', 0.1)
        assert device.state.value == "greeting"

    def test_a_gateway_that_does_not_answer_is_left_after_10_seconds(self) -> None:
        device = DeviceSession(hello(), lambda: 0)
        device.opened(50.0)
        assert device.next_deadline() == 60.0
        device.tick(59.999)
        assert device.state.value == "greeting"
        device.tick(60.0)
        assert device.state.value == "ended"

    def test_a_device_that_does_not_authenticate_is_closed_after_10_seconds(self) -> None:
        # "within 10 s", as section 4 of the protocol page says: in seconds here, and not by the name of a constant.
        pair = ConnectionPair()
        assert pair.gateway.next_deadline() == pair.now + 10.0
        pair.gateway.tick(pair.now + 9.999)
        assert pair.gateway.state.value == "awaiting_auth"
        pair.gateway.tick(pair.now + 10.0)
        assert pair.gateway.state.value == "closed"
        assert pair.gateway.close is not None
        assert pair.gateway.close[0] == gateway_end.CLOSE_POLICY

    @pytest.mark.parametrize(
        "first",
        ['{"type":"telemetry","points":[]}', '{"type":"heartbeat"}', '{"type":"who knows"}', "garbage", b"\x01video"],
    )
    def test_anything_but_device_auth_first_is_refused(self, first: str | bytes) -> None:
        pair = ConnectionPair()
        pair.gateway.receive(first, pair.now, START_NS)
        pair.pump_gateway()
        assert pair.said_by_gateway[0]["type"] == "error"
        assert pair.gateway.state.value == "closed"
        assert not pair.gateway_events

    def test_what_a_device_sends_while_its_key_is_checked_is_not_lost(self) -> None:
        pair = ConnectionPair(old=V052)
        pair.device.opened(pair.now)
        pair.pump_device()
        pair.deliver_to_gateway()
        pair.gateway.receive(frames.dump_telemetry(batch_of(1).body), pair.now, START_NS)
        assert not pair.asked(TelemetryReceived)
        pair.gateway.accept("drone-01", START_MS)
        pair.exchange()
        assert pair.said_by_gateway[0]["type"] == "authenticated"
        assert pair.shelf.metrics == ["m.a.1"]
        assert pair.asked(TelemetryReceived)[0].decoded.columns.source_id == ["drone-01"]

    def test_a_device_that_floods_while_its_key_is_checked_is_closed(self) -> None:
        pair = ConnectionPair()
        pair.device.opened(pair.now)
        pair.pump_device()
        pair.deliver_to_gateway()
        pair.gateway.receive("x" * gateway_end.MAX_HELD_BYTES, pair.now, START_NS)
        assert pair.gateway.state.value == "checking"
        pair.gateway.receive("x", pair.now, START_NS)
        assert pair.gateway.state.value == "closed"

    def test_an_answer_to_the_greeting_that_comes_after_the_goodbye_changes_nothing(self) -> None:
        pair = ConnectionPair()
        pair.device.opened(pair.now)
        pair.pump_device()
        pair.deliver_to_gateway()
        pair.gateway.say_goodbye()
        pair.gateway.accept("drone-01", START_MS)
        pair.gateway.refuse("invalid_key", "too late")
        assert pair.gateway.state.value == "closed"
        assert pair.gateway.take_messages() == []

    def test_accept_before_anybody_asked_is_a_mistake_of_the_caller(self) -> None:
        with pytest.raises(ProtocolError, match="awaiting_auth to ready"):
            ConnectionPair().gateway.accept("drone-01", START_MS)

    def test_a_session_is_opened_once(self) -> None:
        device = DeviceSession(hello(), lambda: 0)
        device.opened(0.0)
        with pytest.raises(ProtocolError, match="greeting to greeting"):
            device.opened(1.0)

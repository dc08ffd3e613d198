"""Everything else that a device and a gateway say to each other: windows, time, commands, goodbyes, and noise."""

from __future__ import annotations

import pytest

from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.errors import ProtocolError
from plexus.protocol import frames
from plexus.protocol import gateway as gateway_end
from plexus.protocol.device import (
    ACK_TIMEOUT_S,
    HEARTBEAT_S,
    WINDOW_BYTES,
    WINDOW_FRAMES,
    WINDOW_POINTS,
    DeviceSession,
)
from plexus.protocol.gatewayevents import BinaryReceived, CommandAnswered, HeartbeatReceived, Settlement
from plexus.protocol.messages import (
    CommandArrived,
    Delivered,
    Ended,
    Notice,
)
from tests.support.pair import (
    START_NS,
    V0160,
    ConnectionPair,
    batch_of,
    hello,
    opened,
    with_body,
)


class TestWindow:
    def test_it_is_32_frames(self) -> None:
        pair = opened(auto_settle=False)
        pair.send(*(batch_of(n) for n in range(1, WINDOW_FRAMES + 1)))
        assert not pair.device.has_room(1)
        pair.settle(1)
        pair.exchange()
        assert pair.device.has_room(1)

    def test_it_is_4_mib_where_batches_have_names_however_many_points_that_is(self) -> None:
        pair = opened(auto_settle=False)
        pair.send(batch_of(1, points=WINDOW_POINTS + 1))
        assert pair.device.has_room(WINDOW_POINTS)
        pair.send(with_body(2, b"[" + b" " * (WINDOW_BYTES - 2) + b"]", 1))
        assert not pair.device.has_room(1)
        pair.settle(1)
        pair.settle(2)
        pair.exchange()
        assert pair.device.has_room(1)

    def test_it_is_10_000_points_where_they_have_none(self) -> None:
        pair = opened(V0160, auto_settle=False)
        pair.send(batch_of(1, points=WINDOW_POINTS - 10))
        assert pair.device.has_room(10)
        assert not pair.device.has_room(11)

    def test_one_batch_fits_it_whatever_its_size(self) -> None:
        assert opened().device.has_room(WINDOW_POINTS * 5)

    def test_there_is_none_before_the_greeting_and_none_after_the_end(self) -> None:
        pair = ConnectionPair()
        assert not pair.device.has_room(1)
        pair.open()
        assert pair.device.has_room(1)
        pair.device.ended("gone")
        assert not pair.device.has_room(1)


class TestTime:
    def test_a_heartbeat_goes_every_30_seconds(self) -> None:
        pair = opened()
        pair.advance(HEARTBEAT_S - 1)
        assert not pair.asked(HeartbeatReceived)
        pair.advance(1)
        pair.advance(HEARTBEAT_S)
        assert len(pair.asked(HeartbeatReceived)) == 2

    def test_a_heartbeat_says_what_the_device_knows_of_its_clock_where_that_is_agreed(self) -> None:
        known = frames.ClockState(-12.5, 0.25)
        pair = ConnectionPair(device=DeviceSession(hello(clock=lambda: known), lambda: 0))
        pair.open()
        pair.advance(HEARTBEAT_S)
        assert [event.clock for event in pair.asked(HeartbeatReceived)] == [known]
        plain = ConnectionPair(device=DeviceSession(hello(clock=lambda: known, offers={}), lambda: 0))
        plain.open()
        plain.advance(HEARTBEAT_S)
        assert [event.clock for event in plain.asked(HeartbeatReceived)] == [None]

    def test_the_next_deadline_is_the_heartbeat_or_the_overdue_answer(self) -> None:
        pair = opened(auto_settle=False)
        assert pair.device.next_deadline() == pair.now + HEARTBEAT_S
        pair.advance(10)
        pair.send(batch_of(1))
        assert pair.device.next_deadline() == pair.now + HEARTBEAT_S - 10
        pair.advance(20)
        assert pair.device.next_deadline() == pair.now + ACK_TIMEOUT_S - 20

    def test_a_connection_without_an_answer_for_30_seconds_is_dead(self) -> None:
        pair = opened(auto_settle=False)
        pair.send(batch_of(1))
        pair.advance(ACK_TIMEOUT_S - 0.001)
        assert not pair.heard(Ended)
        pair.advance(0.001)
        assert [batch.n for batch in pair.heard(Ended)[0].batches] == [1]
        assert pair.device.state.value == "ended"
        assert pair.device.next_deadline() is None

    def test_an_idle_connection_is_not_dead(self) -> None:
        pair = opened()
        pair.advance(ACK_TIMEOUT_S * 10)
        assert pair.device.state.value == "ready"


class TestCommands:
    def test_a_command_arrives_and_its_outcome_returns(self) -> None:
        pair = opened()
        assert pair.call("reboot", {"delay_s": 3})
        assert pair.heard(CommandArrived) == [CommandArrived(CommandCall("call-1", "reboot", {"delay_s": 3}))]
        said = [
            CommandOutcome("call-1", "reboot", "ack"),
            CommandOutcome("call-1", "reboot", "result", {"ok": True}),
            CommandOutcome("call-1", "reboot", "error", None, "unknown command: reboot"),
        ]
        for outcome in said:
            pair.device.answer(outcome)
        pair.exchange()
        assert [answered.outcome for answered in pair.asked(CommandAnswered)] == said

    def test_no_command_goes_out_before_authenticated(self) -> None:
        pair = ConnectionPair()
        assert not pair.gateway.call(CommandCall("c", "reboot"))
        assert pair.gateway.take_messages() == []

    def test_an_outcome_after_the_end_is_passed_over(self) -> None:
        pair = opened()
        pair.device.ended("gone")
        pair.device.answer(CommandOutcome("call-1", "reboot", "ack"))
        assert pair.device.take_messages() == []

    def test_a_result_that_json_cannot_say_is_a_protocol_error_and_nothing_is_sent(self) -> None:
        pair = opened()
        with pytest.raises(ProtocolError, match="cannot be said in JSON"):
            pair.device.answer(CommandOutcome("call-1", "reboot", "result", {1, 2}))
        assert pair.device.take_messages() == []


class TestGoodbye:
    def test_the_gateway_answers_what_is_stored_and_then_closes_with_1001(self) -> None:
        pair = opened(auto_settle=False)
        pair.send(batch_of(1))
        assert pair.gateway.unsettled == 1
        pair.settle(1)
        assert pair.gateway.unsettled == 0
        pair.gateway.say_goodbye()
        pair.exchange()
        assert pair.gateway.close == (gateway_end.CLOSE_GOING_AWAY, "gateway is shutting down")
        assert len(pair.heard(Delivered)) == 1

    def test_what_is_not_answered_goes_back_to_the_caller(self) -> None:
        pair = opened(auto_settle=False)
        pair.send(batch_of(1))
        pair.gateway.say_goodbye()
        pair.device.ended("closed with 1001", goodbye=True)
        pair.pump_device()
        (ended,) = pair.heard(Ended)
        assert ended.goodbye
        assert [batch.n for batch in ended.batches] == [1]

    def test_what_settles_after_the_goodbye_is_not_said(self) -> None:
        pair = opened(auto_settle=False)
        pair.send(batch_of(1))
        pair.gateway.say_goodbye()
        pair.gateway.settle(1, Settlement("store", 1), pair.now)
        assert pair.gateway.take_messages() == []

    def test_nothing_is_heard_after_the_end(self) -> None:
        pair = opened()
        pair.device.ended("gone")
        pair.pump_device()
        heard = len(pair.device_events)
        pair.device.receive('{"type":"typed_command","id":"1","command":"x"}', pair.now)
        pair.device.ended("gone again")
        pair.pump_device()
        assert len(pair.device_events) == heard
        pair.gateway.say_goodbye()
        pair.gateway.receive('{"type":"heartbeat"}', pair.now, START_NS)
        assert pair.gateway.take_events() == []

    def test_a_close_reason_fits_a_close_frame(self) -> None:
        pair = ConnectionPair()
        pair.gateway.refuse("invalid_key", "ä" * 500)
        assert pair.gateway.close is not None
        assert len(pair.gateway.close[1].encode()) <= 123


class TestPassingOver:
    @pytest.mark.parametrize("message", ['{"type":"newer_than_us","x":1}', '{"type":"from_the_future","run_id":"1"}'])
    def test_unknown_frames_change_nothing_on_either_side(self, message: str) -> None:
        pair = opened()
        before = len(pair.gateway_events), len(pair.device_events), len(pair.said_by_gateway)
        pair.gateway.receive(message, pair.now, START_NS)
        pair.device.receive(message, pair.now)
        pair.exchange()
        assert (len(pair.gateway_events), len(pair.device_events), len(pair.said_by_gateway)) == before

    def test_garbage_from_a_gateway_is_noted_and_the_link_stays(self) -> None:
        pair = opened()
        pair.device.receive("<html>", pair.now)
        pair.device.receive(b"\x00binary", pair.now)
        pair.pump_device()
        assert [notice.code for notice in pair.heard(Notice)] == ["unreadable_frame"]
        assert pair.device.state.value == "ready"

    def test_a_binary_frame_is_video(self) -> None:
        pair = opened()
        pair.gateway.receive(b"\x01...", pair.now, START_NS)
        pair.pump_gateway()
        assert pair.asked(BinaryReceived) == [BinaryReceived(b"\x01...")]

    def test_a_known_frame_with_a_bad_field_is_answered_with_an_error(self) -> None:
        pair = opened()
        pair.gateway.receive('{"type":"command_result","id":7,"event":"ack"}', pair.now, START_NS)
        pair.exchange()
        assert pair.answers("error")[0]["detail"] == "id must be a string"
        assert pair.gateway.state.value == "ready"

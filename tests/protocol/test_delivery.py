"""Points travel between a device and a gateway, wired in memory, in the three dialects that there are."""

from __future__ import annotations

from plexus.protocol import frames
from plexus.protocol import gateway as gateway_end
from plexus.protocol.gatewayevents import FrameRefused, Settlement
from plexus.protocol.messages import (
    ClockSampled,
    Delivered,
    Ended,
    Forked,
    Notice,
    Ready,
    Refused,
    Rewound,
)
from tests.support.pair import (
    START_NS,
    STREAM,
    V0160,
    V052,
    Shelf,
    batch_of,
    opened,
    other_content,
    with_body,
)

OTHER = "b" * 32


class TestBatchNames:
    def test_what_is_stored_is_acknowledged_by_name(self) -> None:
        pair = opened()
        pair.send(batch_of(1), batch_of(2))
        assert pair.answers("batch_ack") == [
            {"type": "batch_ack", "stream": STREAM, "upto": 1},
            {"type": "batch_ack", "stream": STREAM, "upto": 2},
        ]
        assert [batch.n for done in pair.heard(Delivered) for batch in done.batches] == [1, 2]
        assert pair.shelf.metrics == ["m.a.1", "m.a.2"]

    def test_no_seq_is_sent_and_no_telemetry_ack_comes(self) -> None:
        pair = opened()
        pair.send(batch_of(1))
        assert "seq" not in pair.said_by_device[-1]
        assert not pair.answers("telemetry_ack")

    def test_a_repeat_is_acknowledged_and_not_stored(self) -> None:
        shelf = Shelf()
        opened(shelf=shelf).send(batch_of(1))
        pair = opened(shelf=shelf)
        pair.send(batch_of(1))
        assert shelf.metrics == ["m.a.1"]
        assert [done.batches[0].n for done in pair.heard(Delivered)] == [1]

    def test_the_acknowledgement_of_a_repeat_covers_nothing_above_it(self) -> None:
        """A cloned device has sent other content under the higher names: it must not be taken for stored."""
        shelf = Shelf()
        opened(shelf=shelf).send(*(batch_of(n) for n in range(1, 6)))
        clone = opened(shelf=shelf)
        other = other_content(2)
        clone.send(batch_of(1), other)
        assert [batch.n for done in clone.heard(Delivered) for batch in done.batches] == [1]
        assert clone.heard(Forked) == [Forked(STREAM, (other,))]

    def test_a_gap_is_refused_with_what_is_expected_and_everything_is_sent_again(self) -> None:
        pair = opened()
        second, third = batch_of(2), batch_of(3)
        pair.send(second, third)
        assert {frame["expected"] for frame in pair.answers("batch_nack")} == {1}
        (rewound,) = pair.heard(Rewound)
        assert rewound.batches == (second, third)
        pair.send(batch_of(1), second, third)
        assert pair.shelf.metrics == ["m.a.1", "m.a.2", "m.a.3"]
        assert pair.device.in_flight() == 0

    def test_one_gap_rewinds_once_however_many_frames_were_behind_it(self) -> None:
        pair = opened()
        for n in range(2, 12):
            pair.device.submit(batch_of(n), 1, batch_of(n).body, pair.now)
        pair.pump_device()
        while pair.deliver_to_gateway():
            for ticket in list(pair.unsettled):
                pair.settle(ticket)
        pair.deliver_to_device()
        assert len(pair.heard(Rewound)) == 1
        pair.send(*(batch_of(n) for n in range(1, 12)))
        assert len(pair.heard(Rewound)) == 1
        assert pair.shelf.metrics == [f"m.a.{n}" for n in range(1, 12)]

    def test_a_gap_behind_a_batch_that_is_refused_rewinds_again(self) -> None:
        pair = opened(auto_settle=False)
        first, second = batch_of(1), batch_of(2)
        pair.send(second)
        pair.settle(1)
        pair.exchange()
        pair.send(first, second)
        pair.settle(2, Settlement("store", refused="MALFORMED", detail="no"))
        pair.settle(3)
        pair.exchange()
        assert [event for event in pair.device_events if not isinstance(event, (Ready, ClockSampled))] == [
            Rewound((second,), f"the gateway expects batch 1 of stream {STREAM[:8]}"),
            Refused((first,), "MALFORMED", "no"),
            Rewound((second,), f"the gateway expects batch 1 of stream {STREAM[:8]}"),
        ]

    def test_a_second_gap_rewinds_again(self) -> None:
        pair = opened()
        pair.send(batch_of(2))
        pair.send(batch_of(1))
        pair.send(batch_of(3))
        assert [rewound.batches[0].n for rewound in pair.heard(Rewound)] == [2, 3]

    def test_given_up_batches_are_passed_by_the_base(self) -> None:
        pair = opened()
        pair.send(batch_of(7), base=7)
        assert pair.shelf.metrics == ["m.a.7"]
        assert not pair.heard(Rewound)

    def test_two_streams_do_not_wait_for_each_other(self) -> None:
        pair = opened(auto_settle=False)
        pair.send(batch_of(2), batch_of(1, OTHER))
        for ticket in list(pair.unsettled):
            pair.settle(ticket)
        pair.exchange()
        assert [rewound.batches[0].stream for rewound in pair.heard(Rewound)] == [STREAM]
        assert [done.batches[0].stream for done in pair.heard(Delivered)] == [OTHER]

    def test_other_content_under_a_known_name_is_a_fork(self) -> None:
        shelf = Shelf()
        opened(shelf=shelf).send(batch_of(1))
        pair = opened(shelf=shelf)
        other, second = other_content(1), batch_of(2)
        pair.device.submit(other, 1, other.body, pair.now)
        pair.device.submit(second, 1, second.body, pair.now)
        pair.pump_device()
        pair.deliver_to_gateway()
        pair.settle(1)
        pair.deliver_to_device()
        assert pair.heard(Forked) == [Forked(STREAM, (other, second))]
        assert shelf.metrics == ["m.a.1"]

    def test_points_that_could_not_be_stored_are_counted_with_the_acknowledgement(self) -> None:
        pair = opened()
        bad = with_body(1, b'[{"metric":"ok","value":1},{"metric":"bad","value":null}]', 2)
        pair.send(bad)
        (done,) = pair.heard(Delivered)
        assert (done.dropped, done.reason) == (1, "value must not be null")
        assert pair.shelf.metrics == ["ok"]

    def test_a_batch_that_breaks_the_contract_is_refused_by_its_name(self) -> None:
        pair = opened()
        broken = with_body(1, b'{"no":"array"}', 1)
        pair.send(broken, batch_of(2))
        (error,) = pair.answers("error")
        assert error["code"] == "MALFORMED"
        assert error["batch"] == {"stream": STREAM, "n": 1}
        assert pair.heard(Refused) == [Refused((broken,), "MALFORMED", "points must be an array")]
        pair.send(batch_of(2), base=2)
        assert pair.shelf.metrics == ["m.a.2"]

    def test_a_refused_batch_is_answered_in_its_turn(self) -> None:
        pair = opened(auto_settle=False)
        pair.send(batch_of(1), with_body(2, b"7", 1))
        assert not pair.answers("error")
        pair.settle(1)
        kinds = [frame["type"] for frame in pair.said_by_gateway[1:]]
        assert [kind for kind in kinds if kind != "clock_pong"] == ["batch_ack", "error"]

    def test_a_store_that_fails_releases_nothing_and_closes_for_later(self) -> None:
        pair = opened(auto_settle=False)
        pair.send(batch_of(1), batch_of(2))
        pair.settle(1, Settlement("store", refused=frames.UNAVAILABLE, detail="the disk is full"))
        pair.settle(2)
        pair.exchange()
        assert not pair.heard(Delivered)
        assert not pair.heard(Refused)
        assert pair.gateway.close == (gateway_end.CLOSE_TRY_LATER, "the disk is full")
        pair.device.ended("closed with 1013", goodbye=True)
        pair.pump_device()
        assert [batch.n for batch in pair.heard(Ended)[0].batches] == [1, 2]

    def test_a_batch_name_that_was_not_agreed_is_passed_over(self) -> None:
        pair = opened(V0160)
        pair.gateway.receive(
            frames.dump_telemetry(batch_of(9).body, seq=1, batch=batch_of(9).name(1)), pair.now, START_NS
        )
        pair.exchange()
        assert pair.answers("telemetry_ack") == [{"type": "telemetry_ack", "seq": 1}]
        assert not pair.answers("batch_nack")


class TestAcknowledgements0160:
    def test_frames_are_numbered_from_1_and_acknowledged(self) -> None:
        pair = opened(V0160)
        pair.send(batch_of(1), batch_of(2))
        assert [frame["seq"] for frame in pair.said_by_device[1:]] == [1, 2]
        assert [frame["seq"] for frame in pair.answers("telemetry_ack")] == [1, 2]
        assert [batch.n for done in pair.heard(Delivered) for batch in done.batches] == [1, 2]

    def test_no_batch_name_is_sent(self) -> None:
        pair = opened(V0160)
        pair.send(batch_of(1))
        assert "batch" not in pair.said_by_device[-1]

    def test_nothing_is_acknowledged_before_it_is_stored(self) -> None:
        pair = opened(V0160, auto_settle=False)
        pair.send(batch_of(1))
        pair.advance(5.0)
        assert not pair.answers("telemetry_ack")
        assert pair.device.in_flight() == 1
        pair.settle(1)
        pair.exchange()
        assert pair.device.in_flight() == 0

    def test_a_higher_frame_that_is_stored_first_is_answered_after_the_lower(self) -> None:
        pair = opened(V0160, auto_settle=False)
        pair.send(batch_of(1), batch_of(2))
        pair.settle(2)
        pair.advance(5.0)
        assert not pair.answers("telemetry_ack")
        pair.settle(1)
        assert [frame["seq"] for frame in pair.answers("telemetry_ack")] == [1, 2]

    def test_a_rate_limited_frame_is_released_with_all_below_it(self) -> None:
        pair = opened(V0160, auto_settle=False)
        first, second = batch_of(1), batch_of(2)
        pair.send(first, second)
        pair.settle(2, Settlement("store", refused="RATE_LIMITED", detail="slow down"))
        assert not pair.answers("error")
        pair.settle(1)
        pair.exchange()
        assert pair.heard(Delivered) == [Delivered((first,))]
        assert pair.heard(Refused) == [Refused((second,), "RATE_LIMITED", "slow down")]

    def test_an_error_alone_releases_what_is_below_as_stored(self) -> None:
        """0.16.0's gateway may let one error stand for the acks below it."""
        pair = opened(V0160, auto_settle=False)
        first, second = batch_of(1), batch_of(2)
        pair.send(first, second)
        pair.device.receive('{"type":"error","code":"RATE_LIMITED","detail":"","seq":2}', pair.now)
        pair.pump_device()
        assert pair.heard(Delivered) == [Delivered((first,))]
        assert pair.heard(Refused)[0].batches == (second,)

    def test_redis_unavailable_releases_nothing_even_with_a_seq(self) -> None:
        pair = opened(V0160, auto_settle=False)
        pair.send(batch_of(1))
        pair.device.receive('{"type":"error","code":"REDIS_UNAVAILABLE","seq":1}', pair.now)
        pair.pump_device()
        assert pair.device.in_flight() == 1
        assert pair.heard(Notice) == [Notice("REDIS_UNAVAILABLE", "")]

    def test_a_malformed_frame_is_refused_with_its_seq_after_the_lower_ones_are_stored(self) -> None:
        pair = opened(V0160, auto_settle=False)
        broken = with_body(2, b'"no array"', 1)
        pair.send(batch_of(1), broken)
        assert not pair.answers("error")
        pair.settle(1)
        pair.exchange()
        (error,) = pair.answers("error")
        assert (error["code"], error["seq"]) == ("MALFORMED", 2)
        assert pair.heard(Refused)[0].batches == (broken,)
        assert pair.device.in_flight() == 0
        assert pair.asked(FrameRefused) == [FrameRefused("points must be an array")]

    def test_a_frame_with_a_nan_is_refused_with_its_seq(self) -> None:
        """Python's json writes NaN, which is no JSON; the frame's number can be read all the same."""
        pair = opened(V0160)
        pair.send(with_body(1, b'[{"metric":"m","value":NaN}]', 1), batch_of(2))
        (error,) = pair.answers("error")
        assert error["seq"] == 1
        assert [batch.n for done in pair.heard(Delivered) for batch in done.batches] == [2]

    def test_a_frame_of_bad_points_only_is_refused_with_its_seq(self) -> None:
        pair = opened(V0160)
        pair.send(with_body(1, b'[{"metric":"m"},{"metric":""}]', 2))
        (error,) = pair.answers("error")
        assert error == {
            "type": "error",
            "code": "MALFORMED",
            "detail": "points[0]: value is required (and 1 more)",
            "seq": 1,
        }
        assert pair.shelf.metrics == []

    def test_the_good_points_of_a_frame_are_stored_and_the_bad_ones_named(self) -> None:
        pair = opened(V0160)
        pair.send(with_body(1, b'[{"metric":"good","value":1},{"metric":"bad","value":1,"timestamp":"now"}]', 2))
        assert pair.shelf.metrics == ["good"]
        (error,) = pair.answers("error")
        assert error["detail"] == "points[1]: timestamp must be a number"
        assert "seq" not in error
        assert len(pair.heard(Delivered)) == 1
        assert pair.heard(Notice)[0].code == "MALFORMED"

    def test_a_frame_that_cannot_be_read_at_all_is_answered_and_the_socket_stays(self) -> None:
        pair = opened(V0160)
        pair.gateway.receive("{ not json", pair.now, START_NS)
        pair.send(batch_of(1))
        assert "seq" not in pair.answers("error")[0]
        assert pair.gateway.state.value == "ready"
        assert len(pair.heard(Delivered)) == 1

    def test_a_number_that_never_comes_holds_the_answer_for_a_quarter_of_a_second(self) -> None:
        pair = opened(V0160)
        pair.gateway.receive(frames.dump_telemetry(batch_of(2).body, seq=2), pair.now, START_NS)
        pair.exchange()
        assert not pair.answers("telemetry_ack")
        deadline = pair.gateway.next_deadline()
        assert deadline == pair.now + 0.25
        pair.advance(0.25)
        assert pair.answers("telemetry_ack") == [{"type": "telemetry_ack", "seq": 2}]
        assert pair.gateway.next_deadline() is None

    def test_numbering_starts_again_with_each_connection(self) -> None:
        opened(V0160).send(batch_of(1))
        pair = opened(V0160)
        pair.send(batch_of(2))
        assert pair.said_by_device[-1]["seq"] == 1


class TestWithoutAcknowledgements052:
    def test_what_is_written_counts_as_delivered(self) -> None:
        pair = opened(V052)
        batch = batch_of(1)
        pair.send(batch)
        assert pair.heard(Delivered) == [Delivered((batch,))]
        assert not pair.heard(Ready)[0].confirms
        assert pair.device.in_flight() == 0

    def test_what_is_not_written_comes_back(self) -> None:
        pair = opened(V052)
        batch = batch_of(1)
        pair.device.submit(batch, 1, batch.body, pair.now)
        pair.device.ended("broken pipe")
        pair.device_events += pair.device.take_events()
        assert pair.heard(Ended)[0].batches == (batch,)
        assert pair.device.take_messages() == []

    def test_the_frame_has_points_and_nothing_else(self) -> None:
        pair = opened(V052)
        pair.send(batch_of(1))
        assert set(pair.said_by_device[-1]) == {"type", "points"}

    def test_the_gateway_says_nothing_of_what_it_stored(self) -> None:
        pair = opened(V052)
        pair.send(batch_of(1))
        assert [frame["type"] for frame in pair.said_by_gateway] == ["authenticated"]

    def test_a_rate_limit_is_told_without_a_number(self) -> None:
        pair = opened(V052, auto_settle=False)
        pair.send(batch_of(1))
        pair.settle(1, Settlement("store", refused="RATE_LIMITED", detail="slow down"))
        pair.exchange()
        assert pair.heard(Notice) == [Notice("RATE_LIMITED", "slow down")]

    def test_a_client_that_offers_no_acks_gets_none_whatever_it_numbers(self) -> None:
        pair = opened(V052)
        pair.gateway.receive(frames.dump_telemetry(batch_of(1).body, seq=1), pair.now, START_NS)
        pair.exchange()
        assert not pair.answers("telemetry_ack")

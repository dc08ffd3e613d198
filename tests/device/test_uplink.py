"""The uplink against a gateway in memory: what is taken arrives once, whatever the links do in between."""

from __future__ import annotations

import json
from collections.abc import Iterable

import attrs
import pytest

from plexus.device import dispatch
from plexus.device.retrying import RetryConfig
from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.errors import AuthenticationError
from plexus.domain.video import VideoFrame
from plexus.protocol import device
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.ledger import Draft, StreamState
from plexus.protocol.video import unpack
from tests.support.peer import Died, Gateway, ListBuffer, Rig


def connected(rig: Rig) -> Rig:
    rig.run(0.2)
    assert rig.uplink.stats().link
    return rig


# --- delivery -----------------------------------------------------------------------------------------------


def test_a_reading_on_an_idle_link_goes_at_the_next_look() -> None:
    rig = connected(Rig())
    rig.send(1)
    rig.step()
    assert rig.gateway.values() == [1]


def test_an_acknowledged_reading_is_forgotten_and_never_touches_the_buffer() -> None:
    rig = connected(Rig())
    rig.send(1, 2, 3)
    rig.run(1.0)
    stats = rig.uplink.stats()
    assert (stats.accepted, stats.delivered, stats.buffered, stats.in_flight) == (3, 3, 0, 0)
    assert rig.buffer.appends == 0


def test_readings_gather_while_a_batch_is_under_way() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.step()
    for value in range(2, 6):
        rig.send(value)
        rig.step()
    assert len(rig.gateway._unsettled) == 1
    rig.clock.advance(0.05)
    rig.step()
    rig.gateway.answers = True
    rig.step()
    assert [name.n for name in rig.gateway.batches] == [1, 2]
    assert rig.gateway.values() == [1, 2, 3, 4, 5]


def test_what_was_sent_before_the_first_link_is_delivered_in_order() -> None:
    rig = Rig()
    rig.send(*range(50))
    rig.run(1.0)
    assert rig.gateway.values() == list(range(50))


def test_thousands_at_once_are_sealed_into_batches_of_bounded_size() -> None:
    rig = connected(Rig())
    rig.send(*range(20_000))
    rig.run(1.0)
    assert rig.gateway.values() == list(range(20_000))
    assert len(rig.gateway.batches) >= 20


def test_stamps_that_the_sdk_makes_follow_the_gateways_clock() -> None:
    rig = Rig()
    rig.gateway.clock_ahead_ms = 5_000.0
    connected(rig)
    rig.send(1)
    taken_at = rig.clock.raw_wall_ms()
    rig.step()
    assert rig.gateway.stored[0].timestamp_ms == pytest.approx(taken_at + 5_000.0, abs=0.01)
    assert rig.uplink.stats().clock_offset_ms == pytest.approx(5_000.0)


def test_a_stamp_of_the_caller_is_not_touched() -> None:
    rig = Rig()
    rig.gateway.clock_ahead_ms = 5_000.0
    connected(rig)
    rig.intake.readings.append(("m", 1, 1_746_000_000_000.25, {"k": "v"}, "event", "run-1", rig.clock.tick()))
    rig.step()
    point = rig.gateway.stored[0]
    assert (point.timestamp_ms, point.tags, point.event, point.run_id) == (
        1_746_000_000_000.25,
        {"k": "v"},
        True,
        "run-1",
    )


def test_the_assigned_name_is_adopted_and_told() -> None:
    rig = Rig()
    rig.gateway.assigned = "drone-01_2"
    connected(rig)
    assert rig.uplink.source_id == "drone-01_2"
    assert rig.names == ["drone-01_2"]
    rig.gateway.break_links()
    rig.run(3.0)
    assert rig.gateway.auths[-1].source_id == "drone-01_2"


# --- links that fail ----------------------------------------------------------------------------------------


def test_a_batch_that_is_not_acknowledged_for_250_ms_is_in_the_buffer() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.run(0.24)
    assert rig.buffer.points == 0
    rig.run(0.03)
    assert rig.buffer.points == 1


def test_a_late_acknowledgement_takes_it_out_of_the_buffer_again() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.run(0.5)
    rig.gateway.answers = True
    rig.run(0.1)
    assert (rig.buffer.points, rig.gateway.values(), rig.uplink.waiting()) == (0, [1], 0)


def test_without_a_link_readings_are_in_the_buffer_within_250_ms() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.send(1)
    rig.run(0.26)
    assert rig.buffer.points == 1


def test_a_lost_link_sends_again_what_was_not_acknowledged_and_it_is_stored_once() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.step()
    rig.send(2)
    rig.run(0.1)
    # Stored, but the acknowledgements never arrive.
    rig.gateway.answers = rig.gateway.mute = True
    rig.gateway.pump(rig.clock)
    rig.gateway.break_links()
    rig.gateway.mute = False
    rig.run(5.0)
    assert rig.gateway.values() == [1, 2]
    assert rig.gateway.duplicates >= 1
    assert rig.uplink.stats().retried == 2
    assert rig.buffer.points == 0


def test_after_an_outage_fresh_data_goes_at_once_beside_the_backlog_which_keeps_its_order() -> None:
    rig = connected(Rig())
    rig.gateway.break_links()
    rig.gateway.refuse_all()
    for value in range(3_000):
        rig.send(value)
        if value % 100 == 0:
            rig.run(0.3)
    rig.gateway.refuse_all(None)
    rig.gateway.answers = False
    while not rig.gateway._unsettled:
        rig.run(0.05)
    rig.send("fresh")
    rig.run(0.06)
    sent = [event.decoded.columns.value for _, event in rig.gateway._unsettled]
    assert "fresh" in sent[-1]
    rig.gateway.answers = True
    rig.run(5.0)
    assert [value for value in rig.gateway.values() if value != "fresh"] == list(range(3_000))
    assert rig.buffer.points == 0


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that a few batches fill, so that fresh data meets a backlog that still waits."""
    monkeypatch.setattr(device, "WINDOW_FRAMES", 3)
    monkeypatch.setattr(dispatch, "BACKLOG_FRAMES", 2)


@pytest.mark.usefixtures("narrow")
def test_fresh_data_that_overtakes_a_backlog_after_an_outage_never_shares_its_stream() -> None:
    rig = connected(Rig())
    rig.gateway.break_links()
    rig.gateway.refuse_all()
    for value in range(300):
        if value == 200:
            rig.gateway.refuse_all(None)
        rig.send(value)
        rig.run(0.02)
    rig.run(5.0)
    assert rig.gateway.strays == []
    assert sorted(rig.gateway.values(), key=int) == list(range(300))  # type: ignore[arg-type]


@pytest.mark.usefixtures("narrow")
def test_fresh_data_that_overtakes_what_a_slow_link_left_waiting_never_shares_its_stream() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    for value in range(200):
        if value == 120:
            rig.gateway.answers = True
        rig.send(value)
        rig.run(0.02)
    rig.run(5.0)
    assert rig.gateway.strays == []
    assert sorted(rig.gateway.values(), key=int) == list(range(200))  # type: ignore[arg-type]


@pytest.mark.usefixtures("narrow")
def test_fresh_data_that_overtakes_what_a_goodbye_interrupted_never_shares_its_stream() -> None:
    rig = connected(Rig(dice=lambda: 0.0))
    rig.gateway.answers = False
    for value in range(60):
        if value == 9:
            rig.gateway.goodbye()
            rig.gateway._unsettled.clear()
        if value == 40:
            rig.gateway.answers = True
        rig.send(value)
        rig.run(0.02)
    rig.run(5.0)
    assert rig.gateway.strays == []
    assert sorted(rig.gateway.values(), key=int) == list(range(60))  # type: ignore[arg-type]


def test_every_batch_names_the_lowest_of_its_stream_that_is_not_acknowledged() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    for value in range(8):
        rig.send(value)
        rig.run(0.06)
    rig.gateway.answers = True
    rig.run(0.1)
    rig.send(8)
    rig.run(0.1)
    assert [(name.n, name.base) for name in rig.gateway.batches] == [*((n, 1) for n in range(1, 9)), (9, 9)]


def test_a_gap_rewinds_the_stream_and_nothing_is_stored_twice() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    for value in range(4):
        rig.send(value)
        rig.run(0.06)
    rig.gateway.answers, rig.gateway.gaps = True, 2
    rig.run(5.0)
    assert rig.gateway.values() == [0, 1, 2, 3]
    assert rig.uplink.stats().retried == 4


def test_a_fork_goes_on_under_new_names_with_nothing_lost() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send("mine")
    rig.step()
    name = rig.gateway._unsettled[0][1].batch
    assert name is not None
    # A copy of this device used the name for something else.
    other = Draft(StreamState("drone-01"))
    other.judge(attrs.evolve(name, digest="beef"))
    rig.gateway.streams[name.stream] = other.settle()
    rig.gateway.answers = True
    rig.run(1.0)
    assert rig.gateway.values() == ["mine"]
    assert rig.gateway.batches[-1].stream != name.stream
    assert rig.buffer.points == 0


def test_a_fork_that_is_interrupted_by_a_crash_still_stores_once() -> None:
    spool = ListBuffer()
    body = b'[{"class":"metric","metric":"m","value":"mine","timestamp":1746969660000}]'
    batch = Batch("f" * 32, 1, 1, body, digest_of(body))
    gateway = Gateway()
    other = Draft(StreamState("drone-01"))
    other.judge(attrs.evolve(batch.name(1), digest="beef"))
    gateway.streams[batch.stream] = other.settle()
    spool.append([batch])
    rig = Rig(gateway, spool)
    release = spool.release

    def die(batches: Iterable[Batch]) -> None:
        raise Died

    # The new name is durable, the old one is not forgotten yet.
    spool.release = die  # type: ignore[method-assign]
    with pytest.raises(Died):
        rig.run(1.0)
    rig.crash()
    spool.release = release  # type: ignore[method-assign]
    assert len(spool.kept) == 2
    rig = Rig(gateway, spool)
    rig.run(5.0)
    assert gateway.values() == ["mine"]
    assert spool.points == 0


def test_a_spool_of_a_dead_process_is_sent_under_its_own_names() -> None:
    gateway, spool = Gateway(), ListBuffer()
    first = connected(Rig(gateway, spool))
    gateway.answers = False
    first.send(1)
    first.run(0.3)
    names = set(spool.kept)
    # Stored just before the crash, not acknowledged: the next process must not store it again.
    gateway.answers = True
    gateway.pump(first.clock)
    first.crash()
    second = Rig(gateway, spool)
    second.send(2)
    second.run(5.0)
    assert gateway.values() == [1, 2]
    assert gateway.duplicates == 1
    assert {(name.stream, name.n) for name in gateway.batches if (name.stream, name.n) in names} == names
    assert spool.points == 0


def test_a_goodbye_is_answered_with_a_new_connection_within_half_a_second() -> None:
    rig = connected(Rig())
    rig.gateway.goodbye()
    rig.run(0.09)
    assert rig.gateway.socket.peer.opened == 1
    rig.run(0.45)
    assert rig.gateway.socket.peer.opened == 2
    assert rig.uplink.stats().link == "ws"


def test_a_try_later_before_the_greeting_is_answered_with_backoff() -> None:
    rig = Rig()
    rig.gateway.refusal = ("REDIS_UNAVAILABLE", "later")
    rig.run(10.0)
    assert rig.gateway.socket.peer.opened <= 5
    rig.send(1)
    rig.gateway.refusal = None
    rig.run(20.0)
    assert rig.gateway.values() == [1]


def test_a_socket_that_is_gone_is_tried_again_with_growing_pauses() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.run(300.0)
    tries = sum("refused" in line for line in rig.status.lines)
    assert tries <= 2
    rig.gateway.refuse_all(None)
    rig.run(80.0)
    assert rig.uplink.stats().link == "ws"


def test_an_acknowledgement_that_never_comes_ends_the_link_and_the_data_goes_over_the_next() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.run(29.0)
    assert rig.gateway.socket.peer.opened == 1
    rig.run(5.0)
    assert rig.gateway.socket.peer.opened == 2
    rig.gateway.answers = True
    rig.run(5.0)
    assert rig.gateway.values() == [1]


# --- plain HTTP ---------------------------------------------------------------------------------------------


def test_without_a_socket_data_goes_over_http_and_back_when_it_returns() -> None:
    rig = Rig()
    rig.gateway.refuse_sockets()
    rig.send(1)
    rig.run(1.0)
    assert (rig.uplink.stats().link, rig.gateway.values()) == ("http", [1])
    rig.gateway.refuse_sockets(None)
    rig.run(5.0)
    rig.send(2)
    rig.run(0.2)
    assert (rig.uplink.stats().link, rig.gateway.values()) == ("ws", [1, 2])
    assert any("over HTTP" in line for line in rig.status.lines)


def test_a_batch_keeps_its_name_from_the_socket_to_http() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.step()
    rig.gateway.answers = rig.gateway.mute = True
    rig.gateway.pump(rig.clock)
    rig.gateway.break_links()
    rig.gateway.mute = False
    rig.gateway.refuse_sockets()
    rig.run(5.0)
    assert rig.uplink.stats().link == "http"
    assert (rig.gateway.values(), rig.gateway.duplicates, rig.uplink.stats().delivered) == ([1], 1, 1)


def test_a_link_that_only_streaming_is_refused_on_stays_on_http_and_raises_nothing() -> None:
    rig = Rig()
    rig.gateway.refusal = ("streaming_requires_plan", "upgrade")
    rig.send(1)
    rig.run(1.0)
    assert (rig.uplink.stats().link, rig.gateway.values()) == ("http", [1])
    assert rig.intake.alarm is None


def test_503_keeps_the_data_and_tries_again_after_the_configured_delays() -> None:
    rig = Rig(transport="http", retry=RetryConfig(base_delay=2.0, jitter=False))
    connected(rig)
    rig.gateway.status = 503
    rig.send(1)
    rig.run(0.3)
    assert (len(rig.gateway.requests), rig.buffer.points) == (2, 1)
    rig.run(1.5)
    assert len(rig.gateway.requests) == 2
    rig.run(0.3)
    assert len(rig.gateway.requests) == 3
    rig.gateway.status = None
    rig.run(5.0)
    assert (rig.gateway.values(), rig.buffer.points) == ([1], 0)


def test_after_max_retries_the_connection_is_made_anew_and_the_data_is_kept() -> None:
    rig = connected(Rig(transport="http", retry=RetryConfig(max_retries=2, base_delay=0.1, jitter=False)))
    rig.gateway.status = 500
    rig.send(1)
    rig.run(1.0)
    assert rig.uplink.stats().link == ""
    rig.gateway.status = None
    rig.run(5.0)
    assert rig.gateway.http.peer.opened >= 2
    assert rig.gateway.values() == [1]


def test_retry_after_is_obeyed() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.status, rig.gateway.retry_after = 429, "20"
    rig.send(1)
    rig.run(1.0)
    asked = len(rig.gateway.requests)
    rig.gateway.status = None
    rig.run(18.0)
    assert len(rig.gateway.requests) == asked
    rig.run(3.0)
    assert rig.gateway.values() == [1]


def test_points_that_http_answers_as_dropped_are_counted_and_not_sent_again() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.rate_limited = True
    rig.send(1, 2)
    rig.run(1.0)
    stats = rig.uplink.stats()
    assert (stats.dropped, stats.delivered, stats.buffered) == ({"rate_limited": 2}, 0, 0)


def test_a_malformed_batch_is_given_up_and_counted_and_the_next_goes_on() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.status = 400
    rig.send(1)
    rig.run(1.0)
    rig.gateway.status = None
    rig.send(2)
    rig.run(1.0)
    assert rig.uplink.stats().dropped == {"malformed": 1}
    assert rig.gateway.values() == [2]


def test_over_slow_http_batches_do_not_come_faster_than_answers() -> None:
    rig = connected(Rig(transport="http"))
    before = len(rig.gateway.requests)
    value = 0
    for _ in range(20):
        rig.gateway.answers = False
        for _ in range(50):
            rig.send(value)
            value += 1
            rig.clock.advance(0.01)
            rig.uplink.step(rig.clock.now)
        rig.gateway.answers = True
        rig.gateway.pump(rig.clock, 1)
        rig.uplink.step(rig.clock.now)
    assert len(rig.gateway.requests) - before <= 21
    assert rig.uplink.waiting() <= 200
    rig.run(3.0)
    assert sorted(rig.gateway.values(), key=int) == list(range(value))  # type: ignore[arg-type]


# --- keys ---------------------------------------------------------------------------------------------------


def test_a_refused_key_is_raised_once_and_the_data_stays() -> None:
    rig = Rig()
    rig.gateway.refusal = ("invalid_api_key", "invalid API key")
    rig.send(1)
    rig.run(1.0)
    assert rig.intake.alarm is not None
    with pytest.raises(AuthenticationError, match="invalid API key"):
        rig.intake.alarm()
    assert rig.intake.alarm is None
    assert rig.buffer.points == 1
    assert sum("rejected" in line for line in rig.status.lines) == 1


def test_a_refused_key_is_not_asked_about_for_a_minute() -> None:
    rig = Rig()
    rig.gateway.refusal = ("invalid_api_key", "invalid API key")
    rig.run(55.0)
    assert rig.gateway.socket.peer.opened == 1
    rig.gateway.refusal = None
    rig.send(1)
    rig.run(10.0)
    assert rig.gateway.values() == [1]


def test_a_key_that_works_again_raises_nothing() -> None:
    rig = Rig()
    rig.gateway.refusal = ("invalid_api_key", "invalid API key")
    rig.run(1.0)
    rig.gateway.refusal = None
    rig.run(70.0)
    assert rig.intake.alarm is None


def test_401_over_http_is_a_refused_key_too() -> None:
    rig = Rig(transport="http", api_key="plx_wrong")
    rig.send(1)
    rig.run(1.0)
    assert rig.intake.alarm is not None
    assert rig.buffer.points == 1


# --- older gateways -----------------------------------------------------------------------------------------


def test_a_gateway_of_052_gets_plain_frames_and_written_counts_as_delivered() -> None:
    rig = connected(Rig(Gateway("0.5.2")))
    rig.send(1, 2)
    rig.run(0.2)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), stats.delivered, stats.in_flight, stats.buffered) == ([1, 2], 2, 0, 0)
    assert rig.gateway.batches == []


def test_a_gateway_of_0160_is_sent_again_what_it_did_not_acknowledge() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.send(1)
    rig.step()
    rig.gateway.answers = False
    rig.send(2)
    rig.step()
    rig.gateway.break_links()
    rig.gateway.answers = True
    rig.run(5.0)
    assert rig.gateway.values() == [1, 2]
    assert rig.uplink.stats().delivered == 2


def test_rate_limited_points_are_counted_and_not_sent_again() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.gateway.rate_limited = True
    rig.send(1, 2, 3)
    rig.run(1.0)
    rig.gateway.rate_limited = False
    rig.send(4)
    rig.run(1.0)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), stats.dropped, stats.delivered) == ([4], {"rate_limited": 3}, 1)


def test_an_older_gateway_gets_text_as_events_and_whole_milliseconds() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.send("RUNNING", True, 1.5)
    rig.intake.readings.append(("m", 2, 1_746_000_000_000.25, None, "metric", None, rig.clock.tick()))
    rig.run(0.5)
    assert [(point.value, point.event) for point in rig.gateway.stored] == [
        ("RUNNING", True),
        (True, True),
        (1.5, False),
        (2, False),
    ]
    assert rig.gateway.stored[3].timestamp_ms == 1_746_000_000_000.0


def test_nan_reaches_a_gateway_that_takes_it() -> None:
    rig = connected(Rig())
    rig.send(float("nan"), float("inf"))
    rig.run(0.5)
    nan, inf = rig.gateway.values()
    assert nan != nan
    assert inf == float("inf")


def test_nan_is_counted_as_dropped_where_the_gateway_cannot_take_it_and_the_rest_arrives() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.send(1, float("nan"), 2, float("-inf"))
    rig.run(0.5)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), stats.dropped, stats.delivered) == ([1, 2], {"non_finite": 2}, 2)


def test_a_batch_of_nothing_but_nan_does_not_stop_an_older_gateway() -> None:
    rig = connected(Rig(Gateway("0.5.2")))
    rig.send(float("nan"))
    rig.run(0.5)
    rig.send(1)
    rig.run(0.5)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), stats.dropped, stats.delivered) == ([1], {"non_finite": 1}, 1)


def test_a_nan_that_is_sent_twice_is_counted_once() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.gateway.answers = False
    rig.send(1, float("nan"))
    rig.run(0.5)
    rig.gateway.break_links()
    rig.gateway.answers = True
    rig.run(5.0)
    stats = rig.uplink.stats()
    assert (stats.dropped, stats.delivered) == ({"non_finite": 1}, 1)


def test_a_nan_inside_an_array_is_counted_and_takes_no_other_point_with_it() -> None:
    rig = connected(Rig())
    rig.send(1, [1.0, float("nan")], 2)
    rig.run(0.5)
    assert rig.gateway.values() == [1, 2]
    assert rig.uplink.stats().dropped == {"non_finite": 1}


def test_a_point_that_fits_no_message_is_counted_and_does_not_end_the_link() -> None:
    rig = connected(Rig())
    rig.send(1, "x" * 1_100_000, 2)
    rig.run(0.5)
    assert rig.gateway.values() == [1, 2]
    assert rig.uplink.stats().dropped == {"too_large": 1}
    assert rig.gateway.socket.peer.opened == 1


# --- bounds and the end -------------------------------------------------------------------------------------


def test_what_a_full_buffer_lets_go_is_counted_and_the_newest_is_kept() -> None:
    rig = Rig(buffer=ListBuffer(10))
    rig.gateway.refuse_all()
    for value in range(30):
        rig.send(value)
        rig.run(0.3)
    stats = rig.uplink.stats()
    assert stats.dropped == {"buffer_full": 20}
    rig.gateway.refuse_all(None)
    rig.run(80.0)
    assert rig.gateway.values() == list(range(20, 30))
    assert rig.uplink.stats().delivered == 10


def test_a_batch_that_leaves_a_full_buffer_while_it_is_under_way_counts_by_its_answer() -> None:
    rig = connected(Rig(buffer=ListBuffer(2)))
    rig.gateway.answers = False
    for value in range(4):
        rig.send(value)
        rig.run(0.3)
    assert rig.uplink.stats().dropped == {}
    rig.gateway.answers = True
    rig.run(1.0)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), stats.delivered, stats.dropped, stats.buffered) == ([0, 1, 2, 3], 4, {}, 0)


def test_a_batch_that_left_a_full_buffer_and_then_lost_its_link_is_counted_as_dropped() -> None:
    rig = connected(Rig(buffer=ListBuffer(2)))
    rig.gateway.answers = False
    for value in range(4):
        rig.send(value)
        rig.run(0.3)
    rig.gateway.break_links()
    rig.gateway.answers = True
    rig.run(5.0)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), stats.dropped, stats.delivered) == ([2, 3], {"buffer_full": 2}, 2)


def test_a_spool_that_takes_nothing_in_is_still_read_and_data_goes_on_from_memory() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.send(1)
    rig.run(0.5)
    rig.buffer.full = True
    rig.send(2)
    rig.run(0.5)
    assert any("going on in memory" in line for line in rig.status.lines)
    rig.gateway.refuse_all(None)
    rig.run(70.0)
    assert (rig.gateway.values(), rig.uplink.stats().dropped) == ([1, 2], {})


def test_a_spool_that_has_room_again_is_used_again_once_memory_is_empty() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.buffer.full = True
    rig.send(1)
    rig.run(0.5)
    rig.buffer.full = False
    rig.send(2)
    rig.run(0.5)
    assert rig.buffer.points == 0
    rig.gateway.refuse_all(None)
    rig.run(70.0)
    rig.gateway.break_links()
    rig.gateway.refuse_all()
    rig.send(3)
    rig.run(0.5)
    assert (rig.gateway.values(), rig.buffer.points) == ([1, 2], 1)


def test_a_spool_that_cannot_be_read_is_set_aside_and_counted() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.send(1)
    rig.run(0.5)
    rig.buffer.broken = True
    rig.send(2)
    rig.run(0.5)
    rig.gateway.refuse_all(None)
    rig.run(70.0)
    assert rig.buffer.closed
    assert (rig.gateway.values(), rig.uplink.stats().dropped) == ([2], {"spool_fault": 1})
    rig.gateway.break_links()
    rig.send(3)
    rig.run(5.0)
    assert rig.gateway.values() == [2, 3]


def test_a_release_that_fails_is_made_up_for_and_sends_nothing_again() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.run(0.3)
    rig.buffer.stuck = True
    rig.gateway.answers = True
    rig.run(0.3)
    assert (rig.uplink.waiting(), rig.buffer.points) == (0, 1)
    rig.gateway.answers = False
    rig.send(2)
    rig.run(0.3)
    rig.buffer.stuck = False
    rig.gateway.answers = True
    rig.run(0.3)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), rig.gateway.duplicates, stats.delivered, stats.dropped) == ([1, 2], 0, 2, {})
    assert rig.buffer.points == 0


def test_spools_that_others_left_are_drained_beside_the_own_one_and_closed() -> None:
    gateway = Gateway()
    spools = [ListBuffer(), ListBuffer()]
    for value, spool in enumerate(spools):
        dead = Rig(gateway, spool)
        gateway.refuse_all()
        dead.send(value)
        dead.run(0.5)
        dead.crash()
    gateway.refuse_all(None)
    own = ListBuffer()
    rig = Rig(gateway, own, adopted=spools)
    assert rig.uplink.waiting() == 2
    rig.send(2)
    rig.run(1.0)
    assert sorted(gateway.values(), key=int) == [0, 1, 2]  # type: ignore[arg-type]
    assert [spool.closed for spool in spools] == [True, True]
    assert not own.closed


def close(rig: Rig, timeout: float = 2.0) -> float:
    began = rig.clock.now
    rig.uplink.close(timeout)
    while not rig.uplink.finished.is_set():
        rig.run(0.01)
    return rig.clock.now - began


def test_close_delivers_what_is_left_and_ends_at_once() -> None:
    rig = connected(Rig())
    rig.send(1)
    took = close(rig)
    assert rig.gateway.values() == [1]
    assert took < 0.1
    assert rig.buffer.closed


def test_close_waits_for_the_first_link_of_a_short_program() -> None:
    rig = Rig()
    rig.send(1)
    close(rig)
    assert rig.gateway.values() == [1]


def test_close_keeps_in_the_spool_what_cannot_be_delivered_in_time() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    took = close(rig, timeout=1.0)
    assert took == pytest.approx(1.0, abs=0.1)
    assert rig.buffer.points == 1
    assert rig.uplink.stats().dropped == {}
    rig.gateway.answers = True
    rig.gateway.pump(rig.clock)
    after = Rig(rig.gateway, rig.buffer)
    after.run(5.0)
    assert rig.gateway.values() == [1]


def test_close_does_not_wait_for_a_gateway_that_will_not_be_tried_in_time() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.run(60.0)
    rig.send(1)
    assert close(rig, timeout=0.5) <= 0.6
    assert rig.buffer.points == 1


def test_close_counts_what_a_buffer_in_memory_takes_with_it() -> None:
    rig = Rig(buffer=ListBuffer(durable=False))
    rig.gateway.refuse_all()
    rig.send(1, 2)
    close(rig)
    assert rig.uplink.stats().dropped == {"closed": 2}


def test_readings_after_close_are_counted() -> None:
    rig = connected(Rig())
    close(rig)
    rig.send(1)
    assert rig.intake.alarm is not None
    rig.intake.alarm()
    stats = rig.uplink.stats()
    assert (stats.accepted, stats.dropped, stats.buffered) == (1, {"closed": 1}, 0)


def test_a_flush_is_done_when_all_that_was_taken_before_it_is_acknowledged() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    flush = rig.uplink.flush()
    rig.run(1.0)
    assert not flush.done.is_set()
    rig.gateway.answers = True
    rig.run(0.1)
    assert flush.done.is_set()
    assert flush.delivered


def test_a_flush_of_more_than_one_step_can_seal_waits_for_all_of_it() -> None:
    rig = connected(Rig())
    rig.send(*range(30_000))
    flush = rig.uplink.flush()
    while not flush.done.is_set():
        rig.step()
        rig.clock.advance(0.001)
    assert rig.gateway.values() == list(range(30_000))


def test_a_flush_tries_a_gateway_that_was_given_a_rest() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.send(1)
    rig.run(120.0)
    rig.gateway.refuse_all(None)
    flush = rig.uplink.flush()
    rig.run(1.0)
    assert flush.delivered
    assert rig.gateway.values() == [1]


def test_a_flush_that_meets_the_end_is_in_vain_and_does_not_hang() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.send(1)
    flush = rig.uplink.flush()
    close(rig, timeout=0.2)
    assert flush.done.is_set()
    assert not flush.delivered


# --- beside the points --------------------------------------------------------------------------------------


def test_a_command_reaches_the_program_and_its_answer_the_gateway() -> None:
    rig = connected(Rig())
    rig.gateway.call(CommandCall("c1", "reboot", {"delay_s": 3}))
    rig.run(0.1)
    assert rig.calls == [CommandCall("c1", "reboot", {"delay_s": 3})]
    rig.outbox.answer(CommandOutcome("c1", "reboot", "result", {"ok": True}))
    rig.run(0.1)
    assert rig.gateway.outcomes == [CommandOutcome("c1", "reboot", "result", {"ok": True})]


def test_an_answer_that_json_cannot_say_becomes_an_error() -> None:
    rig = connected(Rig())
    rig.outbox.answer(CommandOutcome("c1", "reboot", "result", {1, 2}))
    rig.run(0.1)
    assert rig.gateway.outcomes[0].event == "error"


def test_an_answer_waits_for_the_socket() -> None:
    rig = connected(Rig())
    rig.gateway.break_links()
    rig.gateway.refuse_all()
    rig.run(0.5)
    rig.outbox.answer(CommandOutcome("c1", "reboot", "result", 1))
    rig.gateway.refuse_all(None)
    rig.run(70.0)
    assert [outcome.call_id for outcome in rig.gateway.outcomes] == ["c1"]


def test_commands_that_are_declared_later_are_in_a_new_greeting_soon() -> None:
    rig = connected(Rig())
    rig.declared.append({"name": "reboot"})
    rig.outbox.want_hello()
    rig.send(1)
    rig.run(1.0)
    assert [dict(command) for command in rig.gateway.auths[-1].commands] == [{"name": "reboot"}]
    assert rig.gateway.values() == [1]
    opened = rig.gateway.socket.peer.opened
    rig.run(5.0)
    assert rig.gateway.socket.peer.opened == opened


def test_commands_that_are_declared_before_the_first_link_need_no_second_greeting() -> None:
    rig = Rig()
    rig.declared.append({"name": "reboot"})
    rig.outbox.want_hello()
    rig.run(2.0)
    assert rig.gateway.socket.peer.opened == 1


def frame(camera_id: str, jpeg: bytes) -> VideoFrame:
    return VideoFrame("drone-01", camera_id, jpeg, 640, 480, 1_746_969_660_000)


def test_of_a_camera_only_the_newest_frame_goes() -> None:
    rig = connected(Rig())
    for camera_id, jpeg in (("front", b"old"), ("front", b"new"), ("rear", b"rear")):
        rig.video.put(frame(camera_id, jpeg))
    rig.run(0.1)
    assert [unpack(message).jpeg for message in rig.gateway.video] == [b"new", b"rear"]


def test_frames_are_not_kept_for_a_socket_that_comes_later() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.video.put(frame("front", b"old"))
    rig.run(0.5)
    rig.gateway.refuse_all(None)
    rig.run(70.0)
    assert rig.gateway.video == []


def test_a_device_without_anything_to_do_is_looked_at_twenty_times_a_second() -> None:
    rig = connected(Rig())
    rig.run(1.0)
    assert rig.uplink.step(rig.clock.now) == pytest.approx(rig.clock.now + 0.05)


def test_nothing_of_the_key_is_in_what_is_said() -> None:
    rig = Rig(transport="http", api_key="plx_canary")
    rig.run(2.0)
    assert rig.status.lines
    assert "canary" not in json.dumps(rig.status.lines)

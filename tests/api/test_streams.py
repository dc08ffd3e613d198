"""What a stream delivers and how it goes on after a loss; one suite for both clients."""

from __future__ import annotations

import json
import math
import queue
import threading
import traceback
from typing import Any

import pytest

from plexus.api.streams import plans
from plexus.api.streams.plans import Plan
from plexus.domain.errors import (
    ApiError,
    AuthenticationError,
    ProtocolError,
    QueryError,
    TransportClosed,
    TransportError,
)
from plexus.domain.event import Event
from plexus.domain.live import LivePoint, StreamNotice
from plexus.protocol import live
from tests.api.scripted import breaks, closes, ready, scripted, sends, telemetry
from tests.api.streaming import KEY, PATIENCE_S, SHELLS, Pauses, Shell
from tests.support.servers import dead_port
from tests.support.waiting import eventually

DOUBT = '{"type":"gateway_reconnecting","attempt":2,"max_attempts":5,"delay_s":2}'


@pytest.fixture(params=SHELLS, ids=lambda shell: shell.name)
def shell(request: pytest.FixtureRequest) -> Shell:
    made: Shell = request.param
    return made


def points(source_id: str | None = "a1", metrics: Any = None, **more: Any) -> Plan[LivePoint]:
    return plans.points(
        source_id, metrics, **{"sources": None, "since": None, "queue": 10_000, "when_full": "block", **more}
    )


def events() -> Plan[Event]:
    return plans.events("a1", sources=None, since=None, queue=10_000, when_full="block")


# --- what arrives -------------------------------------------------------------------------------------------


def test_points_come_one_by_one(shell: Shell) -> None:
    with scripted(sends(telemetry(1, 2), telemetry("on"))) as server, shell.open(server.url, points()) as stream:
        assert stream.next() == LivePoint("a1", "battery.voltage", 1, 5)
        assert stream.values(2) == [2, "on"]


def test_the_client_asks_for_its_metrics_and_says_its_key_first(shell: Shell) -> None:
    plan = points(metrics=["battery.voltage", "größe"])
    with scripted(sends(telemetry(1))) as server, shell.open(server.url, plan) as stream:
        assert stream.values(1) == [1]
        target = server.targets.get(timeout=5)
        assert target == "/v1/sources/a1/metrics/stream?metrics=battery.voltage%2Cgr%C3%B6%C3%9Fe&cursor="
        assert json.loads(server.hellos.get(timeout=5)) == {"type": "auth", "api_key": KEY}


def test_events_come_one_by_one(shell: Shell) -> None:
    frame = live.event_message("a1", "mode", {"to": "auto"}, 5_000_000, {"by": "hand"})
    with scripted(sends(frame, telemetry(1), frame)) as server, shell.open(server.url, events()) as stream:
        expected = Event("mode", {"to": "auto"}, 5, {"by": "hand"}, "a1")
        assert stream.take(2) == [expected, expected]
        assert server.targets.get(timeout=5) == "/v1/sources/a1/events/stream?cursor="


def test_an_event_that_names_no_source_is_of_the_one_that_was_asked_for(shell: Shell) -> None:
    frame = '{"type":"event","metric":"mode","value":"auto","timestamp":5}'
    with scripted(sends(frame)) as server, shell.open(server.url, events()) as stream:
        assert stream.next().source_id == "a1"


def test_values_that_are_no_finite_numbers_come_as_they_were(shell: Shell) -> None:
    point = live.point_object("a1", "m", -math.inf, 5_000_000)
    with scripted(sends(live.points_message([point]))) as server, shell.open(server.url, points()) as stream:
        assert stream.values(1) == [-math.inf]


def test_frames_of_unknown_types_are_passed_over(shell: Shell) -> None:
    script = sends('{"type":"weather","sun":true}', telemetry(1))
    with scripted(script) as server, shell.open(server.url, points()) as stream:
        assert stream.values(1) == [1]


def test_a_frame_that_breaks_the_contract_is_named_and_the_stream_goes_on(shell: Shell) -> None:
    bad = '{"type":"telemetry","points":[{"source_id":"a1","value":1,"timestamp":5}]}'
    with scripted(sends(telemetry(0), bad, telemetry(1))) as server, shell.open(server.url, points()) as stream:
        assert stream.values(1) == [0]
        with pytest.raises(ProtocolError, match="metric must be a string"):
            stream.next()
        assert stream.values(1) == [1]


def test_waiting_can_end_without_a_point(shell: Shell) -> None:
    with scripted(sends(telemetry(1))) as server, shell.open(server.url, points()) as stream:
        assert stream.values(1) == [1]
        assert stream.receive(timeout=0.01) is None
        assert stream.receive(timeout=0.0) is None


def test_it_connects_when_first_asked_without_a_with(shell: Shell) -> None:
    with scripted(sends(telemetry(1))) as server:
        stream = shell.make(server.url, points())
        try:
            assert stream.values(1) == [1]
        finally:
            stream.end()


def test_the_newest_value_of_each_metric_is_at_hand_whether_it_was_taken_or_not(shell: Shell) -> None:
    script = sends(telemetry(1, at=20), telemetry(2, at=30), telemetry(9, metric="rpm", at=1), telemetry(3, at=10))
    with scripted(script) as server, shell.open(server.url, points()) as stream:
        stream.take(3)
        assert stream.next().value == 3
        newest = stream.stream.latest()
        assert {name: point.value for name, point in newest.items()} == {"battery.voltage": 2, "rpm": 9}


# --- losses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [breaks(telemetry(1)), closes(1000, telemetry(1)), closes(1011, telemetry(1))])
def test_a_stream_that_is_lost_is_made_again(shell: Shell, loss: Any) -> None:
    pauses = Pauses()
    with scripted(loss, sends(telemetry(2))) as server, shell.open(server.url, points(), pauses=pauses) as stream:
        assert stream.values(2) == [1, 2]
        assert stream.stream.reconnects == 1
        assert pauses.asked[0] == pytest.approx(1.0, abs=0.25)
        assert [json.loads(server.hellos.get(timeout=5))["api_key"] for _ in range(2)] == [KEY, KEY]


def test_a_server_that_goes_away_is_looked_for_within_half_a_second(shell: Shell) -> None:
    pauses = Pauses()
    script = [closes(1001, telemetry(1)), sends(telemetry(2))]
    with scripted(*script) as server, shell.open(server.url, points(), pauses=pauses) as stream:
        assert stream.values(2) == [1, 2]
        assert 0.1 <= pauses.asked[0] <= 0.5


def test_a_server_that_says_later_is_asked_later_and_later(shell: Shell) -> None:
    pauses = Pauses()
    script = [closes(1013)] * 6 + [sends(telemetry(1))]
    with scripted(*script) as server, shell.open(server.url, points(), pauses=pauses) as stream:
        assert stream.values(1) == [1]
        assert len(pauses.asked) == 6
        assert pauses.asked[0] < 1.3 < pauses.asked[1] < 2.6 < pauses.asked[2]
        assert max(pauses.asked) <= 10.0


def test_a_stream_that_works_again_forgets_its_failures(shell: Shell) -> None:
    pauses = Pauses()
    script = [closes(1013), closes(1013, telemetry(1)), sends(telemetry(2))]
    with scripted(*script) as server, shell.open(server.url, points(), pauses=pauses) as stream:
        assert stream.values(2) == [1, 2]
        assert all(seconds <= 1.25 for seconds in pauses.asked)


def test_what_becomes_of_the_connection_is_told_between_the_points_it_concerns(shell: Shell) -> None:
    notices: list[StreamNotice] = []
    script = [closes(1013, DOUBT, telemetry(1)), sends(telemetry(2))]
    with scripted(*script) as server, shell.open(server.url, points(), notices=notices.append) as stream:
        assert stream.values(1) == [1]
        assert [notice.state for notice in notices] == ["connected", "gateway_reconnecting"]
        assert stream.values(1) == [2]
    assert [notice.state for notice in notices] == ["connected", "gateway_reconnecting", "lost", "connected"]
    assert (notices[1].attempt, notices[1].delay_s, notices[1].source_id) == (2, 2, "a1")
    assert "closed the stream (1013: as the script says)" in notices[2].detail


def test_a_gateway_that_reconnects_keeps_the_stream(shell: Shell) -> None:
    script = sends(telemetry(1), DOUBT, telemetry(2))
    with scripted(script) as server, shell.open(server.url, points()) as stream:
        assert stream.values(2) == [1, 2]
        assert stream.stream.reconnects == 0


# --- what was stored meanwhile ------------------------------------------------------------------------------


def test_a_stream_with_cursors_goes_on_at_the_last_one(shell: Shell) -> None:
    script = [
        breaks(ready("c0"), telemetry(1, cursor="c1")),
        sends(ready("c1", resumed=True), telemetry(2, cursor="c2")),
    ]
    with scripted(*script) as server, shell.open(server.url, points()) as stream:
        assert stream.values(2) == [1, 2]
        assert [server.targets.get(timeout=5).rpartition("=")[2] for _ in range(2)] == ["", "c1"]
        assert server.asked == []


def test_a_quiet_stream_goes_on_where_it_was_told_to_be(shell: Shell) -> None:
    script = [breaks(ready("c0"), '{"type":"cursor","cursor":"c7"}'), sends(ready("c7", resumed=True), telemetry(1))]
    with scripted(*script) as server, shell.open(server.url, points()) as stream:
        assert stream.values(1) == [1]
        assert [server.targets.get(timeout=5).rpartition("=")[2] for _ in range(2)] == ["", "c7"]


def test_what_a_forgotten_cursor_cannot_bring_comes_from_the_history_and_once(shell: Shell) -> None:
    notices: list[StreamNotice] = []
    script = [
        breaks(ready("c0"), telemetry(1, at=1_000, cursor="c1")),
        sends(ready("x0", resumed=False, since=9, reason="gone"), telemetry(3, at=3_000), telemetry(4, at=4_000)),
    ]
    with scripted(*script) as server:
        server.stored = [("battery.voltage", number, number * 1_000.0) for number in (1, 2, 3)]
        with shell.open(server.url, points(), notices=notices.append) as stream:
            assert stream.values(4) == [1, 2, 3, 4]
    assert [notice.state for notice in notices] == ["connected", "lost", "connected", "filled"]
    assert notices[-1].count == 2


def test_without_cursors_the_history_fills_the_gap_and_what_was_seen_is_dropped(shell: Shell) -> None:
    script = [
        breaks(telemetry(1, at=1_000), telemetry(2, at=2_000)),
        sends(telemetry(4, at=4_000), telemetry(5, at=5_000)),
    ]
    with scripted(*script) as server:
        server.stored = [("battery.voltage", number, number * 1_000.0) for number in (1, 2, 3, 4)]
        with shell.open(server.url, points()) as stream:
            assert stream.values(5) == [1, 2, 3, 4, 5]
        assert "start=1970-01-01T00%3A00%3A01" in server.asked[0]


def test_since_brings_what_is_stored_and_goes_on_live_without_a_seam(shell: Shell) -> None:
    with scripted(sends(ready("c0"), telemetry(3, at=3_000), telemetry(4, at=4_000))) as server:
        server.stored = [("battery.voltage", number, number * 1_000.0) for number in (1, 2, 3)]
        with shell.open(server.url, points(since="1970-01-01T00:00:02Z")) as stream:
            assert stream.values(3) == [2, 3, 4]


def test_events_are_filled_too(shell: Shell) -> None:
    def event(value: str, at_ms: int) -> str:
        return live.event_message("a1", "mode", value, at_ms * 1_000_000)

    script = [breaks(event("a", 1_000)), sends(event("c", 3_000))]
    with scripted(*script) as server:
        server.stored = [("mode", "a", 1_000), ("mode", "b", 2_000), ("mode", "c", 3_000)]
        with shell.open(server.url, events()) as stream:
            assert stream.values(3) == ["a", "b", "c"]


# --- refusals -----------------------------------------------------------------------------------------------


def test_a_key_that_is_refused_ends_the_stream(shell: Shell) -> None:
    with scripted(closes(4401)) as server, shell.open(server.url, points()) as stream:
        with pytest.raises(AuthenticationError, match=r"4401.*plexus init"):
            stream.next()
        assert stream.rest() == []


@pytest.mark.parametrize(
    ("code", "status", "words"), [(4402, 402, "plan"), (1008, 403, "may not read"), (4999, 0, "4999")]
)
def test_other_refusals_end_the_stream_with_their_reason(shell: Shell, code: int, status: int, words: str) -> None:
    with scripted(closes(code)) as server, shell.open(server.url, points()) as stream:
        with pytest.raises(ApiError, match=words) as caught:
            stream.next()
        assert caught.value.status == status
        assert isinstance(caught.value.__cause__, TransportClosed)


def test_a_key_that_is_revoked_later_ends_the_stream_after_what_had_come(shell: Shell) -> None:
    with scripted(closes(1001, telemetry(1)), closes(4401)) as server, shell.open(server.url, points()) as stream:
        assert stream.values(1) == [1]
        with pytest.raises(AuthenticationError):
            stream.next()


def test_a_first_connection_that_fails_is_an_error_at_once(shell: Shell) -> None:
    port = dead_port()
    with (
        pytest.raises(TransportError, match=rf"127\.0\.0\.1:{port} refuses connections"),
        shell.open(f"http://127.0.0.1:{port}", points()),
    ):
        pass


def test_the_key_is_in_no_error_and_no_url(shell: Shell) -> None:
    with scripted(closes(4401)) as server, shell.open(server.url, points()) as stream:
        with pytest.raises(AuthenticationError) as caught:
            stream.next()
        assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(stream.stream)
        assert KEY not in server.targets.get(timeout=5)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sources": ["a1"]}, "not both"),
        ({"source_id": None, "sources": []}, "empty"),
        ({"source_id": None, "sources": "a1"}, "list of names"),
        ({"source_id": "No Name"}, "cannot be the name"),
        ({"source_id": None, "metrics": []}, "metrics is empty"),
        ({"queue": 0}, "queue must be"),
        ({"when_full": "forget"}, "drop_oldest"),
        ({"since": "a while"}, "since"),
        ({"since": "2026-05-01T12:00:00"}, "since has no time zone"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_connected(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(QueryError, match=words):
        points(**wrong)


# --- closing ------------------------------------------------------------------------------------------------


def test_another_thread_can_end_a_stream_that_waits(shell: Shell) -> None:
    got: queue.Queue[list[Any]] = queue.Queue()
    with scripted(sends(telemetry(1))) as server, shell.open(server.url, points()) as stream:
        assert stream.values(1) == [1]
        thread = threading.Thread(target=lambda: got.put(stream.rest()))
        thread.start()
        stream.close()
        assert got.get(timeout=5) == []
        thread.join(5)
        assert server.ended.get(timeout=5) == 1000


def test_another_thread_can_end_a_stream_that_waits_to_connect_again(shell: Shell) -> None:
    got: queue.Queue[list[Any]] = queue.Queue()
    pauses = Pauses(PATIENCE_S)
    with scripted(breaks()) as server, shell.open(server.url, points(), pauses=pauses) as stream:
        thread = threading.Thread(target=lambda: got.put(stream.rest()))
        thread.start()
        assert pauses.reached.wait(5)
        stream.close()
        assert got.get(timeout=5) == []
        thread.join(5)


def test_waiting_for_a_point_ends_in_time_while_the_connection_is_away(shell: Shell) -> None:
    pauses = Pauses(PATIENCE_S)
    with scripted(breaks(telemetry(1))) as server, shell.open(server.url, points(), pauses=pauses) as stream:
        assert stream.values(1) == [1]
        assert pauses.reached.wait(5)
        assert stream.receive(timeout=0.01) is None


def test_closing_says_goodbye_and_twice_is_fine(shell: Shell) -> None:
    with scripted(sends(telemetry(1))) as server, shell.open(server.url, points()) as stream:
        assert stream.values(1) == [1]
        stream.close()
        stream.close()
        assert server.ended.get(timeout=5) == 1000
        assert stream.receive() is None


def test_nothing_of_a_closed_stream_is_left_running(shell: Shell) -> None:
    before = set(threading.enumerate())
    with scripted(sends(telemetry(1))) as server, shell.open(server.url, points()) as stream:
        assert stream.values(1) == [1]
    eventually(lambda: set(threading.enumerate()) <= before)


def test_a_fault_of_our_own_reaches_the_consumer_too(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_message: str | bytes) -> live.LiveFrame:
        raise RuntimeError("a fault of ours")

    with scripted(sends(telemetry(1))) as server:
        monkeypatch.setattr(live, "parse", broken)
        with shell.open(server.url, points()) as stream, pytest.raises(RuntimeError, match="a fault of ours"):
            stream.next()


def test_when_one_source_is_refused_all_of_them_are_let_go(shell: Shell) -> None:
    before = set(threading.enumerate())
    with scripted(closes(4401), sends(telemetry(1))) as server:
        stream = shell.make(server.url, points(None, sources=["a1", "a2"]))
        try:
            with pytest.raises(AuthenticationError):
                stream.rest()
            # Without a `with` nobody closes it.
            hub = stream.stream._hub
            eventually(lambda: not (hub._workers if shell.name == "blocking" else hub._tasks), what="the others' end")
        finally:
            stream.end()
    assert set(threading.enumerate()) <= before

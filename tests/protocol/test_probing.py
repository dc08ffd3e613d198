"""How a device asks a gateway for its time, over the socket and over HTTP, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.protocol import extensions
from plexus.protocol.device import HEARTBEAT_S
from plexus.protocol.frames import ClockPing, ClockPong
from plexus.protocol.messages import ClockSample, ClockSampled, Delivered, HttpAnswer, Ready
from plexus.protocol.probing import (
    GREETING_PINGS,
    HEARTBEAT_PINGS,
    MAX_DRIFT,
    TIME_HEADER,
    ClockProbe,
    between,
    dump_times,
    halfway,
    read_times,
)
from plexus.protocol.request import RequestSession
from tests.support.pair import START_NS, V0160, V052, ConnectionPair, batch_of, opened

NOW_US = 1_746_969_660_000_000
MS = 1_000_000


class Asking:
    """A probe, and the ticks that its test counts."""

    def __init__(self) -> None:
        self.tick = 5_000_000_000
        self.probe = ClockProbe(lambda: self.tick)

    def ask(self) -> ClockPing:
        ping = self.probe.ping()
        assert ping is not None
        return ping

    def answer(self, ping: ClockPing, trip_ms: int, us: int = NOW_US) -> ClockSample | None:
        self.tick += trip_ms * MS
        return self.probe.heard(ClockPong(ping.t0, us, us))


class TestSamples:
    def test_the_gateways_time_was_so_in_the_middle_give_or_take_half_the_trip(self) -> None:
        sample = halfway(1_000 * MS, 1_010 * MS, 1_700_000_000_000.25)
        assert (sample.tick, sample.wall_ms) == (1_005 * MS, 1_700_000_000_000.25)
        assert sample.error_ms == pytest.approx(5.0, abs=0.01)

    def test_a_time_in_whole_milliseconds_may_be_one_off(self) -> None:
        assert halfway(0, 10 * MS, 1_700_000_000_000.0).error_ms == pytest.approx(6.0, abs=0.01)

    def test_what_the_gateway_did_in_between_is_no_part_of_the_trip(self) -> None:
        sample = between(0, 1_000 * MS, NOW_US, NOW_US + 980_000)
        assert sample is not None
        assert sample.tick == 500 * MS
        assert sample.wall_ms == pytest.approx(NOW_US / 1e3 + 490.0, abs=0.002)
        assert sample.error_ms == pytest.approx(10.0, abs=0.1)

    @pytest.mark.parametrize(
        ("t1", "t2"),
        [(NOW_US, NOW_US - 1), (NOW_US, NOW_US + 10_001), (-1, 0), (NOW_US, 10**16), (10**400, 10**400)],
        ids=["back", "longer than the trip", "before 1970", "after 2286", "no time"],
    )
    def test_times_that_cannot_be_make_no_sample(self, t1: int, t2: int) -> None:
        assert between(0, 10 * MS, t1, t2) is None

    @given(
        there_ns=st.integers(0, 5_000 * MS),
        busy_ns=st.integers(0, 5_000 * MS),
        back_ns=st.integers(0, 5_000 * MS),
        drift=st.floats(-MAX_DRIFT, MAX_DRIFT),
    )
    def test_the_true_time_is_within_the_error_however_lopsided_the_trip(
        self, there_ns: int, busy_ns: int, back_ns: int, drift: float
    ) -> None:
        def wall_ns(tick: int) -> int:
            return START_NS + tick + round(tick * drift)

        sample = between(
            0,
            there_ns + busy_ns + back_ns,
            wall_ns(there_ns) // 1_000,
            wall_ns(there_ns + busy_ns) // 1_000,
        )
        if sample is None:  # the gateway's clock goes faster, and took nearly the whole trip for itself
            assert busy_ns * (1 + MAX_DRIFT) + 2_000 >= there_ns + busy_ns + back_ns
        else:
            assert abs(sample.wall_ms - wall_ns(sample.tick) / 1e6) <= sample.error_ms


class TestProbe:
    def test_it_asks_one_question_at_a_time(self) -> None:
        asking = Asking()
        assert asking.probe.ping() is None
        asking.probe.begin(2)
        first = asking.ask()
        assert asking.probe.ping() is None
        asking.answer(first, 1)
        asking.answer(asking.ask(), 1)
        assert asking.probe.ping() is None

    def test_the_best_of_the_answers_counts(self) -> None:
        asking = Asking()
        asking.probe.begin(3)
        assert asking.answer(asking.ask(), 40) is None
        assert asking.answer(asking.ask(), 6, NOW_US + 46_000) is None
        best = asking.answer(asking.ask(), 90)
        assert best is not None
        assert best.wall_ms == pytest.approx((NOW_US + 46_000) / 1e3, abs=0.001)
        assert best.error_ms == pytest.approx(3.0, abs=0.01)

    def test_an_answer_to_no_question_is_passed_over(self) -> None:
        asking = Asking()
        assert asking.probe.heard(ClockPong(1, NOW_US, NOW_US)) is None
        asking.probe.begin(1)
        ping = asking.ask()
        assert asking.probe.heard(ClockPong(ping.t0 + 1, NOW_US, NOW_US)) is None
        assert asking.answer(ping, 1) is not None
        assert asking.answer(ping, 1) is None

    def test_an_answer_that_comes_after_the_next_round_began_is_passed_over(self) -> None:
        asking = Asking()
        asking.probe.begin(1)
        late = asking.ask()
        asking.probe.begin(1)
        fresh = asking.ask()
        assert fresh.t0 != late.t0
        assert asking.answer(late, 1) is None
        assert asking.answer(fresh, 1) is not None

    def test_an_answer_with_impossible_times_is_one_answer_less(self) -> None:
        asking = Asking()
        asking.probe.begin(2)
        first = asking.answer(asking.ask(), 1)
        broken = asking.ask()
        asking.tick += MS
        best = asking.probe.heard(ClockPong(broken.t0, NOW_US, NOW_US - 1))
        assert first is None
        assert best is not None

    def test_a_round_without_one_possible_answer_says_nothing(self) -> None:
        asking = Asking()
        asking.probe.begin(1)
        ping = asking.ask()
        assert asking.probe.heard(ClockPong(ping.t0, 5, 4)) is None


class TestSocket:
    def test_after_the_greeting_a_few_questions_are_asked_and_their_best_is_told(self) -> None:
        pair = opened()
        assert len([frame for frame in pair.said_by_device if frame["type"] == "clock_ping"]) == GREETING_PINGS
        (sampled,) = pair.heard(ClockSampled)
        assert sampled.sample.tick == pair.tick()
        assert sampled.sample.wall_ms == pytest.approx(START_NS / 1e6, abs=0.001)
        assert sampled.sample.error_ms < 0.01

    def test_with_every_heartbeat_it_is_asked_again(self) -> None:
        pair = opened()
        pair.advance(HEARTBEAT_S)
        kinds = [frame["type"] for frame in pair.said_by_device]
        assert kinds.count("clock_ping") == GREETING_PINGS + HEARTBEAT_PINGS
        assert kinds.index("heartbeat") < len(kinds) - HEARTBEAT_PINGS
        assert len(pair.heard(ClockSampled)) == 2

    def test_the_gateway_answers_when_the_question_came(self) -> None:
        pair = opened()
        pong = pair.answers("clock_pong")[0]
        ping = next(frame for frame in pair.said_by_device if frame["type"] == "clock_ping")
        assert pong == {"type": "clock_pong", "t0": ping["t0"], "t1": START_NS // 1_000, "t2": START_NS // 1_000}

    def test_questions_for_the_time_hold_no_batch_back(self) -> None:
        pair = opened()
        pair.advance(HEARTBEAT_S)
        pair.send(batch_of(1))
        assert len(pair.heard(Delivered)) == 1

    @pytest.mark.parametrize("old", [V0160, V052], ids=["0.16.0", "0.5.2"])
    def test_an_older_gateway_is_asked_nothing(self, old: tuple[str, ...]) -> None:
        pair = opened(old)
        pair.advance(HEARTBEAT_S)
        assert "clock_ping" not in [frame["type"] for frame in pair.said_by_device]
        assert pair.heard(Ready)[0].clock is not None
        assert not pair.heard(ClockSampled)

    def test_a_device_that_did_not_offer_it_is_told_no_time(self) -> None:
        pair = opened(V0160)
        pair.to_gateway.append(json.dumps({"type": "clock_ping", "t0": 1}))
        pair.exchange()
        assert not pair.answers("clock_pong")

    def test_a_question_that_is_never_answered_keeps_nothing_open(self) -> None:
        pair = ConnectionPair()
        pair.open()
        pair.device.tick(pair.now + HEARTBEAT_S)
        assert [json.loads(str(message))["type"] for message in pair.device.take_messages()] == [
            "heartbeat",
            "clock_ping",
        ]
        assert pair.device.take_messages() == []
        assert pair.device.next_deadline() == pair.now + 2 * HEARTBEAT_S


class TestHttp:
    def test_both_times_stand_in_one_header(self) -> None:
        assert dump_times(1_500, 2_999) == "1,2"
        assert read_times("1, 2") == (1, 2)

    @pytest.mark.parametrize("value", [None, "", "1", "1,2,3", "a,b", "-1,2", "1.5,2", "٣,٤", "9" * 400 + ",1"])
    def test_any_other_header_is_passed_over(self, value: str | None) -> None:
        assert read_times(value) is None

    def test_the_first_answer_makes_the_link_ready_with_the_time(self) -> None:
        line = _Line()
        (ready,) = line.answer({"success": True}, times=f"{NOW_US},{NOW_US + 2_000}")
        assert isinstance(ready, Ready)
        assert ready.clock is not None
        assert ready.clock.wall_ms == pytest.approx(NOW_US / 1e3 + 1.0, abs=0.001)
        assert ready.clock.error_ms == pytest.approx(4.0, abs=0.01)

    def test_every_answer_to_a_batch_tells_it_again_before_what_became_of_the_batch(self) -> None:
        line = _Line()
        line.answer({"success": True})
        for status in (200, 503):
            line.session.submit(batch_of(1), 1, batch_of(1).body, 1.0)
            sampled, _outcome = line.answer({"success": True}, status=status, times=f"{NOW_US},{NOW_US}")
            assert isinstance(sampled, ClockSampled)

    @pytest.mark.parametrize("ext", ["", "batch=1"])
    def test_where_it_was_not_agreed_the_header_says_nothing(self, ext: str) -> None:
        line = _Line(ext)
        (ready,) = line.answer({"success": True}, times=f"{NOW_US},{NOW_US}")
        assert isinstance(ready, Ready)
        assert ready.clock is None

    def test_without_the_header_there_is_no_time(self) -> None:
        line = _Line()
        (ready,) = line.answer({"success": True})
        assert isinstance(ready, Ready)
        assert ready.clock is None


class _Line:
    """A session over HTTP whose answers take 10 ms."""

    def __init__(self, ext: str = "batch=1,clock=1") -> None:
        self.ext = ext
        self.tick = 0
        read: Callable[[], int] = lambda: self.tick  # noqa: E731 - read when asked
        self.session = RequestSession("plx_secret", "drone-01", "1.0", read)
        self.session.opened(0.0)

    def answer(self, body: Any, *, status: int = 200, times: str | None = None) -> list[Any]:
        self.session.take_messages()
        self.tick += 10 * MS
        headers = {extensions.HEADER: self.ext, **({TIME_HEADER: times} if times else {})}
        self.session.receive(HttpAnswer(status, headers, json.dumps(body).encode()), 1.0)
        return self.session.take_events()

"""The intake: what callers put in comes out in order, and what has to go is counted with its times."""

from __future__ import annotations

import threading
from array import array

import pytest

from plexus.adapters.clock.manual import ManualClock
from plexus.device.counters import Counters
from plexus.device.intake import SERIES_AT_ONCE, Intake, Samples
from plexus.domain.errors import AuthenticationError
from plexus.domain.loss import Loss
from plexus.domain.point import Reading

START_MS = 1_700_000_000_000.0


class Bench:
    def __init__(self, limit: int = 10, series_limit: int = 100) -> None:
        self.clock = ManualClock(wall_ms=START_MS)
        self.counters = Counters()
        self.intake = Intake(self.clock, self.counters, limit, series_limit)

    def reading(self, value: int, t_ns: int | None = None) -> Reading:
        return ("m", value, t_ns, None, "metric", None, self.clock.tick())

    def send(self, *values: int) -> None:
        self.intake.readings.extend(self.reading(value) for value in values)

    def block(self, count: int, first: int = 0, *, is_made: bool = True) -> Samples:
        times = range(0, count * 1_000_000, 1_000_000)
        return Samples("mic", array("q", range(first, first + count)), times, is_made, None, None, self.clock.tick())


def test_readings_come_out_in_order_as_many_as_are_asked_for() -> None:
    bench = Bench()
    bench.send(1, 2, 3)
    assert [reading[1] for reading in bench.intake.take(2).readings] == [1, 2]
    assert [reading[1] for reading in bench.intake.take(2).readings] == [3]
    assert len(bench.intake.take(2)) == 0


def test_its_length_counts_readings_and_samples() -> None:
    bench = Bench()
    bench.send(1, 2)
    bench.intake.add([bench.block(7), bench.block(3)])
    assert len(bench.intake) == 12
    assert len(bench.intake.take(1)) == 11
    assert (len(bench.intake), bench.counters.taken) == (1, 11)


def test_blocks_come_out_whole_as_many_as_fit_one_message() -> None:
    bench = Bench()
    for _ in range(4):
        bench.intake.add([bench.block(SERIES_AT_ONCE // 2 - 1)])
    assert [len(block) for block in bench.intake.take(1).series] == [SERIES_AT_ONCE // 2 - 1] * 2
    bench.intake.add([bench.block(SERIES_AT_ONCE)])
    bench.intake.take(1)
    assert [len(block) for block in bench.intake.take(1).series] == [SERIES_AT_ONCE]


def test_its_age_is_that_of_the_oldest_reading_or_block() -> None:
    bench = Bench()
    assert bench.intake.age_s() == 0.0
    bench.intake.add([bench.block(2)])
    bench.clock.advance(2.0)
    bench.send(1)
    bench.clock.advance(1.0)
    assert bench.intake.age_s() == 3.0
    bench.intake.take(0)
    assert bench.intake.age_s() == 1.0


def test_the_oldest_readings_go_where_there_are_too_many_and_are_counted_with_their_times() -> None:
    bench = Bench(limit=2)
    bench.intake.readings.append(bench.reading(1, 5_000_000))
    bench.send(2, 3, 4)
    bench.intake.trim()
    assert [reading[1] for reading in bench.intake.take(9).readings] == [3, 4]
    assert bench.counters.take_unrecorded() == [Loss("buffer_full", 2, 5.0, START_MS)]


def test_the_oldest_blocks_go_where_there_are_too_many_samples() -> None:
    bench = Bench(series_limit=100)
    bench.intake.add([bench.block(60, is_made=False), bench.block(60), bench.block(40)])
    bench.send(1)
    bench.intake.trim()
    assert [len(block) for block in bench.intake.take(9).series] == [60, 40]
    assert bench.counters.take_unrecorded() == [Loss("buffer_full", 60, 0.0, 59.0)]


def test_nothing_goes_while_there_is_room() -> None:
    bench = Bench(limit=2, series_limit=100)
    bench.send(1, 2)
    bench.intake.add([bench.block(100)])
    bench.intake.trim()
    assert len(bench.intake) == 102
    assert bench.counters.dropped() == {}


def test_what_comes_after_the_end_is_counted_as_dropped() -> None:
    bench = Bench()
    bench.send(1)
    bench.intake.shut()
    bench.intake.add([bench.block(5)])
    assert bench.intake.alarm is not None
    bench.intake.alarm()
    assert bench.counters.dropped() == {"closed": 6}
    assert (len(bench.intake), bench.counters.taken) == (0, 6)


def test_many_threads_may_send_after_the_end() -> None:
    bench = Bench()
    bench.intake.shut()
    alarm = bench.intake.alarm
    assert alarm is not None

    def send() -> None:
        for _ in range(200):
            bench.send(1)
            bench.intake.add([bench.block(1)])
            alarm()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert bench.counters.dropped() == {"closed": 1_600}


def test_a_forked_child_forgets_what_is_the_parents_and_counts_its_own() -> None:
    bench = Bench()
    bench.send(1)
    bench.intake.add([bench.block(5)])
    bench.intake.abandon()
    assert bench.counters.dropped() == {}
    bench.send(2)
    assert bench.intake.alarm is not None
    bench.intake.alarm()
    assert bench.counters.dropped() == {"forked": 1}


def test_a_forked_child_is_not_held_up_by_a_thread_that_it_does_not_have() -> None:
    bench = Bench()
    entered, over = threading.Event(), threading.Event()

    def hold() -> None:
        with bench.intake._lock:
            entered.set()
            over.wait(30.0)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(30.0)
    bench.intake.abandon()
    bench.intake.add([bench.block(5)])
    over.set()
    thread.join(30.0)
    assert len(bench.intake) == 5


def test_an_error_is_raised_once() -> None:
    bench = Bench()
    bench.intake.raise_once(AuthenticationError("no"))
    assert bench.intake.alarm is not None
    with pytest.raises(AuthenticationError):
        bench.intake.alarm()
    assert bench.intake.alarm is None

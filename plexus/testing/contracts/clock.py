"""What every clock must do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from plexus.ports.clock import Clock
from plexus.testing.contracts import Contract

HOUR_NS = 3_600 * 10**9
DAY_MS = 86_400_000.0
READS = 3_000
STILL_MS = 60_000.0
"""Two looks at a clock in one test are less than a minute apart, on any machine."""


def _near(left: float, right: float) -> bool:
    """Equal, but for what a float of milliseconds since 1970 cannot tell apart."""
    return abs(left - right) < 0.01


class ClockContract(Contract):
    """Override `make` to return a fresh clock."""

    def make(self) -> Clock:
        """A fresh clock that nobody has corrected."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its clock")

    @contextmanager
    def clock(self) -> Iterator[Clock]:
        """A fresh clock, disposed of after the test."""
        made = self.make()
        try:
            yield made
        finally:
            self.dispose(made)

    def test_a_tick_is_a_whole_number(self) -> None:
        with self.clock() as clock:
            assert type(clock.tick()) is int

    def test_ticks_never_go_back(self) -> None:
        with self.clock() as clock:
            ticks = [clock.tick() for _ in range(1_000)]
            assert ticks == sorted(ticks)

    def test_times_are_milliseconds_since_1970(self) -> None:
        with self.clock() as clock:
            assert 1e12 < clock.raw_wall_ms() < 1e13
            assert 1e12 < clock.wall_ms(clock.tick()) < 1e13

    def test_before_any_correction_the_time_is_the_machines(self) -> None:
        with self.clock() as clock:
            assert abs(clock.wall_ms(clock.tick()) - clock.raw_wall_ms()) < STILL_MS

    def test_times_are_as_far_apart_as_their_ticks(self) -> None:
        with self.clock() as clock:
            now = clock.tick()
            for apart in (-HOUR_NS, -1_000_000, 0, 500_000, 1_000_000, HOUR_NS):
                assert _near(clock.wall_ms(now + apart) - clock.wall_ms(now), apart / 1e6)

    def test_a_tick_has_one_time(self) -> None:
        with self.clock() as clock:
            tick = clock.tick()
            assert len({clock.wall_ms(tick) for _ in range(100)}) == 1

    def test_a_boot_has_one_name(self) -> None:
        with self.clock() as clock, self.clock() as other:
            assert clock.boot_id
            assert clock.boot_id == clock.boot_id == other.boot_id

    def test_a_clock_says_whether_its_time_was_told(self) -> None:
        with self.clock() as clock:
            assert type(clock.synced) is bool

    def test_a_correction_leaves_ticks_and_the_machines_time_alone(self) -> None:
        with self.clock() as clock:
            tick, raw, boot = clock.tick(), clock.raw_wall_ms(), clock.boot_id
            clock.correct(tick, raw + 86_400_000.0)
            assert clock.boot_id == boot
            assert 0 <= clock.tick() - tick < STILL_MS * 1e6
            assert abs(clock.raw_wall_ms() - raw) < STILL_MS


class CorrectableClockContract(ClockContract):
    """For clocks that a correction moves."""

    def test_a_clock_is_synced_from_its_first_correction_on(self) -> None:
        with self.clock() as clock:
            assert clock.synced is False
            _correct(clock, 0.0)
            assert clock.synced is True

    def test_a_correction_says_what_time_it_was_at_a_tick(self) -> None:
        with self.clock() as clock:
            for tick in (clock.tick(), clock.tick() - HOUR_NS, clock.tick() + HOUR_NS):
                clock.correct(tick, 1_700_000_000_123.5)
                assert _near(clock.wall_ms(tick), 1_700_000_000_123.5)

    def test_a_correction_moves_the_time_forward_and_back(self) -> None:
        for ahead in (DAY_MS, -DAY_MS):
            with self.clock() as clock:
                _correct(clock, ahead)
                assert abs(clock.wall_ms(clock.tick()) - clock.raw_wall_ms() - ahead) < STILL_MS

    def test_a_correction_counts_for_ticks_taken_before_it(self) -> None:
        with self.clock() as clock:
            tick = clock.tick()
            _correct(clock, DAY_MS)
            assert abs(clock.wall_ms(tick) - clock.raw_wall_ms() - DAY_MS) < STILL_MS

    def test_a_second_correction_replaces_the_first(self) -> None:
        with self.clock() as clock:
            _correct(clock, DAY_MS)
            _correct(clock, -3_600_000.0)
            assert abs(clock.wall_ms(clock.tick()) - clock.raw_wall_ms() + 3_600_000.0) < STILL_MS

    def test_times_are_as_far_apart_as_their_ticks_after_a_correction(self) -> None:
        with self.clock() as clock:
            _correct(clock, 12_345.678)
            now = clock.tick()
            for apart in (-HOUR_NS, 500_000, HOUR_NS):
                assert _near(clock.wall_ms(now + apart) - clock.wall_ms(now), apart / 1e6)

    def test_a_reader_sees_one_correction_or_the_other_and_no_mixture(self) -> None:
        with self.clock() as clock:
            now, raw = clock.tick(), clock.raw_wall_ms()
            moments = ((now, raw), (now - HOUR_NS, raw + DAY_MS))
            times = (raw, raw + DAY_MS + HOUR_NS / 1e6)
            clock.correct(*moments[0])
            enough = threading.Event()
            corrector = threading.Thread(target=_correct_to_and_fro, args=(clock, moments, enough), daemon=True)
            corrector.start()
            seen = []
            for _ in range(READS):
                seen.append(clock.wall_ms(now))
                time.sleep(0)
            enough.set()
            corrector.join()
            assert all(min(abs(one - time_) for time_ in times) < STILL_MS for one in seen)


def _correct(clock: Clock, ahead_ms: float) -> None:
    """Set it so far ahead of the machine's own time."""
    clock.correct(clock.tick(), clock.raw_wall_ms() + ahead_ms)


def _correct_to_and_fro(clock: Clock, moments: Sequence[tuple[int, float]], enough: threading.Event) -> None:
    # For as long as there are reads: how the system shares its time between the two must not decide what is seen.
    while not enough.is_set():
        for tick, wall_ms in moments:
            clock.correct(tick, wall_ms)
            time.sleep(0)  # the other thread's turn: no waiting for time

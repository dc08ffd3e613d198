"""Every clock keeps the contract, and the contract catches clocks that do not."""

from __future__ import annotations

import time

import pytest

from plexus.adapters.clock.manual import ManualClock
from plexus.adapters.clock.synced import SyncedClock
from plexus.adapters.clock.system import SystemClock
from plexus.ports.clock import Clock
from plexus.testing.contracts import failures
from plexus.testing.contracts.clock import ClockContract, CorrectableClockContract


class TestSystemClock(ClockContract):
    def make(self) -> Clock:
        return SystemClock()


class TestManualClock(ClockContract):
    def make(self) -> Clock:
        return ManualClock()


class TestSyncedClock(CorrectableClockContract):
    def make(self) -> Clock:
        return SyncedClock(SystemClock())


class TestSyncedManualClock(CorrectableClockContract):
    def make(self) -> Clock:
        return SyncedClock(ManualClock())


# --- clocks that are broken on purpose ----------------------------------------------------------------------


class Planted(SyncedClock):
    """A clock with a fault of its own."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.calls = 0


class Backward(Planted):
    def tick(self) -> int:
        self.calls += 1
        return super().tick() - (1_000_000_000 if self.calls == 7 else 0)


class Seconds(Planted):
    """Takes ticks for microseconds."""

    def wall_ms(self, tick: int) -> float:
        now = super().tick()
        return super().wall_ms(now) + (tick - now) / 1e3


class Whole(Planted):
    """Knows no part of a millisecond."""

    def wall_ms(self, tick: int) -> float:
        return float(round(super().wall_ms(tick)))


class UnixSeconds(Planted):
    def raw_wall_ms(self) -> float:
        return super().raw_wall_ms() / 1e3


class Adding(Planted):
    """Adds one correction to the other."""

    total = 0.0

    def correct(self, offset_ms: float) -> None:
        self.total += offset_ms
        super().correct(self.total)


class Inverted(Planted):
    def correct(self, offset_ms: float) -> None:
        super().correct(-offset_ms)


class Stubborn(Planted):
    def correct(self, offset_ms: float) -> None:
        pass


class Spilling(Planted):
    """Corrects the machine's own clock too."""

    offset = 0.0

    def correct(self, offset_ms: float) -> None:
        super().correct(offset_ms)
        self.offset = offset_ms

    def raw_wall_ms(self) -> float:
        return super().raw_wall_ms() + self.offset


class Onward(Planted):
    """Corrects only ticks taken after the correction."""

    since, offset = 0, 0.0

    def correct(self, offset_ms: float) -> None:
        self.since, self.offset = self.tick(), offset_ms

    def wall_ms(self, tick: int) -> float:
        return super().wall_ms(tick) + (self.offset if tick > self.since else 0.0)


class Torn(Planted):
    """Corrects in two steps, between which a reader may come."""

    first = second = 0.0

    def correct(self, offset_ms: float) -> None:
        self.first = offset_ms / 2
        time.sleep(0)
        self.second = offset_ms / 2

    def wall_ms(self, tick: int) -> float:
        return super().wall_ms(tick) + self.first + self.second


MOVES = "test_a_correction_moves_the_time_by_the_offset"
BEFORE = "test_a_correction_counts_for_ticks_taken_before_it"
SECOND = "test_a_second_correction_replaces_the_first"
APART = "test_times_are_as_far_apart_as_their_ticks"
APART_AFTER = "test_times_are_as_far_apart_as_their_ticks_after_a_correction"
ALONE = "test_a_correction_leaves_ticks_and_the_machines_time_alone"
MIXTURE = "test_a_reader_sees_one_correction_or_the_other_and_no_mixture"


@pytest.mark.parametrize(
    ("planted", "caught_by"),
    [
        (Backward, {"test_ticks_never_go_back"}),
        (Seconds, {APART, APART_AFTER, "test_a_tick_has_one_time"}),
        (Whole, {APART, APART_AFTER}),
        (
            UnixSeconds,
            {
                *(MOVES, BEFORE, SECOND, MIXTURE),
                "test_times_are_milliseconds_since_1970",
                "test_before_any_correction_the_time_is_the_machines",
            },
        ),
        (Adding, {SECOND, MIXTURE}),
        (Inverted, {MOVES, BEFORE, SECOND, MIXTURE}),
        (Stubborn, {MOVES, BEFORE, SECOND}),
        (Spilling, {ALONE, MOVES, BEFORE, SECOND}),
        (Onward, {BEFORE, APART_AFTER}),
        (Torn, {MIXTURE}),
    ],
)
def test_a_planted_fault_is_caught(planted: type[Planted], caught_by: set[str]) -> None:
    class Suite(CorrectableClockContract):
        def make(self) -> Clock:
            return planted()

    assert set(failures(Suite)) == caught_by

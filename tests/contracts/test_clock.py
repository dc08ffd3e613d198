"""Every clock keeps the contract, and the contract catches clocks that do not."""

from __future__ import annotations

import time

import pytest

from plexus.adapters.clock.manual import ManualClock
from plexus.adapters.clock.synced import SyncedClock
from plexus.adapters.clock.system import SystemClock
from plexus.ports.clock import Clock
from plexus.testing.contracts import failures
from plexus.testing.contracts.clock import DAY_MS, ClockContract, CorrectableClockContract


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

    def correct(self, tick: int, wall_ms: float) -> None:
        super().correct(tick, wall_ms + self.total)
        self.total += DAY_MS


class Inverted(Planted):
    def correct(self, tick: int, wall_ms: float) -> None:
        super().correct(tick, 2 * self.raw_wall_ms() - wall_ms)


class Stubborn(Planted):
    def correct(self, tick: int, wall_ms: float) -> None:
        pass


class Sleeping(Planted):
    """Is corrected and does not say so."""

    @property
    def synced(self) -> bool:
        return False


class Hasty(Planted):
    """Takes the moment for now, whenever it was."""

    def correct(self, tick: int, wall_ms: float) -> None:
        super().correct(self.tick(), wall_ms)


class Rebooting(Planted):
    """Another name for the boot at every look."""

    @property
    def boot_id(self) -> str:
        self.calls += 1
        return f"{id(self)}-{self.calls}"


class Spilling(Planted):
    """Corrects the machine's own clock too."""

    offset = 0.0

    def correct(self, tick: int, wall_ms: float) -> None:
        super().correct(tick, wall_ms)
        self.offset = super().wall_ms(self.tick()) - super().raw_wall_ms()

    def raw_wall_ms(self) -> float:
        return super().raw_wall_ms() + self.offset


class Onward(Planted):
    """Corrects only ticks taken after the moment of the correction."""

    since, offset = 0, 0.0

    def correct(self, tick: int, wall_ms: float) -> None:
        self.since, self.offset = tick, wall_ms - super().wall_ms(tick)

    @property
    def synced(self) -> bool:
        return self.since != 0

    def wall_ms(self, tick: int) -> float:
        return super().wall_ms(tick) + (self.offset if tick >= self.since else 0.0)


class Torn(Planted):
    """Corrects in two steps, between which a reader may come."""

    first = second = 0.0
    told = False

    def correct(self, tick: int, wall_ms: float) -> None:
        offset, self.told = wall_ms - super().wall_ms(tick), True
        self.first = offset / 2
        time.sleep(0)
        self.second = offset / 2

    @property
    def synced(self) -> bool:
        return self.told

    def wall_ms(self, tick: int) -> float:
        return super().wall_ms(tick) + self.first + self.second


SAYS = "test_a_correction_says_what_time_it_was_at_a_tick"
MOVES = "test_a_correction_moves_the_time_forward_and_back"
BEFORE = "test_a_correction_counts_for_ticks_taken_before_it"
SECOND = "test_a_second_correction_replaces_the_first"
APART = "test_times_are_as_far_apart_as_their_ticks"
APART_AFTER = "test_times_are_as_far_apart_as_their_ticks_after_a_correction"
ALONE = "test_a_correction_leaves_ticks_and_the_machines_time_alone"
SYNCED = "test_a_clock_is_synced_from_its_first_correction_on"
MIXTURE = "test_a_reader_sees_one_correction_or_the_other_and_no_mixture"


@pytest.mark.parametrize(
    ("planted", "caught_by"),
    [
        (Backward, {"test_ticks_never_go_back"}),
        (Seconds, {APART, APART_AFTER, SAYS, MIXTURE, "test_a_tick_has_one_time"}),
        (Whole, {APART, APART_AFTER, SAYS}),
        (
            UnixSeconds,
            {
                "test_times_are_milliseconds_since_1970",
                "test_before_any_correction_the_time_is_the_machines",
            },
        ),
        (Adding, {SAYS, SECOND, MIXTURE}),
        (Inverted, {SAYS, MOVES, BEFORE, SECOND, MIXTURE}),
        (Stubborn, {SAYS, MOVES, BEFORE, SECOND, SYNCED}),
        (Sleeping, {SYNCED}),
        (Hasty, {SAYS, MIXTURE}),
        (Rebooting, {"test_a_boot_has_one_name", ALONE}),
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

"""What becomes of stamps when the machine's clock is stepped, and how a clock is moved by hand."""

from __future__ import annotations

import time

import pytest

from plexus.adapters.clock.manual import ManualClock
from plexus.adapters.clock.synced import SyncedClock
from plexus.adapters.clock.system import SystemClock

START_MS = 1_700_000_000_000.0


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(wall_ms=START_MS, tick=5)
    assert (clock.tick(), clock.raw_wall_ms(), clock.wall_ms(5)) == (5, START_MS, START_MS)
    clock.advance(1.5)
    assert (clock.tick(), clock.raw_wall_ms()) == (1_500_000_005, START_MS + 1_500.0)
    assert clock.wall_ms(clock.tick()) == START_MS + 1_500.0


def test_a_manual_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        ManualClock().advance(-1.0)


def test_a_step_of_a_manual_clock_is_seen_in_the_machines_time_alone() -> None:
    clock = ManualClock(wall_ms=START_MS)
    clock.step(-3_600.0)
    assert clock.tick() == 0
    assert clock.raw_wall_ms() == START_MS - 3_600_000.0
    assert clock.wall_ms(0) == START_MS


def test_a_step_of_the_machines_time_does_not_tear_what_was_corrected() -> None:
    machine = ManualClock(wall_ms=START_MS)
    clock = SyncedClock(machine)
    clock.correct(250.0)
    machine.step(3_600.0)
    machine.advance(1.0)
    assert clock.wall_ms(clock.tick()) == START_MS + 1_250.0
    assert clock.raw_wall_ms() == START_MS + 3_601_000.0


def test_a_correction_after_a_step_starts_from_the_machines_time_as_it_is_now() -> None:
    machine = ManualClock(wall_ms=0.0)
    clock = SyncedClock(machine)
    early = clock.tick()
    machine.advance(10.0)
    machine.step(START_MS / 1_000.0)
    clock.correct(0.0)
    assert clock.wall_ms(early) == START_MS
    assert clock.wall_ms(clock.tick()) == START_MS + 10_000.0


def test_the_system_clock_goes_on_evenly_when_the_machines_time_is_stepped(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    tick, before = clock.tick(), clock.raw_wall_ms()
    stamped = clock.wall_ms(tick)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert clock.wall_ms(tick) == stamped
    assert clock.raw_wall_ms() == 0.0
    assert before > 0

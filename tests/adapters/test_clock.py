"""What becomes of stamps when the machine's clock is stepped, and how a clock is moved by hand."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

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
    clock.correct(clock.tick(), START_MS + 250.0)
    machine.step(3_600.0)
    machine.advance(1.0)
    assert clock.wall_ms(clock.tick()) == START_MS + 1_250.0
    assert clock.raw_wall_ms() == START_MS + 3_601_000.0


def test_what_was_stamped_in_1970_is_right_once_the_time_was_told() -> None:
    machine = ManualClock(wall_ms=0.0)
    clock = SyncedClock(machine)
    early = clock.tick()
    machine.advance(10.0)
    clock.correct(clock.tick(), START_MS + 10_000.0)
    assert clock.wall_ms(early) == START_MS
    assert clock.wall_ms(clock.tick()) == START_MS + 10_000.0


def test_a_clock_by_itself_waits_for_nobody_and_a_synced_one_for_its_first_correction() -> None:
    machine = ManualClock()
    clock = SyncedClock(machine)
    assert (SystemClock().synced, machine.synced, clock.synced) == (True, True, False)
    clock.correct(0, START_MS)
    assert clock.synced


def test_a_manual_clock_can_boot_anew_and_need_telling() -> None:
    clock = ManualClock(boot_id="first", synced=False)
    assert (clock.boot_id, clock.synced) == ("first", False)
    clock.boot_id, clock.synced = "second", True
    assert (SyncedClock(clock).boot_id, clock.synced) == ("second", True)


def test_the_boot_has_the_kernels_name_for_it(tmp_path: Path) -> None:
    file = tmp_path / "boot_id"
    file.write_text("0f0c-boot\n")
    assert SystemClock(file).boot_id == "0f0c-boot"


@pytest.mark.parametrize("content", [None, b"", b"\xff"])
def test_where_the_system_names_no_boot_it_is_one_for_each_process(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "boot_id"
    if content is not None:
        file.write_bytes(content)
    name = SystemClock(file).boot_id
    assert name
    assert SystemClock(tmp_path / "missing").boot_id == name
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as others:
        assert others.submit(_boot_id_without_a_file, tmp_path / "missing").result() != name


def _boot_id_without_a_file(missing: Path) -> str:
    return SystemClock(missing).boot_id


def test_the_system_clock_goes_on_evenly_when_the_machines_time_is_stepped(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    tick, before = clock.tick(), clock.raw_wall_ms()
    stamped = clock.wall_ms(tick)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert clock.wall_ms(tick) == stamped
    assert clock.raw_wall_ms() == 0.0
    assert before > 0

"""The clock is kept by the gateway's: how wrong it may be is known, and it is never wronger than that."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.adapters.clock.manual import ManualClock
from plexus.adapters.clock.synced import SyncedClock
from plexus.device.timing import MAX_SLEW, Synchroniser
from plexus.protocol.messages import ClockSample
from plexus.protocol.probing import MAX_DRIFT, between

TRUE_MS = 1_746_969_660_000.0
HOUR_MS = 3_600_000.0
YEARS_50_MS = 50 * 365.25 * 24 * HOUR_MS
FLOAT_MS = 0.001
"""What floats of milliseconds since 1970 lose, over a few sums."""


class World:
    """A device whose machine believes in 1970, and a gateway whose clock drifts against its ticks."""

    def __init__(self, drift: float = 0.0, ahead_ms: float = 0.0, machine_ms: float = 0.0) -> None:
        self.machine = ManualClock(wall_ms=machine_ms)
        self.clock = SyncedClock(self.machine)
        self.time = Synchroniser(self.clock)
        self.drift = drift
        self.ahead_ms = ahead_ms

    def true_ms(self, tick: int) -> float:
        """What the gateway's clock shows at a tick."""
        return TRUE_MS + self.ahead_ms + tick / 1e6 * (1 + self.drift)

    def probe(self, there_ms: float, back_ms: float) -> None:
        """One question and its answer."""
        asked = self.machine.tick()
        self.machine.advance(there_ms / 1e3)
        us = int(self.true_ms(self.machine.tick()) * 1e3)
        self.machine.advance(back_ms / 1e3)
        sample = between(asked, self.machine.tick(), us, us)
        assert sample is not None
        self.time.heard(sample)

    def wrong_ms(self) -> float:
        """How far a stamp that is made now is off."""
        tick = self.machine.tick()
        return self.clock.wall_ms(tick) - self.true_ms(tick)


def test_before_anything_was_told_nothing_is_known() -> None:
    world = World()
    assert (world.time.offset_ms, world.time.error_ms) == (None, 0.0)
    assert not world.clock.synced


def test_the_first_sample_sets_the_clock() -> None:
    world = World()
    world.probe(10.0, 10.0)
    assert world.clock.synced
    assert world.wrong_ms() == pytest.approx(0.0, abs=0.01)
    assert world.time.error_ms == pytest.approx(10.0, abs=0.1)


def test_the_offset_is_from_the_machines_own_clock_as_it_is_now() -> None:
    world = World(machine_ms=TRUE_MS - 5_000.0)
    world.probe(1.0, 1.0)
    assert world.time.offset_ms == pytest.approx(5_000.0, abs=0.1)
    world.machine.step(3_600.0)
    assert world.time.offset_ms == pytest.approx(5_000.0 - HOUR_MS, abs=0.1)


def test_a_step_of_the_machines_clock_does_not_tear_a_recording() -> None:
    world = World(machine_ms=0.0)
    world.probe(5.0, 5.0)
    ticks = []
    for second in range(60):
        if second == 30:
            world.machine.step(TRUE_MS / 1e3)
        ticks.append(world.machine.tick())
        world.machine.advance(1.0)
        world.probe(5.0, 5.0)
    stamps = [world.clock.wall_ms(tick) for tick in ticks]
    assert all(later - earlier == pytest.approx(1_010.0, abs=0.01) for earlier, later in itertools.pairwise(stamps))
    assert world.wrong_ms() == pytest.approx(0.0, abs=0.05)


def test_the_error_grows_until_the_next_sample() -> None:
    world = World()
    world.probe(1.0, 1.0)
    fresh = world.time.error_ms
    world.machine.advance(600.0)
    assert world.time.error_ms == pytest.approx(fresh + 600_000 * MAX_DRIFT, abs=0.01)
    world.probe(1.0, 1.0)
    assert world.time.error_ms == pytest.approx(fresh, abs=0.01)


def test_a_good_sample_counts_for_more_than_later_slow_ones() -> None:
    world = World()
    world.probe(1.0, 1.0)
    for _ in range(5):
        world.machine.advance(1.0)
        world.probe(400.0, 2.0)
    assert abs(world.wrong_ms()) < 1.0
    assert world.time.error_ms < 3.0


def test_a_better_sample_is_believed_at_once_however_far_the_first_was_off() -> None:
    world = World()
    world.probe(0.0, 400.0)
    assert world.wrong_ms() == pytest.approx(-200.0, abs=0.5)
    world.probe(1.0, 1.0)
    assert abs(world.wrong_ms()) <= world.time.error_ms < 2.1


@pytest.mark.parametrize(("there_ms", "back_ms"), [(3_000.0, 1.0), (1.0, 3_000.0), (30_000.0, 0.0)])
def test_one_delayed_or_lopsided_sample_moves_nothing_far(there_ms: float, back_ms: float) -> None:
    world = World()
    world.probe(2.0, 2.0)
    before = world.clock.wall_ms(0)
    world.machine.advance(30.0)
    world.probe(there_ms, back_ms)
    assert abs(world.clock.wall_ms(0) - before) < 10.0
    assert abs(world.wrong_ms()) <= world.time.error_ms


@pytest.mark.parametrize("drift", [100e-6, -100e-6])
def test_a_slow_drift_is_followed(drift: float) -> None:
    world = World(drift)
    moves, before = [], None
    for _ in range(200):
        world.probe(4.0, 1.0)
        now = world.clock.wall_ms(0)
        moves.append(0.0 if before is None else now - before)
        before = now
        world.machine.advance(30.0)
    assert abs(world.wrong_ms()) < 10.0
    # Never in jumps: 3 ms of drift in 30 s are followed in steps of about that.
    assert max(map(abs, moves)) < 8.0


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS, YEARS_50_MS, -YEARS_50_MS, 5_000.0])
def test_a_step_of_the_gateways_clock_is_stepped_at_the_first_sample(step_ms: float) -> None:
    world = World()
    world.probe(5.0, 20.0)
    world.machine.advance(30.0)
    world.ahead_ms = step_ms
    world.probe(5.0, 20.0)
    assert abs(world.wrong_ms()) <= world.time.error_ms < 15.0


def test_within_what_is_possible_the_clock_is_turned_and_not_set() -> None:
    world = World()
    world.probe(0.0, 100.0)
    assert world.wrong_ms() == pytest.approx(-50.0, abs=0.1)
    world.machine.advance(10.0)
    before = world.clock.wall_ms(0)
    # It leaves more possible than is believed, so nothing forces the clock: it is turned by what 10 s allow.
    world.probe(45.0, 90.0)
    assert abs(world.clock.wall_ms(0) - before) <= 10_135.0 * MAX_SLEW + 0.01


def test_a_clock_that_cannot_be_set_still_knows_how_far_off_it_is() -> None:
    machine = ManualClock(wall_ms=TRUE_MS - 250.0)
    time = Synchroniser(machine)
    time.heard(ClockSample(0, TRUE_MS, 2.0))
    assert machine.wall_ms(0) == TRUE_MS - 250.0
    assert time.offset_ms == pytest.approx(250.0)
    assert time.error_ms == pytest.approx(2.0)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    drift=st.floats(-100e-6, 100e-6),
    jitter_ms=st.sampled_from([0.1, 5.0, 80.0, 2_000.0]),
    lopsided=st.floats(0.0, 1.0),
    steps=st.lists(st.sampled_from([HOUR_MS, -HOUR_MS, YEARS_50_MS, -YEARS_50_MS]), max_size=3, unique=True),
)
def test_a_stamp_is_never_further_off_than_is_said(
    seed: int, drift: float, jitter_ms: float, lopsided: float, steps: list[float]
) -> None:
    dice = random.Random(seed)
    world = World(drift, machine_ms=dice.choice([0.0, TRUE_MS]))
    for look in range(60):
        if steps and look % 20 == 19:
            world.ahead_ms += steps.pop()
        if dice.random() < 0.1:
            world.machine.step(dice.choice([-3_600.0, 3_600.0, 1.5e9]))
        trip = dice.expovariate(1 / jitter_ms) + 0.02
        world.probe(trip * lopsided, trip * (1 - lopsided))
        assert abs(world.wrong_ms()) <= world.time.error_ms + FLOAT_MS
        world.machine.advance(dice.expovariate(1 / 30.0))
        assert abs(world.wrong_ms()) <= world.time.error_ms + FLOAT_MS


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), drift=st.floats(-100e-6, 100e-6))
def test_stamps_of_one_recording_are_never_torn_by_corrections(seed: int, drift: float) -> None:
    dice = random.Random(seed)
    world = World(drift)
    world.probe(1.0, 1.0)
    for _ in range(60):
        tick, before = world.machine.tick(), world.clock.wall_ms(world.machine.tick())
        known = world.time.error_ms
        world.machine.advance(30.0)
        trip = dice.expovariate(1 / 40.0)
        lopsided = dice.random()
        world.probe(trip * lopsided, trip * (1 - lopsided))
        # It moves by no more than it said it might be wrong, and by what drifted since.
        assert abs(world.clock.wall_ms(tick) - before) <= known + 2 * 31_000 * MAX_DRIFT + trip * MAX_DRIFT

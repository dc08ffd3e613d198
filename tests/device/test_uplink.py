"""The uplink against a gateway in memory: what is taken arrives once, in batches of a good size."""

from __future__ import annotations

import pytest

from tests.support.rig import Rig, connected


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
    rig.intake.readings.append(("m", 1, 1_746_000_000_000_250_000, {"k": "v"}, "event", "run-1", rig.clock.tick()))
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

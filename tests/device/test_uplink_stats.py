"""The numbers of one client: what they say, and that they can be had at any time at no cost."""

from __future__ import annotations

import pytest

from tests.support.peer import Gateway
from tests.support.rig import ListBuffer, Rig, connected, cut_off


def test_a_client_with_nothing_to_do_has_nothing_to_tell() -> None:
    stats = connected(Rig()).uplink.stats()
    assert (stats.accepted, stats.delivered, stats.buffered, stats.in_flight, stats.retried) == (0, 0, 0, 0, 0)
    assert (stats.dropped, stats.declared, stats.dead_letters, stats.oldest_unsent_s) == ({}, 0, 0, 0.0)


def test_the_offset_and_its_error_are_those_of_the_gateways_clock() -> None:
    rig = Rig()
    assert (rig.uplink.stats().clock_offset_ms, rig.uplink.stats().clock_error_ms) == (None, 0.0)
    rig.gateway.clock_ahead_ms = 5_000.0
    stats = connected(rig).uplink.stats()
    assert stats.clock_offset_ms == pytest.approx(5_000.0, abs=5.0)
    assert 0.0 <= stats.clock_error_ms < 50.0


def test_every_point_is_in_one_place() -> None:
    rig = connected(Rig(buffer=ListBuffer(100)))
    rig.gateway.answers = False
    for value in range(200):
        rig.send(value)
        rig.run(0.01)
    rig.gateway.break_links()
    for _ in range(30):
        stats = rig.uplink.stats()
        assert stats.accepted == stats.delivered + stats.buffered + stats.in_flight + sum(stats.dropped.values())
        rig.run(0.1)
        rig.gateway.answers = True


def test_the_oldest_reading_is_as_old_as_it_waits_in_the_live_lane() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.run(0.2)
    assert rig.uplink.stats().oldest_unsent_s == pytest.approx(0.2, abs=0.01)


def test_the_oldest_reading_is_as_old_as_its_stamp_in_the_spool() -> None:
    rig = cut_off(connected(Rig()))
    rig.send(1)
    rig.run(30.0)
    rig.send(2)
    rig.run(10.0)
    assert rig.uplink.stats().oldest_unsent_s == pytest.approx(40.0, abs=1.0)


def test_the_age_goes_on_between_steps() -> None:
    rig = cut_off(connected(Rig()))
    rig.send(1)
    rig.run(5.0)
    before = rig.uplink.stats().oldest_unsent_s
    rig.clock.advance(2.0)
    assert rig.uplink.stats().oldest_unsent_s == pytest.approx(before + 2.0, abs=0.01)


def test_the_age_is_zero_again_when_all_is_delivered() -> None:
    rig = cut_off(connected(Rig()))
    rig.send(1)
    rig.run(5.0)
    rig.gateway.refuse_all(None)
    rig.run(80.0)
    assert (rig.gateway.values(), rig.uplink.stats().oldest_unsent_s) == ([1], 0.0)


def test_what_another_process_left_has_its_age_from_the_start() -> None:
    gateway, spool = Gateway(), ListBuffer()
    dead = cut_off(connected(Rig(gateway, spool)))
    dead.send(1)
    dead.run(1.0)
    dead.crash()
    dead.clock.advance(3_600.0)
    rig = cut_off(Rig(gateway, spool, clock=dead.clock))
    rig.run(1.0)
    assert rig.uplink.stats().oldest_unsent_s == pytest.approx(3_602.0, abs=2.0)


def test_stats_read_nothing_from_the_buffer() -> None:
    rig = cut_off(connected(Rig()))
    for value in range(10):
        rig.send(value)
        rig.run(0.3)
    reads = rig.buffer.reads
    for _ in range(100):
        rig.uplink.stats()
    assert rig.buffer.reads == reads


def test_a_backlog_is_asked_for_its_age_once_a_second_at_most() -> None:
    rig = cut_off(connected(Rig()))
    rig.send(0)
    rig.run(1.0)
    reads = rig.buffer.reads
    for value in range(100):
        rig.send(value)
        rig.run(0.05)
    assert rig.buffer.reads - reads <= 6

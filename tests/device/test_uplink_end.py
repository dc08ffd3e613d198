"""Flushes and the end of a client."""

from __future__ import annotations

import pytest

from tests.support.rig import ListBuffer, Rig, connected


def close(rig: Rig, timeout: float = 2.0) -> float:
    began = rig.clock.now
    rig.uplink.close(timeout)
    while not rig.uplink.finished.is_set():
        rig.run(0.01)
    return rig.clock.now - began


def test_close_delivers_what_is_left_and_ends_at_once() -> None:
    rig = connected(Rig())
    rig.send(1)
    took = close(rig)
    assert rig.gateway.values() == [1]
    assert took < 0.1
    assert rig.buffer.closed


def test_close_waits_for_the_first_link_of_a_short_program() -> None:
    rig = Rig()
    rig.send(1)
    close(rig)
    assert rig.gateway.values() == [1]


def test_close_keeps_in_the_spool_what_cannot_be_delivered_in_time() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    took = close(rig, timeout=1.0)
    assert took == pytest.approx(1.0, abs=0.1)
    assert rig.buffer.points == 1
    assert rig.uplink.stats().dropped == {}
    rig.gateway.answers = True
    rig.gateway.pump(rig.clock)
    after = Rig(rig.gateway, rig.buffer)
    after.run(5.0)
    assert rig.gateway.values() == [1]


def test_close_does_not_wait_for_a_gateway_that_will_not_be_tried_in_time() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.run(60.0)
    rig.send(1)
    assert close(rig, timeout=0.5) <= 0.6
    assert rig.buffer.points == 1


def test_close_counts_what_a_buffer_in_memory_takes_with_it() -> None:
    rig = Rig(buffer=ListBuffer(durable=False))
    rig.gateway.refuse_all()
    rig.send(1, 2)
    close(rig)
    assert rig.uplink.stats().dropped == {"closed": 2}


def test_readings_after_close_are_counted() -> None:
    rig = connected(Rig())
    close(rig)
    rig.send(1)
    assert rig.intake.alarm is not None
    rig.intake.alarm()
    stats = rig.uplink.stats()
    assert (stats.accepted, stats.dropped, stats.buffered) == (1, {"closed": 1}, 0)


def test_a_flush_is_done_when_all_that_was_taken_before_it_is_acknowledged() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    flush = rig.uplink.flush()
    rig.run(1.0)
    assert not flush.done.is_set()
    rig.gateway.answers = True
    rig.run(0.1)
    assert flush.done.is_set()
    assert flush.delivered


def test_a_flush_of_more_than_one_step_can_seal_waits_for_all_of_it() -> None:
    rig = connected(Rig())
    rig.send(*range(30_000))
    flush = rig.uplink.flush()
    while not flush.done.is_set():
        rig.step()
        rig.clock.advance(0.001)
    assert rig.gateway.values() == list(range(30_000))


def test_a_flush_tries_a_gateway_that_was_given_a_rest() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.send(1)
    rig.run(120.0)
    rig.gateway.refuse_all(None)
    flush = rig.uplink.flush()
    rig.run(1.0)
    assert flush.delivered
    assert rig.gateway.values() == [1]


def test_a_flush_that_meets_the_end_is_in_vain_and_does_not_hang() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.send(1)
    flush = rig.uplink.flush()
    close(rig, timeout=0.2)
    assert flush.done.is_set()
    assert not flush.delivered

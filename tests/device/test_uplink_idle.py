"""When the uplink looks again: seldom when nothing goes on, and never too late."""

from __future__ import annotations

import pytest

from plexus.device.dispatch import HOLD_S
from plexus.device.retrying import RetryConfig
from plexus.device.uplink import BUSY_FOR_S
from tests.support.rig import ListBuffer, Rig, connected, cut_off


def steps_in(rig: Rig, seconds: float) -> int:
    before = rig.steps
    rig.run(seconds)
    return rig.steps - before


@pytest.mark.parametrize("transport", ["ws", "http"])
def test_an_idle_connected_client_wakes_for_deadlines_only(transport: str) -> None:
    rig = connected(Rig(transport=transport))
    rig.send(1)
    rig.run(2 * BUSY_FOR_S)
    # A heartbeat, what it asks, and the answers to it.
    assert steps_in(rig, 60.0) <= 30


def test_a_client_that_is_idle_without_a_link_wakes_to_try_again_only() -> None:
    rig = cut_off(connected(Rig()))
    rig.run(30.0)
    assert steps_in(rig, 60.0) <= 20


def test_a_backlog_that_waits_for_a_link_costs_no_steps() -> None:
    rig = cut_off(connected(Rig()))
    rig.send(1)
    rig.run(30.0)
    assert steps_in(rig, 60.0) <= 20


def test_a_client_that_buffers_a_steady_stream_wakes_seldom() -> None:
    rig = cut_off(connected(Rig()))
    steps = 0
    for value in range(200):
        before = rig.steps
        rig.send(value)
        next_time = rig.wake_at
        if next_time <= rig.clock.now:
            rig.step()
        rig.clock.advance(0.02)
        steps += rig.steps - before
    # Four seconds.
    assert steps <= 100


def test_an_answer_that_does_not_come_costs_no_steps() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.run(2 * BUSY_FOR_S)
    assert steps_in(rig, 20.0) <= 10


def test_the_first_send_after_a_pause_rings_once_and_those_after_it_do_not() -> None:
    rig = connected(Rig())
    rig.run(2 * BUSY_FOR_S)
    for value in range(3):
        rig.send(value)
    assert rig.rings == 1
    rig.step()
    rig.send(4)
    assert rig.rings == 1


def test_while_there_is_traffic_no_send_rings() -> None:
    rig = connected(Rig())
    rig.send(0)
    rig.run(0.1)
    before = rig.rings
    for value in range(100):
        rig.send(value)
        rig.run(0.05)
    assert rig.rings == before


def test_the_bell_is_off_while_the_uplink_is_awake() -> None:
    rig = connected(Rig())
    rig.run(2 * BUSY_FOR_S)
    assert rig.intake.alarm is not None
    rig.send(1)
    rig.step()
    assert rig.intake.alarm is None


def test_a_reading_that_came_just_before_the_bell_was_on_is_not_slept_over() -> None:
    rig = connected(Rig())
    rig.run(2 * BUSY_FOR_S)
    arm = rig.uplink._alarms.arm

    def late() -> None:
        rig.intake.readings.append(("m", 1, None, None, "metric", None, rig.clock.tick()))
        arm()

    rig.uplink._alarms.arm = late  # type: ignore[method-assign]
    assert rig.uplink.step(rig.clock.now) == rig.clock.now


def test_a_reading_after_a_long_pause_is_sealed_and_kept_in_time_without_any_other_step() -> None:
    rig = cut_off(connected(Rig()))
    rig.run(40.0)
    rig.send(1)
    assert rig.rings >= 1
    began = rig.clock.now
    while rig.uplink.step(rig.clock.now) and not rig.buffer.points:
        rig.clock.advance(rig.uplink.step(rig.clock.now) - rig.clock.now)
    assert rig.clock.now - began <= 0.25 + 1e-6


def test_a_greeting_that_is_wanted_is_said_though_nothing_else_happens() -> None:
    rig = connected(Rig())
    rig.run(2 * BUSY_FOR_S)
    rig.outbox.want_hello()
    rig.run(0.5)
    assert rig.gateway.socket.peer.opened == 2


def test_a_gateway_that_asked_for_a_pause_is_asked_again_when_it_is_over() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.status, rig.gateway.retry_after = 503, "7"
    rig.send(1)
    rig.run(1.0)
    rig.gateway.status = None
    assert steps_in(rig, 5.0) <= 5
    rig.run(1.2)
    assert rig.gateway.values() == [1]


@pytest.mark.parametrize("offset_s", [0.0, 0.01, 0.05, 0.09])
def test_a_reading_of_a_stream_that_is_buffered_is_kept_in_time(offset_s: float) -> None:
    rig = cut_off(connected(Rig()))
    rig.run(5.0)
    rig.send("before")
    rig.sleep(0.5 + offset_s)
    points = rig.buffer.points
    rig.send("mine")
    rig.sleep(0.251)
    assert rig.buffer.points == points + 1


def test_a_loss_wakes_for_its_record_though_nothing_else_happens() -> None:
    rig = cut_off(connected(Rig()))
    rig.run(40.0)
    rig.counters.drop("spool_fault", 1)
    rig.step()
    rig.sleep(0.251)
    assert [loss.count for loss in rig.buffer.losses()] == [1]


def test_a_batch_that_is_held_wakes_for_its_next_try() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.status = 413
    rig.send("large")
    rig.run(0.05)
    rig.gateway.status = None
    rig.sleep(HOLD_S - 0.5)
    assert rig.gateway.values() == []
    rig.sleep(0.6)
    assert rig.gateway.values() == ["large"]


def test_a_request_that_failed_is_tried_again_at_its_time() -> None:
    rig = connected(Rig(transport="http", retry=RetryConfig(base_delay=15.0, jitter=False)))
    rig.gateway.status = 503
    rig.send(1)
    rig.run(0.05)
    rig.gateway.status = None
    rig.sleep(14.5)
    assert rig.gateway.values() == []
    rig.sleep(0.6)
    assert rig.gateway.values() == [1]


def test_close_looks_again_for_what_is_to_be_told_last() -> None:
    rig = connected(Rig(buffer=ListBuffer(durable=False)))
    rig.counters.drop("spool_fault", 1)
    rig.run(2.0)
    rig.counters.drop("spool_fault", 2)
    rig.uplink.close(2.0)
    rig.wake_at = rig.clock.now
    rig.sleep(0.2)
    assert rig.uplink.finished.is_set()
    assert [loss.count for loss in rig.gateway.losses] == [1, 2]

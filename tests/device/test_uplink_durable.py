"""What is durable, and when: `strict`, and a flush that is content with the spool."""

from __future__ import annotations

import pytest

from tests.support.rig import ListBuffer, Rig, connected, cut_off


def test_strict_sends_nothing_that_is_not_in_the_buffer() -> None:
    rig = connected(Rig(strict=True))
    rig.gateway.answers = False
    rig.send(1)
    rig.uplink.step(rig.clock.now)
    assert rig.buffer.points == 1
    rig.gateway.pump(rig.clock)
    assert len(rig.gateway._unsettled) == 1


def test_strict_sends_fresh_data_at_once_and_lets_it_go_when_it_is_acknowledged() -> None:
    rig = connected(Rig(strict=True))
    for value in range(5):
        rig.send(value)
        rig.run(0.02)
    rig.run(0.3)
    assert rig.gateway.values() == list(range(5))
    assert (rig.buffer.points, rig.uplink.waiting(), rig.gateway.strays) == (0, 0, [])


def test_strict_keeps_fresh_data_ahead_of_a_backlog() -> None:
    rig = cut_off(connected(Rig(strict=True)))
    for value in range(30):
        rig.send(*range(value * 900, value * 900 + 900))
        rig.run(0.3)
    rig.gateway.refuse_all(None)
    rig.gateway.answers = False
    while not rig.gateway._unsettled:
        rig.run(0.05)
    rig.send("fresh")
    rig.run(0.1)
    sent = [value for _, event in rig.gateway._unsettled for value in event.decoded.columns.value]
    assert "fresh" in sent
    assert len(sent) < 27_001
    rig.gateway.answers = True
    rig.run(10.0)
    assert (len(rig.gateway.values()), rig.gateway.strays, rig.buffer.points) == (27_001, [], 0)


def test_strict_loses_nothing_that_was_sent_when_the_process_is_killed() -> None:
    rig = connected(Rig(strict=True))
    rig.gateway.answers = False
    rig.send(1)
    rig.uplink.step(rig.clock.now)
    rig.crash()
    rig.gateway.answers = True
    Rig(rig.gateway, rig.buffer, clock=rig.clock).run(1.0)
    assert rig.gateway.values() == [1]


def test_without_strict_what_is_acknowledged_in_time_is_never_written() -> None:
    rig = connected(Rig())
    rig.send(1)
    rig.run(1.0)
    assert (rig.buffer.appends, rig.uplink.stats().durability) == (0, "spool")


@pytest.mark.parametrize(
    ("rig", "durability"),
    [
        (Rig(strict=True), "strict"),
        (Rig(buffer=ListBuffer(durable=False)), "memory"),
        (Rig(buffer=ListBuffer(durable=False), strict=True), "memory"),
    ],
)
def test_the_durability_is_in_the_stats(rig: Rig, durability: str) -> None:
    assert rig.uplink.stats().durability == durability


# --- flush --------------------------------------------------------------------------------------------------


def test_a_durable_flush_is_done_in_one_step_without_a_link() -> None:
    rig = cut_off(connected(Rig()))
    rig.send(1, 2)
    flush = rig.uplink.flush(durable=True)
    rig.uplink.step(rig.clock.now)
    assert flush.delivered
    assert rig.buffer.points == 2


def test_a_durable_flush_keeps_what_is_on_its_way_and_sends_it_once() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    flush = rig.uplink.flush(durable=True)
    rig.step()
    assert flush.done.is_set()
    assert rig.buffer.points == 1
    rig.gateway.answers = True
    rig.run(1.0)
    assert (rig.gateway.values(), rig.gateway.duplicates, rig.buffer.points) == ([1], 0, 0)


def test_a_durable_flush_covers_more_than_one_step_can_seal() -> None:
    rig = cut_off(connected(Rig()))
    rig.send(*range(30_000))
    flush = rig.uplink.flush(durable=True)
    while not flush.done.is_set():
        rig.step()
    assert rig.buffer.points == 30_000


def test_a_flush_that_is_not_durable_waits_for_delivery() -> None:
    rig = cut_off(connected(Rig()))
    rig.send(1)
    flush = rig.uplink.flush()
    rig.run(0.5)
    assert not flush.done.is_set()
    rig.gateway.refuse_all(None)
    rig.run(5.0)
    assert flush.delivered


def test_with_a_buffer_in_memory_a_durable_flush_is_only_delivery() -> None:
    rig = cut_off(connected(Rig(buffer=ListBuffer(durable=False))))
    rig.send(1)
    flush = rig.uplink.flush(durable=True)
    rig.run(0.5)
    assert not flush.done.is_set()
    rig.gateway.refuse_all(None)
    rig.run(5.0)
    assert flush.delivered


def test_while_the_disk_takes_nothing_in_a_durable_flush_is_only_delivery() -> None:
    rig = cut_off(connected(Rig()))
    rig.buffer.full = True
    rig.send(1)
    flush = rig.uplink.flush(durable=True)
    rig.run(0.5)
    assert not flush.done.is_set()
    rig.gateway.refuse_all(None)
    rig.run(5.0)
    assert flush.delivered


def test_what_a_durable_flush_kept_is_sent_by_the_next_process() -> None:
    rig = cut_off(connected(Rig()))
    rig.send(1)
    rig.uplink.flush(durable=True)
    rig.uplink.step(rig.clock.now)
    rig.crash()
    rig.gateway.refuse_all(None)
    Rig(rig.gateway, rig.buffer, clock=rig.clock).run(1.0)
    assert rig.gateway.values() == [1]

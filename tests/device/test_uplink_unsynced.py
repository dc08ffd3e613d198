"""Stamps from before the clock was told a time: put right once, frozen before they are sent, never changed after."""

from __future__ import annotations

import attrs
import pytest

from plexus.adapters.codec.columnar import ColumnarCodec
from tests.support.peer import START_MS, Gateway
from tests.support.rig import ListBuffer, Rig, cut_off

AHEAD_MS = 3_600_000.0


def ahead() -> Gateway:
    """A gateway whose time is an hour ahead of the device's."""
    gateway = Gateway()
    gateway.clock_ahead_ms = AHEAD_MS
    return gateway


def stamps(gateway: Gateway) -> list[float]:
    return [point.timestamp_ms for point in gateway.stored]


def test_what_was_sealed_in_memory_before_the_first_sync_is_stamped_right() -> None:
    rig = Rig(ahead())
    at = rig.clock.now
    rig.send(1)
    rig.run(0.2)
    assert stamps(rig.gateway) == [pytest.approx(START_MS + at * 1e3 + AHEAD_MS, abs=0.1)]


def test_what_was_spooled_before_the_first_sync_is_stamped_right() -> None:
    rig = cut_off(Rig(ahead(), compact=ColumnarCodec()))
    rig.send(1)
    at = rig.clock.now
    rig.run(10.0)
    assert all(batch.unsynced is not None for batch in rig.buffer.kept.values())
    rig.gateway.refuse_all(None)
    rig.run(60.0)
    assert stamps(rig.gateway) == [pytest.approx(START_MS + at * 1e3 + AHEAD_MS, abs=0.1)]


def test_what_is_put_right_in_the_buffer_is_durable_before_it_is_sent() -> None:
    rig = cut_off(Rig(ahead()))
    for value in range(40):
        rig.send(value)
        rig.run(0.3)
    rig.gateway.refuse_all(None)
    rig.gateway.answers = False
    while not rig.gateway._unsettled:
        rig.run(0.1)
    sent = {(event.batch.stream, event.batch.n) for _, event in rig.gateway._unsettled if event.batch}
    assert sent
    assert all(rig.buffer.kept[name].unsynced is None for name in sent)


def test_many_are_put_right_in_one_write() -> None:
    rig = cut_off(Rig(ahead()))
    for value in range(60):
        rig.send(value)
        rig.run(0.3)
    writes: list[int] = []
    rewrite = rig.buffer.rewrite
    rig.buffer.rewrite = lambda batches: (writes.append(len(list(batches))), rewrite(batches))[1]  # type: ignore[method-assign, func-returns-value]
    rig.gateway.refuse_all(None)
    rig.run(80.0)
    assert len(rig.gateway.values()) == 60
    assert writes == [32, 28]


def test_a_batch_that_was_sent_is_the_same_when_it_is_sent_again_by_another_clock() -> None:
    gateway, spool = ahead(), ListBuffer()
    rig = cut_off(Rig(gateway, spool))
    rig.send(1)
    rig.run(1.0)
    gateway.refuse_all(None)
    gateway.answers = False
    while not gateway._unsettled:
        rig.run(0.1)
    # Stored, and the device dies before it hears of it.
    gateway.answers = gateway.mute = True
    gateway.pump(rig.clock)
    rig.crash()
    gateway.mute = False
    gateway.clock_ahead_ms = -AHEAD_MS
    Rig(gateway, spool, clock=rig.clock).run(5.0)
    assert (gateway.values(), gateway.duplicates, gateway.strays, spool.points) == ([1], 1, [], 0)


def test_points_of_another_boot_that_was_never_told_the_time_are_sent_and_marked() -> None:
    gateway, spool = ahead(), ListBuffer()
    rig = cut_off(Rig(gateway, spool))
    rig.send(1)
    rig.run(1.0)
    rig.crash()
    gateway.refuse_all(None)
    after = Rig(gateway, spool)
    after.clock.boot_id = "another"
    after.run(5.0)
    assert [point.tags for point in gateway.stored] == [{"clock": "uncertain"}]


def test_a_gateway_that_tells_no_time_gets_the_stamps_as_they_are() -> None:
    rig = cut_off(Rig(transport="http"))
    at = rig.clock.now
    rig.send(1)
    rig.run(1.0)
    rig.gateway.refuse_all(None)
    rig.run(10.0)
    assert not rig.clock.synced
    assert stamps(rig.gateway) == [pytest.approx(START_MS + at * 1e3, abs=0.1)]


def test_what_cannot_be_put_right_on_disk_waits_and_fresh_data_does_not() -> None:
    rig = cut_off(Rig(ahead()))
    rig.send("old")
    rig.run(1.0)
    rig.buffer.full = True
    rig.gateway.refuse_all(None)
    rig.run(10.0)
    rig.send("fresh")
    rig.run(0.1)
    assert rig.gateway.values() == ["fresh"]
    rig.buffer.full = False
    rig.run(12.0)
    assert rig.gateway.values() == ["fresh", "old"]


def test_a_batch_that_cannot_be_read_to_be_put_right_is_counted_and_the_next_goes_on() -> None:
    rig = cut_off(Rig(ahead()))
    rig.send(1)
    rig.run(0.5)
    (name,) = rig.buffer.kept
    rig.buffer.kept[name] = attrs.evolve(rig.buffer.kept[name], body=b"\xff")
    rig.send(2)
    rig.run(0.5)
    rig.gateway.refuse_all(None)
    rig.run(20.0)
    assert (rig.gateway.values(), rig.uplink.stats().dropped) == ([2], {"unreadable": 1})

"""Slow links: readings are in the buffer in time all the same, and many small batches become few."""

from __future__ import annotations

import pytest

from plexus.adapters.codec.columnar import ColumnarCodec
from plexus.device.dispatch import SPOOL_AFTER_S
from tests.support.peer import Gateway, HandClock
from tests.support.rig import ListBuffer, Rig, connected, cut_off

STEP_S = 0.001


def synced() -> HandClock:
    """A clock that needs no telling: what was stamped by it is not written once more before it is sent."""
    clock = HandClock()
    clock.synced = True
    return clock


def unanswered(rig: Rig) -> Rig:
    """A request is under way, and no answer comes."""
    rig.gateway.answers = False
    rig.send("first")
    rig.run(0.01)
    return rig


@pytest.mark.parametrize("transport", ["ws", "http"])
@pytest.mark.parametrize("offset_s", [0.0, 0.049, 0.12, 0.2])
def test_on_any_link_a_reading_is_in_the_buffer_250_ms_after_it_was_taken(transport: str, offset_s: float) -> None:
    rig = unanswered(connected(Rig(transport=transport)))
    rig.run(offset_s)
    rig.send("mine")
    before = rig.buffer.points
    rig.run(SPOOL_AFTER_S + STEP_S)
    assert rig.buffer.points > before
    assert b'"mine"' in b"".join(batch.body for batch in rig.buffer.kept.values())


def test_every_reading_of_a_steady_stream_over_an_unanswered_request_is_in_the_buffer_in_time() -> None:
    rig = unanswered(connected(Rig(transport="http")))
    for value in range(200):
        rig.send(value)
        rig.run(0.01)
        assert rig.uplink.stats().buffered - rig.buffer.points <= 26


def test_over_requests_what_gathered_in_small_batches_goes_as_one() -> None:
    rig = unanswered(connected(Rig(transport="http")))
    for value in range(100):
        rig.send(value)
        rig.run(0.05)
    asked = len(rig.gateway.requests)
    assert len(rig.buffer.kept) > 15
    rig.gateway.answers = True
    rig.run(1.0)
    assert sorted(rig.gateway.values()[1:], key=int) == list(range(100))  # type: ignore[arg-type]
    assert len(rig.gateway.requests) - asked <= 4
    assert (rig.buffer.points, rig.gateway.strays) == (0, [])


def test_a_backlog_of_small_batches_drains_over_the_socket_in_few() -> None:
    rig = cut_off(connected(Rig()))
    for value in range(400):
        rig.send(value)
        rig.run(0.3)
    assert len(rig.buffer.kept) == 400
    rig.gateway.refuse_all(None)
    rig.run(80.0)
    assert rig.gateway.values() == list(range(400))
    assert len(rig.gateway.batches) <= 40
    assert (rig.buffer.points, rig.gateway.strays) == (0, [])


def test_a_batch_that_was_sent_keeps_its_name_and_is_not_put_together() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    for value in range(10):
        rig.send(value)
        rig.run(0.06)
    rig.run(0.3)
    sent = set(rig.buffer.kept)
    # Stored, and nobody hears of it.
    rig.gateway.answers = rig.gateway.mute = True
    rig.gateway.pump(rig.clock)
    rig.gateway.break_links()
    rig.gateway.mute = False
    for value in range(10, 20):
        rig.send(value)
        rig.run(0.06)
    rig.run(5.0)
    assert sorted(rig.gateway.values(), key=int) == list(range(20))  # type: ignore[arg-type]
    assert sent <= {(name.stream, name.n) for name in rig.gateway.batches}
    assert rig.gateway.duplicates == 10


def test_what_a_dead_process_left_may_have_been_sent_and_is_not_put_together() -> None:
    gateway, spool = Gateway(), ListBuffer()
    dead = cut_off(connected(Rig(gateway, spool)))
    for value in range(10):
        dead.send(value)
        dead.run(0.3)
    dead.crash()
    names = set(spool.kept)
    rig = Rig(gateway, spool, transport="http")
    for value in range(10, 20):
        rig.send(value)
        rig.run(0.3)
    gateway.refuse_all(None)
    rig.run(80.0)
    assert gateway.values() == list(range(20))
    assert names <= {(name.stream, name.n) for name in gateway.batches}
    assert len(gateway.batches) < 15


def test_a_crash_after_batches_were_put_together_sends_them_once() -> None:
    gateway, spool = Gateway(), ListBuffer()
    rig = unanswered(connected(Rig(gateway, spool, transport="http")))
    for value in range(20):
        rig.send(value)
        rig.run(0.3)
    gateway.answers = True
    rig.step()
    gateway.answers = False
    rig.run(0.1)
    # Stored by the gateway as one batch, and the device dies before it hears of it.
    gateway.answers = gateway.mute = True
    gateway.pump(rig.clock)
    rig.crash()
    gateway.mute = False
    Rig(gateway, spool, clock=rig.clock).run(5.0)
    assert sorted(map(str, gateway.values())) == sorted(["first", *map(str, range(20))])
    assert spool.points == 0


def test_batches_stay_apart_when_the_disk_does_not_take_the_one_that_holds_them() -> None:
    rig = unanswered(connected(Rig(transport="http", clock=synced())))
    for value in range(10):
        rig.send(value)
        rig.run(0.3)
    rig.buffer.full = True
    rig.gateway.answers = True
    rig.run(1.0)
    assert rig.gateway.values() == ["first", *range(10)]


def test_large_batches_are_left_as_they_are() -> None:
    rig = cut_off(connected(Rig()))
    for value in range(6):
        rig.send(*range(value * 900, value * 900 + 900))
        rig.run(0.3)
    names = set(rig.buffer.kept)
    rig.gateway.refuse_all(None)
    rig.run(30.0)
    assert names <= {(name.stream, name.n) for name in rig.gateway.batches}


def test_compact_batches_are_put_together_for_a_gateway_of_either_kind() -> None:
    for gateway in (Gateway(), Gateway("0.16.0")):
        rig = cut_off(connected(Rig(gateway, compact=ColumnarCodec())))
        for value in range(40):
            rig.send(value)
            rig.run(0.3)
        gateway.refuse_all(None)
        rig.run(80.0)
        assert gateway.values() == list(range(40))
        assert rig.buffer.points == 0

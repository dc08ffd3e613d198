"""The uplink over links that fail: kept in time, sent again, stored once."""

from __future__ import annotations

from tests.support.rig import Rig, connected


def test_a_batch_that_is_not_acknowledged_for_250_ms_is_in_the_buffer() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.run(0.24)
    assert rig.buffer.points == 0
    rig.run(0.03)
    assert rig.buffer.points == 1


def test_a_late_acknowledgement_takes_it_out_of_the_buffer_again() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.run(0.5)
    rig.gateway.answers = True
    rig.run(0.1)
    assert (rig.buffer.points, rig.gateway.values(), rig.uplink.waiting()) == (0, [1], 0)


def test_without_a_link_readings_are_in_the_buffer_within_250_ms() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.send(1)
    rig.run(0.26)
    assert rig.buffer.points == 1


def test_a_lost_link_sends_again_what_was_not_acknowledged_and_it_is_stored_once() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.step()
    rig.send(2)
    rig.run(0.1)
    # Stored, but the acknowledgements never arrive.
    rig.gateway.answers = rig.gateway.mute = True
    rig.gateway.pump(rig.clock)
    rig.gateway.break_links()
    rig.gateway.mute = False
    rig.run(5.0)
    assert rig.gateway.values() == [1, 2]
    assert rig.gateway.duplicates >= 1
    assert rig.uplink.stats().retried == 2
    assert rig.buffer.points == 0


def test_after_an_outage_fresh_data_goes_at_once_beside_the_backlog_which_keeps_its_order() -> None:
    rig = connected(Rig())
    rig.gateway.break_links()
    rig.gateway.refuse_all()
    for value in range(3_000):
        rig.send(value)
        if value % 100 == 0:
            rig.run(0.3)
    rig.gateway.refuse_all(None)
    rig.gateway.answers = False
    while not rig.gateway._unsettled:
        rig.run(0.05)
    rig.send("fresh")
    rig.run(0.06)
    sent = [event.decoded.columns.value for _, event in rig.gateway._unsettled]
    assert "fresh" in sent[-1]
    rig.gateway.answers = True
    rig.run(5.0)
    assert [value for value in rig.gateway.values() if value != "fresh"] == list(range(3_000))
    assert rig.buffer.points == 0


def test_a_goodbye_is_answered_with_a_new_connection_within_half_a_second() -> None:
    rig = connected(Rig())
    rig.gateway.goodbye()
    rig.run(0.09)
    assert rig.gateway.socket.peer.opened == 1
    rig.run(0.45)
    assert rig.gateway.socket.peer.opened == 2
    assert rig.uplink.stats().link == "ws"


def test_a_try_later_before_the_greeting_is_answered_with_backoff() -> None:
    rig = Rig()
    rig.gateway.refusal = ("REDIS_UNAVAILABLE", "later")
    rig.run(10.0)
    assert rig.gateway.socket.peer.opened <= 5
    rig.send(1)
    rig.gateway.refusal = None
    rig.run(20.0)
    assert rig.gateway.values() == [1]


def test_a_socket_that_is_gone_is_tried_again_with_growing_pauses() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.run(300.0)
    tries = sum("refused" in line for line in rig.status.lines)
    assert tries <= 2
    rig.gateway.refuse_all(None)
    rig.run(80.0)
    assert rig.uplink.stats().link == "ws"


def test_an_acknowledgement_that_never_comes_ends_the_link_and_the_data_goes_over_the_next() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.run(29.0)
    assert rig.gateway.socket.peer.opened == 1
    rig.run(5.0)
    assert rig.gateway.socket.peer.opened == 2
    rig.gateway.answers = True
    rig.run(5.0)
    assert rig.gateway.values() == [1]

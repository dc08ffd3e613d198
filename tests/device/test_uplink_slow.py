"""Links that take nothing, or little: memory is bounded, the buffer is in time, and a dead link ends."""

from __future__ import annotations

import pytest

from plexus.device.link import MAX_PENDING_BYTES
from plexus.domain.video import VideoFrame
from plexus.protocol import device
from tests.support.peer import Gateway
from tests.support.rig import Rig, connected, cut_off


def clogged(rig: Rig) -> Rig:
    """The network takes nothing of the socket any more, and says so to nobody."""
    rig.gateway.socket.peer.clog()
    return rig


def test_while_the_network_takes_nothing_readings_are_in_the_buffer_in_time() -> None:
    rig = clogged(connected(Rig()))
    for value in range(100):
        rig.send(value)
        rig.run(0.05)
    assert rig.buffer.points >= 94
    assert rig.uplink.stats().dropped == {}


def test_a_link_that_takes_nothing_ends_after_30_s_and_the_data_goes_over_the_next_once() -> None:
    rig = clogged(connected(Rig()))
    rig.send(*range(100))
    rig.run(29.0)
    assert rig.gateway.socket.peer.opened == 1
    rig.run(10.0)
    assert rig.gateway.socket.peer.opened == 2
    assert rig.gateway.values() == list(range(100))


def test_what_a_link_holds_that_takes_nothing_is_bounded() -> None:
    rig = clogged(connected(Rig()))
    for value in range(60):
        rig.send(*["x" * 60_000] * 10)
        rig.run(0.05)
        assert value >= 0
    assert rig.gateway.socket.pending <= MAX_PENDING_BYTES + 600_000
    assert rig.uplink.stats().dropped == {}


def test_frames_do_not_pile_up_on_a_link_that_takes_nothing() -> None:
    rig = clogged(connected(Rig()))
    for _ in range(50):
        rig.video.put(VideoFrame("drone-01", "front", b"x" * 100_000, 640, 480, 1_746_969_660_000))
        rig.run(0.05)
    assert rig.gateway.socket.pending <= 300_000


def test_without_acknowledgements_what_the_network_has_not_taken_is_not_delivered() -> None:
    rig = clogged(connected(Rig(Gateway("0.5.2"))))
    rig.send(1)
    rig.run(1.0)
    stats = rig.uplink.stats()
    assert (stats.delivered, stats.in_flight, rig.buffer.points) == (0, 1, 1)
    rig.gateway.socket.peer.clog(False)
    rig.run(1.0)
    assert (rig.uplink.stats().delivered, rig.gateway.values(), rig.buffer.points) == (1, [1], 0)


def test_a_gateway_that_knows_names_has_more_points_under_way_than_10_000() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(*range(30_000))
    rig.run(0.1)
    assert rig.uplink.stats().in_flight > 10_000


def test_a_gateway_that_knows_no_names_has_at_most_10_000_points_under_way() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.gateway.answers = False
    rig.send(*range(30_000))
    rig.run(0.1)
    assert 9_000 < rig.uplink.stats().in_flight <= 10_000


def test_what_is_under_way_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "WINDOW_BYTES", 100_000)
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(*["x" * 10_000] * 100)
    rig.run(0.1)
    assert rig.uplink.stats().in_flight <= 60
    rig.gateway.answers = True
    rig.run(5.0)
    assert len(rig.gateway.values()) == 100


def test_a_goodbye_is_heard_while_the_network_takes_nothing() -> None:
    rig = clogged(connected(Rig()))
    rig.send(1)
    rig.run(0.3)
    rig.gateway.goodbye(1001)
    rig.run(0.6)
    assert rig.gateway.socket.peer.opened == 2
    rig.run(1.0)
    assert rig.gateway.values() == [1]


@pytest.mark.parametrize("code", [1001, 1012, 1013])
def test_a_gateway_that_leaves_on_purpose_is_greeted_again_within_half_a_second(code: int) -> None:
    rig = connected(Rig())
    rig.gateway.goodbye(code)
    rig.run(0.55)
    assert rig.gateway.socket.peer.opened == 2


def test_a_cut_link_is_not_tried_at_once_as_after_a_goodbye() -> None:
    rig = cut_off(connected(Rig()))
    rig.gateway.refuse_all(None)
    rig.run(0.6)
    assert rig.gateway.socket.peer.opened == 1

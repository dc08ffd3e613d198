"""The uplink and gateways of older releases, and values that not every gateway takes."""

from __future__ import annotations

import pytest

from plexus.domain.errors import RateLimitedError
from tests.support.peer import Gateway
from tests.support.rig import Rig, connected


def test_a_gateway_of_052_gets_plain_frames_and_written_counts_as_delivered() -> None:
    rig = connected(Rig(Gateway("0.5.2")))
    rig.send(1, 2)
    rig.run(0.2)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), stats.delivered, stats.in_flight, stats.buffered) == ([1, 2], 2, 0, 0)
    assert rig.gateway.batches == []


def test_a_gateway_of_0160_is_sent_again_what_it_did_not_acknowledge() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.send(1)
    rig.step()
    rig.gateway.answers = False
    rig.send(2)
    rig.step()
    rig.gateway.break_links()
    rig.gateway.answers = True
    rig.run(5.0)
    assert rig.gateway.values() == [1, 2]
    assert rig.uplink.stats().delivered == 2


def test_rate_limited_points_are_counted_and_not_sent_again() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.gateway.rate_limited = True
    rig.send(1, 2, 3)
    rig.run(1.0)
    rig.gateway.rate_limited = False
    with pytest.raises(RateLimitedError, match="3 points"):
        rig.send(4)
    rig.run(1.0)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), stats.dropped, stats.delivered) == ([4], {"rate_limited": 3}, 1)


def test_an_older_gateway_gets_text_as_events_and_whole_milliseconds() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.send("RUNNING", True, 1.5)
    rig.intake.readings.append(("m", 2, 1_746_000_000_000_250_000, None, "metric", None, rig.clock.tick()))
    rig.run(0.5)
    assert [(point.value, point.event) for point in rig.gateway.stored] == [
        ("RUNNING", True),
        (True, True),
        (1.5, False),
        (2, False),
    ]
    assert rig.gateway.stored[3].timestamp_ms == 1_746_000_000_000.0


def test_nan_reaches_a_gateway_that_takes_it() -> None:
    rig = connected(Rig())
    rig.send(float("nan"), float("inf"))
    rig.run(0.5)
    nan, inf = rig.gateway.values()
    assert nan != nan
    assert inf == float("inf")


def test_nan_is_counted_as_dropped_where_the_gateway_cannot_take_it_and_the_rest_arrives() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.send(1, float("nan"), 2, float("-inf"))
    rig.run(0.5)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), stats.dropped, stats.delivered) == ([1, 2], {"non_finite": 2}, 2)


def test_a_batch_of_nothing_but_nan_does_not_stop_an_older_gateway() -> None:
    rig = connected(Rig(Gateway("0.5.2")))
    rig.send(float("nan"))
    rig.run(0.5)
    rig.send(1)
    rig.run(0.5)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), stats.dropped, stats.delivered) == ([1], {"non_finite": 1}, 1)


def test_a_nan_that_is_sent_twice_is_counted_once() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.gateway.answers = False
    rig.send(1, float("nan"))
    rig.run(0.5)
    rig.gateway.break_links()
    rig.gateway.answers = True
    rig.run(5.0)
    stats = rig.uplink.stats()
    assert (stats.dropped, stats.delivered) == ({"non_finite": 1}, 1)


def test_a_nan_inside_an_array_is_counted_and_takes_no_other_point_with_it() -> None:
    rig = connected(Rig())
    rig.send(1, [1.0, float("nan")], 2)
    rig.run(0.5)
    assert rig.gateway.values() == [1, 2]
    assert rig.uplink.stats().dropped == {"non_finite": 1}


def test_a_point_that_fits_no_message_is_counted_and_does_not_end_the_link() -> None:
    rig = connected(Rig())
    rig.send(1, "x" * 1_100_000, 2)
    rig.run(0.5)
    assert rig.gateway.values() == [1, 2]
    assert rig.uplink.stats().dropped == {"too_large": 1}
    assert rig.gateway.socket.peer.opened == 1

"""The uplink over plain HTTP."""

from __future__ import annotations

from plexus.device.retrying import RetryConfig
from tests.support.rig import Rig, connected


def test_without_a_socket_data_goes_over_http_and_back_when_it_returns() -> None:
    rig = Rig()
    rig.gateway.refuse_sockets()
    rig.send(1)
    rig.run(1.0)
    assert (rig.uplink.stats().link, rig.gateway.values()) == ("http", [1])
    rig.gateway.refuse_sockets(None)
    rig.run(5.0)
    rig.send(2)
    rig.run(0.2)
    assert (rig.uplink.stats().link, rig.gateway.values()) == ("ws", [1, 2])
    assert any("over HTTP" in line for line in rig.status.lines)


def test_a_batch_keeps_its_name_from_the_socket_to_http() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.step()
    rig.gateway.answers = rig.gateway.mute = True
    rig.gateway.pump(rig.clock)
    rig.gateway.break_links()
    rig.gateway.mute = False
    rig.gateway.refuse_sockets()
    rig.run(5.0)
    assert rig.uplink.stats().link == "http"
    assert (rig.gateway.values(), rig.gateway.duplicates, rig.uplink.stats().delivered) == ([1], 1, 1)


def test_a_link_that_only_streaming_is_refused_on_stays_on_http_and_raises_nothing() -> None:
    rig = Rig()
    rig.gateway.refusal = ("streaming_requires_plan", "upgrade")
    rig.send(1)
    rig.run(1.0)
    assert (rig.uplink.stats().link, rig.gateway.values()) == ("http", [1])
    assert rig.intake.alarm is None


def test_503_keeps_the_data_and_tries_again_after_the_configured_delays() -> None:
    rig = Rig(transport="http", retry=RetryConfig(base_delay=2.0, jitter=False))
    connected(rig)
    rig.gateway.status = 503
    rig.send(1)
    rig.run(0.3)
    assert (len(rig.gateway.requests), rig.buffer.points) == (2, 1)
    rig.run(1.5)
    assert len(rig.gateway.requests) == 2
    rig.run(0.3)
    assert len(rig.gateway.requests) == 3
    rig.gateway.status = None
    rig.run(5.0)
    assert (rig.gateway.values(), rig.buffer.points) == ([1], 0)


def test_after_max_retries_the_connection_is_made_anew_and_the_data_is_kept() -> None:
    rig = connected(Rig(transport="http", retry=RetryConfig(max_retries=2, base_delay=0.1, jitter=False)))
    rig.gateway.status = 500
    rig.send(1)
    rig.run(1.0)
    assert rig.uplink.stats().link == ""
    rig.gateway.status = None
    rig.run(5.0)
    assert rig.gateway.http.peer.opened >= 2
    assert rig.gateway.values() == [1]


def test_retry_after_is_obeyed() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.status, rig.gateway.retry_after = 429, "20"
    rig.send(1)
    rig.run(1.0)
    asked = len(rig.gateway.requests)
    rig.gateway.status = None
    rig.run(18.0)
    assert len(rig.gateway.requests) == asked
    rig.run(3.0)
    assert rig.gateway.values() == [1]


def test_points_that_http_answers_as_dropped_are_counted_and_not_sent_again() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.rate_limited = True
    rig.send(1, 2)
    rig.run(1.0)
    stats = rig.uplink.stats()
    assert (stats.dropped, stats.delivered, stats.buffered) == ({"rate_limited": 2}, 0, 0)


def test_a_malformed_batch_is_given_up_and_counted_and_the_next_goes_on() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.status = 400
    rig.send(1)
    rig.run(1.0)
    rig.gateway.status = None
    rig.send(2)
    rig.run(1.0)
    assert rig.uplink.stats().dropped == {"malformed": 1}
    assert rig.gateway.values() == [2]


def test_over_slow_http_batches_do_not_come_faster_than_answers() -> None:
    rig = connected(Rig(transport="http"))
    before = len(rig.gateway.requests)
    value = 0
    for _ in range(20):
        rig.gateway.answers = False
        for _ in range(50):
            rig.send(value)
            value += 1
            rig.clock.advance(0.01)
            rig.uplink.step(rig.clock.now)
        rig.gateway.answers = True
        rig.gateway.pump(rig.clock, 1)
        rig.uplink.step(rig.clock.now)
    assert len(rig.gateway.requests) - before <= 21
    assert rig.uplink.waiting() <= 200
    rig.run(3.0)
    assert sorted(rig.gateway.values(), key=int) == list(range(value))  # type: ignore[arg-type]

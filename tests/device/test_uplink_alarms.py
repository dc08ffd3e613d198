"""What the next `send` raises and `on_error` is told: refused keys, limits, losses."""

from __future__ import annotations

import pytest

from plexus.domain.errors import AuthenticationError, BufferFault, DataLossError, PlexusError, RateLimitedError
from tests.support.peer import Gateway
from tests.support.rig import ListBuffer, Rig, connected, cut_off


def told(rig: Rig, kind: type[PlexusError]) -> list[PlexusError]:
    return [error for error in rig.errors if isinstance(error, kind)]


# --- the key ------------------------------------------------------------------------------------------------


def refused(rig: Rig) -> Rig:
    rig.gateway.refusal = ("invalid_api_key", "invalid API key")
    rig.run(1.0)
    return rig


def test_a_refused_key_is_raised_once_and_the_data_stays() -> None:
    rig = Rig()
    rig.send(1)
    refused(rig)
    with pytest.raises(AuthenticationError, match="invalid API key"):
        rig.send(2)
    rig.send(3)
    rig.run(1.0)
    assert (rig.buffer.points, rig.uplink.stats().dropped) == (3, {})
    assert sum("rejected" in line for line in rig.status.lines) == 1


def test_a_key_that_is_still_refused_later_is_not_raised_again() -> None:
    rig = refused(Rig())
    with pytest.raises(AuthenticationError, match="API key"):
        rig.send(1)
    rig.run(200.0)
    assert rig.gateway.socket.peer.opened >= 3
    rig.send(2)
    assert len(told(rig, AuthenticationError)) == 1


def test_a_key_that_is_refused_once_more_after_it_was_good_is_raised_again() -> None:
    rig = refused(Rig())
    with pytest.raises(AuthenticationError, match="API key"):
        rig.send(1)
    rig.gateway.refusal = None
    rig.run(70.0)
    rig.gateway.break_links()
    refused(rig)
    rig.run(2.0)
    with pytest.raises(AuthenticationError, match="API key"):
        rig.send(2)


def test_a_refused_key_is_not_asked_about_for_a_minute() -> None:
    rig = Rig()
    rig.gateway.refusal = ("invalid_api_key", "invalid API key")
    rig.run(55.0)
    assert rig.gateway.socket.peer.opened == 1
    rig.gateway.refusal = None
    with pytest.raises(AuthenticationError, match="API key"):
        rig.send(1)
    rig.run(10.0)
    assert rig.gateway.values() == [1]


def test_a_key_that_works_again_raises_nothing() -> None:
    rig = refused(Rig())
    rig.gateway.refusal = None
    rig.run(70.0)
    rig.send(1)


def test_401_over_http_is_a_refused_key_too() -> None:
    rig = Rig(transport="http", api_key="plx_wrong")
    rig.send(1)
    rig.run(1.0)
    with pytest.raises(AuthenticationError, match="API key"):
        rig.send(2)
    assert rig.buffer.points == 1


def test_an_error_that_waits_for_the_next_send_rings_as_well() -> None:
    rig = refused(Rig())
    rig.run(2.0)
    with pytest.raises(AuthenticationError, match="API key"):
        rig.send(1)
    assert rig.rings == 1


# --- limits -------------------------------------------------------------------------------------------------


def test_a_rate_limit_is_raised_by_the_next_send_once_and_its_own_reading_is_safe() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.gateway.rate_limited = True
    rig.send(1)
    rig.run(0.1)
    with pytest.raises(RateLimitedError, match="slow down"):
        rig.send(2)
    for value in range(3, 6):
        rig.run(0.1)
        rig.send(value)
    rig.gateway.rate_limited = False
    rig.run(1.0)
    assert rig.gateway.values() == [5]
    assert rig.uplink.stats().dropped == {"rate_limited": 4}
    assert len(told(rig, RateLimitedError)) == 1


def test_a_rate_limit_is_raised_again_after_a_batch_was_taken_whole() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    for _ in range(2):
        rig.gateway.rate_limited = True
        rig.send(1)
        rig.run(0.1)
        with pytest.raises(RateLimitedError, match="for rate"):
            rig.send(2)
        rig.gateway.rate_limited = False
        rig.run(1.0)
    assert len(told(rig, RateLimitedError)) == 2


def test_points_that_http_left_out_for_rate_are_raised_and_told_too() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.rate_limited = True
    rig.send(1, 2)
    rig.run(0.1)
    with pytest.raises(RateLimitedError, match="2 points"):
        rig.send(3)


# --- on_error -----------------------------------------------------------------------------------------------


def test_the_first_loss_of_a_reason_is_told_with_its_count_and_time_range() -> None:
    rig = cut_off(connected(Rig(buffer=ListBuffer(2))))
    rig.send(1, 2)
    began = rig.clock.wall_ms(rig.clock.tick())
    rig.run(0.5)
    rig.send(3, 4)
    rig.run(0.5)
    (error,) = told(rig, DataLossError)
    assert isinstance(error, DataLossError)
    assert (error.loss.reason, error.loss.count) == ("buffer_full", 2)
    assert error.loss.first_ms == error.loss.last_ms == pytest.approx(began, abs=0.01)


def test_later_losses_of_the_same_burst_are_counted_and_not_told() -> None:
    rig = cut_off(connected(Rig(buffer=ListBuffer(2))))
    for value in range(20):
        rig.send(value)
        rig.run(0.3)
    assert len(told(rig, DataLossError)) == 1
    rig.gateway.refuse_all(None)
    rig.run(80.0)
    cut_off(rig)
    for value in range(4):
        rig.send(value)
        rig.run(0.3)
    assert len(told(rig, DataLossError)) == 2


def test_a_disk_that_takes_nothing_in_is_told() -> None:
    rig = cut_off(connected(Rig()))
    rig.buffer.full = True
    rig.send(1)
    rig.run(0.5)
    (error,) = told(rig, BufferFault)
    assert "the disk is full; going on in memory" in str(error)


def test_what_on_error_raises_is_logged_and_delivery_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def fail(error: PlexusError) -> None:
        raise OSError("the program's own mistake")

    rig = connected(Rig(transport="http", on_error=fail))
    rig.gateway.status = 400
    rig.send(1)
    rig.run(0.5)
    rig.gateway.status = None
    rig.send(2)
    rig.run(0.5)
    assert rig.gateway.values() == [2]
    assert "on_error failed" in caplog.text


def test_on_error_is_called_when_the_numbers_are_right_already() -> None:
    seen: list[dict[str, int]] = []
    rig = Rig(transport="http", on_error=lambda _error: seen.append(dict(rig.uplink.stats().dropped)))
    connected(rig).gateway.status = 400
    rig.send(1)
    rig.run(0.5)
    assert seen == [{"malformed": 1}]
    assert rig.uplink.waiting() == 0

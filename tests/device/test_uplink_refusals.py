"""Refused for good: kept for a person, counted, and in nobody's way. Too large for the gateway: held."""

from __future__ import annotations

import pytest

from plexus.device.dispatch import HOLD_S
from plexus.domain.errors import BufferFault, DeliveryError
from tests.support.peer import Gateway
from tests.support.rig import Rig, connected

# --- dead letters -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 422])
def test_a_batch_that_http_refuses_for_good_is_kept_for_a_person_and_the_next_goes_on(status: int) -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.status = status
    rig.send(1, 2)
    rig.run(0.5)
    rig.gateway.status = None
    rig.send(3)
    rig.run(0.5)
    assert rig.letters.kept == [("drone-01", [1, 2], "malformed", f"status {status}")]
    stats = rig.uplink.stats()
    assert (stats.dead_letters, stats.dropped, rig.gateway.values()) == (2, {"malformed": 2}, [3])


def test_a_batch_that_the_socket_refuses_for_good_is_kept_for_a_person() -> None:
    rig = connected(Rig())
    rig.gateway.refused = ("MALFORMED", "points[0].value must not be null")
    rig.send(1)
    rig.run(0.2)
    assert rig.letters.kept == [("drone-01", [1], "malformed", "points[0].value must not be null")]


def test_the_backlog_behind_a_refused_batch_goes_on() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    for value in range(6):
        rig.send(value)
        rig.run(0.3)
    rig.gateway.refused, rig.gateway.answers = ("MALFORMED", "no"), True
    rig.gateway.pump(rig.clock)
    rig.gateway.refused = None
    rig.send(6)
    rig.run(1.0)
    assert rig.uplink.stats().dead_letters == 6
    assert (rig.gateway.values(), rig.uplink.waiting(), rig.buffer.points) == ([6], 0, 0)


def test_points_that_the_gateway_names_by_index_are_kept_and_the_others_count_as_delivered() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.faults = {1: "value must not be null"}
    rig.send(10, 11, 12)
    rig.run(0.5)
    assert rig.letters.kept == [("drone-01", [11], "refused", "value must not be null")]
    stats = rig.uplink.stats()
    assert (stats.delivered, stats.dropped, stats.dead_letters) == (2, {"refused": 1}, 1)


def test_an_index_that_counts_without_what_was_left_out_names_nobodys_point() -> None:
    rig = connected(Rig(Gateway("0.16.0"), transport="http"))
    rig.gateway.faults = {0: "bad"}
    rig.send(float("nan"), 11)
    rig.run(0.5)
    assert rig.letters.kept == []
    assert rig.uplink.stats().dropped == {"non_finite": 1, "refused": 1}


def test_points_that_are_refused_for_rate_are_no_dead_letters() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.gateway.rate_limited = True
    rig.send(1)
    rig.run(0.2)
    assert rig.letters.kept == []
    assert rig.uplink.stats().dropped == {"rate_limited": 1}


def test_dead_letters_that_cannot_be_kept_are_counted_and_told_and_hold_nothing_up() -> None:
    rig = connected(Rig(transport="http"))
    rig.letters.broken = True
    rig.gateway.status = 400
    rig.send(1, 2)
    rig.run(0.5)
    rig.gateway.status = None
    rig.send(3)
    rig.run(0.5)
    stats = rig.uplink.stats()
    assert (stats.dead_letters, stats.dead_letter_faults, rig.gateway.values()) == (0, 2, [3])
    assert any("2 points that the gateway refused are not kept" in str(error) for error in rig.errors)
    assert any(isinstance(error, BufferFault) for error in rig.errors)


def test_dead_letters_are_let_go_at_the_end() -> None:
    rig = connected(Rig())
    rig.uplink.close(0.1)
    rig.run(0.5)
    assert rig.letters.closed


# --- 413 ----------------------------------------------------------------------------------------------------


def test_a_batch_that_is_too_large_for_the_gateway_is_held_and_the_rest_goes_on() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.status = 413
    rig.send("large")
    rig.run(0.5)
    rig.gateway.status = None
    rig.send(1)
    rig.run(5.0)
    assert rig.gateway.values() == [1]
    stats = rig.uplink.stats()
    assert (stats.dropped, stats.buffered, rig.buffer.points) == ({}, 1, 1)


def test_a_batch_that_is_held_is_told_to_the_person_and_to_the_program() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.status = 413
    rig.send("large")
    rig.run(0.5)
    assert any("takes no message of that size" in line for line in rig.status.lines)
    assert any(isinstance(error, DeliveryError) and "kept here" in str(error) for error in rig.errors)


def test_a_batch_that_is_held_keeps_its_name_and_is_tried_again_after_a_while() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.status = 413
    rig.send("large")
    rig.run(0.5)
    (name,) = rig.buffer.kept
    rig.gateway.status = None
    rig.run(HOLD_S - 10.0)
    assert rig.gateway.values() == []
    rig.run(20.0)
    assert rig.gateway.values() == ["large"]
    assert (rig.gateway.batches[-1].stream, rig.gateway.batches[-1].n) == name


def test_a_batch_that_is_held_is_tried_at_once_on_a_new_link() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.status = 413
    rig.send("large")
    rig.run(0.5)
    rig.gateway.status = None
    rig.gateway.break_links()
    rig.run(5.0)
    assert rig.gateway.values() == ["large"]


# --- answers of something in between ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 302, 404, 502, 511])
def test_the_page_of_a_captive_portal_releases_nothing_and_condemns_nothing(status: int) -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.page = (status, b"<html>Please sign in</html>")
    rig.send(1)
    rig.run(20.0)
    stats = rig.uplink.stats()
    assert (stats.delivered, stats.dropped, rig.buffer.points) == (0, {}, 1)
    rig.gateway.page = None
    rig.run(80.0)
    assert rig.gateway.values() == [1]


@pytest.mark.parametrize(
    "reason",
    [
        "gateway.example: the name is not known; check the address and the DNS server",
        "gateway.example: the certificate is not trusted; check the clock and the CA bundle",
        "gateway.example:443 refuses connections",
    ],
)
def test_why_there_is_no_link_is_told_once_and_the_data_waits_in_the_buffer(reason: str) -> None:
    rig = Rig()
    rig.gateway.refuse_all(reason)
    rig.send(1)
    rig.run(120.0)
    assert sum(reason in line for line in rig.status.lines) == 1
    assert rig.buffer.points == 1
    assert rig.errors == []
    rig.gateway.refuse_all(None)
    rig.run(80.0)
    assert rig.gateway.values() == [1]

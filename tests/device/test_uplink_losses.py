"""No loss in silence: counted, on the buffer's record, declared to the gateway once, when it takes declarations."""

from __future__ import annotations

import pytest

from plexus.domain.loss import Loss
from plexus.protocol import extensions
from tests.support.peer import Gateway
from tests.support.rig import ListBuffer, Rig, connected, cut_off, losses


def overflowing(rig: Rig, count: int = 4) -> Rig:
    """Without a link, so many readings, of which the buffer keeps the last two."""
    for value in range(count):
        rig.send(value)
        rig.run(0.3)
    return rig


def declared(gateway: Gateway) -> dict[str, int]:
    found: dict[str, int] = {}
    for loss in gateway.losses:
        found[loss.reason] = found.get(loss.reason, 0) + loss.count
    return found


def without_gaps(gateway: Gateway) -> Gateway:
    gateway.offers = {name: version for name, version in gateway.offers.items() if name != extensions.GAPS}
    return gateway


def test_what_a_full_buffer_let_go_is_on_its_record_and_then_on_the_gateways() -> None:
    rig = overflowing(cut_off(connected(Rig(buffer=ListBuffer(2)))))
    assert losses(rig.buffer) == {"buffer_full": 2}
    rig.gateway.refuse_all(None)
    rig.run(20.0)
    stats = rig.uplink.stats()
    assert (declared(rig.gateway), stats.declared, stats.dropped) == ({"buffer_full": 2}, 2, {"buffer_full": 2})
    assert (losses(rig.buffer), rig.buffer.kept) == ({}, {})


def test_a_declaration_says_from_when_the_points_were() -> None:
    rig = cut_off(connected(Rig(buffer=ListBuffer(2))))
    first = rig.clock.wall_ms(rig.clock.tick())
    overflowing(rig)
    rig.gateway.refuse_all(None)
    rig.run(20.0)
    (loss,) = rig.gateway.losses
    assert loss.first_ms == pytest.approx(first, abs=1)
    assert loss.last_ms == pytest.approx(first + 300, abs=5)


def test_points_that_are_refused_are_recorded_before_their_batch_leaves_the_buffer() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.run(0.3)
    assert rig.buffer.points == 1
    seen: list[dict[str, int]] = []
    release = rig.buffer.release
    rig.buffer.release = lambda batches: (seen.append(losses(rig.buffer)), release(batches))[1]  # type: ignore[method-assign, func-returns-value]
    rig.gateway.answers, rig.gateway.refused = True, ("MALFORMED", "nothing of it can be read")
    rig.gateway.pump(rig.clock)
    rig.uplink.step(rig.clock.now)
    assert seen[0] == {"malformed": 1}
    rig.gateway.refused = None
    rig.run(1.0)
    assert declared(rig.gateway) == {"malformed": 1}


def test_a_loss_of_what_was_only_in_memory_is_recorded_within_250_ms() -> None:
    rig = connected(Rig(without_gaps(Gateway())))
    rig.send([float("nan")])
    rig.run(0.01)
    assert losses(rig.buffer) == {}
    rig.run(0.26)
    assert losses(rig.buffer) == {"non_finite": 1}


def test_a_point_that_fits_no_message_is_declared() -> None:
    rig = connected(Rig())
    rig.send("x" * 1_100_000)
    rig.run(1.0)
    assert declared(rig.gateway) == {"too_large": 1}


def test_a_batch_that_no_codec_reads_is_declared_and_the_next_goes_on() -> None:
    rig = cut_off(connected(Rig(Gateway("0.16.0"))))
    rig.send("text that needs an extension")
    rig.run(0.3)
    (key,) = rig.buffer.kept
    rig.buffer.kept[key] = type(rig.buffer.kept[key])(*key, 1, b"\xff", "d", frozenset({"any_metric"}))
    rig.send(2)
    rig.run(0.3)
    rig.gateway.refuse_all(None)
    rig.run(20.0)
    assert (rig.gateway.values(), losses(rig.buffer)) == ([2], {"unreadable": 1})


def test_a_loss_is_told_once_though_the_link_is_lost_before_its_acknowledgement() -> None:
    rig = overflowing(cut_off(connected(Rig(buffer=ListBuffer(2)))))
    rig.gateway.refuse_all(None)
    rig.gateway.answers = False
    rig.run(20.0)
    assert any(batch.losses for batch in rig.buffer.kept.values())
    rig.gateway.answers = rig.gateway.mute = True
    rig.gateway.pump(rig.clock)
    rig.gateway.break_links()
    rig.gateway.mute = False
    rig.run(20.0)
    assert (declared(rig.gateway), rig.uplink.stats().declared) == ({"buffer_full": 2}, 2)


def test_a_loss_that_was_not_told_is_told_by_the_next_process() -> None:
    gateway, spool = Gateway(), ListBuffer(2)
    overflowing(cut_off(connected(Rig(gateway, spool)))).crash()
    gateway.refuse_all(None)
    rig = Rig(gateway, spool)
    rig.run(5.0)
    assert (declared(gateway), rig.uplink.stats().declared) == ({"buffer_full": 2}, 2)
    assert gateway.values() == [2, 3]


def test_a_declaration_that_a_dead_process_sealed_is_sent_under_its_name() -> None:
    gateway, spool = Gateway(), ListBuffer(2)
    first = overflowing(cut_off(connected(Rig(gateway, spool))))
    gateway.refuse_all(None)
    gateway.answers = False
    first.run(20.0)
    first.crash()
    assert any(batch.losses for batch in spool.kept.values())
    gateway.answers = True
    Rig(gateway, spool).run(5.0)
    assert declared(gateway) == {"buffer_full": 2}
    assert spool.kept == {}


def test_over_a_link_without_declarations_the_record_waits_and_nothing_else_does() -> None:
    rig = overflowing(cut_off(connected(Rig(without_gaps(Gateway()), ListBuffer(2)))))
    rig.gateway.refuse_all(None)
    rig.run(20.0)
    rig.send(4)
    rig.run(0.5)
    assert (rig.gateway.values(), rig.gateway.losses) == ([2, 3, 4], [])
    assert losses(rig.buffer) == {"buffer_full": 2}


def test_a_declaration_that_is_sealed_blocks_nothing_on_a_link_that_does_not_take_it() -> None:
    spool = ListBuffer()
    dead = connected(Rig(Gateway(), spool))
    dead.gateway.answers = False
    dead.send([float("nan")])
    dead.run(1.0)
    dead.crash()
    gateway = without_gaps(Gateway())
    rig = cut_off(Rig(gateway, spool))
    rig.send("mine")
    rig.run(0.5)
    gateway.refuse_all(None)
    rig.run(70.0)
    assert gateway.values() == ["mine"]
    assert [batch.losses[0].count for batch in spool.kept.values()] == [1]
    rig.gateway.offers = {**gateway.offers, extensions.GAPS: 1}
    rig.gateway.break_links()
    rig.run(5.0)
    assert declared(gateway) == {"non_finite": 1}


def test_losses_that_go_on_are_declared_together() -> None:
    rig = connected(Rig())
    for _ in range(40):
        rig.send([float("nan")])
        rig.run(0.1)
    rig.run(10.0)
    assert declared(rig.gateway) == {"non_finite": 40}
    assert len(rig.gateway.losses) <= 3


def test_close_waits_for_the_declaration_of_what_was_just_lost() -> None:
    rig = connected(Rig(buffer=ListBuffer(durable=False)))
    rig.send([float("nan")])
    rig.uplink.close(2.0)
    rig.run(1.0)
    assert rig.uplink.finished.is_set()
    assert declared(rig.gateway) == {"non_finite": 1}


def test_a_loss_while_the_disk_takes_nothing_in_is_remembered_in_memory() -> None:
    rig = connected(Rig())
    rig.buffer.full = True
    rig.send([float("nan")])
    rig.run(2.0)
    assert declared(rig.gateway) == {"non_finite": 1}
    assert losses(rig.spare) == {}


def test_an_adopted_buffer_with_a_loss_on_record_is_closed_after_it_was_told() -> None:
    left = ListBuffer()
    left.lose([Loss("spool_damaged", 7)])
    rig = connected(Rig(adopted=[left]))
    rig.run(1.0)
    assert declared(rig.gateway) == {"spool_damaged": 7}
    assert left.closed


def test_an_adopted_buffer_with_a_loss_on_record_stays_open_while_nobody_takes_it() -> None:
    left = ListBuffer()
    left.lose([Loss("spool_damaged", 7)])
    rig = connected(Rig(without_gaps(Gateway()), adopted=[left]))
    rig.run(1.0)
    assert not left.closed


def test_points_left_out_by_an_older_gateway_for_want_of_a_form_are_recorded() -> None:
    rig = connected(Rig(Gateway("0.16.0")))
    rig.send(1, float("nan"))
    rig.run(0.5)
    assert losses(rig.buffer) == {"non_finite": 1}


def test_a_refusal_while_the_disk_fails_is_recorded_in_memory_and_told() -> None:
    rig = connected(Rig(transport="http"))
    rig.buffer.broken = True
    rig.gateway.status = 400
    rig.send(1)
    rig.run(0.1)
    rig.gateway.status = None
    rig.run(1.0)
    assert declared(rig.gateway) == {"malformed": 1}


def test_a_declaration_that_is_refused_goes_back_on_the_record_for_the_next_link() -> None:
    rig = connected(Rig(transport="http"))
    rig.gateway.status = 400
    rig.send(1)
    rig.run(30.0)
    assert losses(rig.buffer) == {"malformed": 1}
    assert len(rig.gateway.requests) == 3
    rig.gateway.status = None
    rig.gateway.break_links()
    rig.run(5.0)
    assert (declared(rig.gateway), rig.uplink.stats().dropped) == ({"malformed": 1}, {"malformed": 1})

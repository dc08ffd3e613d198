"""A buffer that is full or fails: counted, gone round, made up for."""

from __future__ import annotations

from plexus.domain.loss import Loss
from tests.support.peer import Gateway
from tests.support.rig import ListBuffer, Rig, connected, cut_off


def test_what_a_full_buffer_lets_go_is_counted_and_the_newest_is_kept() -> None:
    rig = Rig(buffer=ListBuffer(10))
    rig.gateway.refuse_all()
    for value in range(30):
        rig.send(value)
        rig.run(0.3)
    stats = rig.uplink.stats()
    assert stats.dropped == {"buffer_full": 20}
    rig.gateway.refuse_all(None)
    rig.run(80.0)
    assert rig.gateway.values() == list(range(20, 30))
    assert rig.uplink.stats().delivered == 10


def test_a_batch_that_leaves_a_full_buffer_while_it_is_under_way_counts_by_its_answer() -> None:
    rig = connected(Rig(buffer=ListBuffer(2)))
    rig.gateway.answers = False
    for value in range(4):
        rig.send(value)
        rig.run(0.3)
    assert rig.uplink.stats().dropped == {}
    rig.gateway.answers = True
    rig.run(1.0)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), stats.delivered, stats.dropped, stats.buffered) == ([0, 1, 2, 3], 4, {}, 0)


def test_a_batch_that_left_a_full_buffer_and_then_lost_its_link_is_counted_as_dropped() -> None:
    rig = connected(Rig(buffer=ListBuffer(2)))
    rig.gateway.answers = False
    for value in range(4):
        rig.send(value)
        rig.run(0.3)
    rig.gateway.break_links()
    rig.gateway.answers = True
    rig.run(5.0)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), stats.dropped, stats.delivered) == ([2, 3], {"buffer_full": 2}, 2)


def test_a_spool_that_takes_nothing_in_is_still_read_and_data_goes_on_from_memory() -> None:
    rig = cut_off(connected(Rig()))
    rig.send(1)
    rig.run(0.5)
    rig.buffer.full = True
    rig.send(2)
    rig.run(0.5)
    assert any("Cannot write to disk" in line for line in rig.status.lines)
    rig.gateway.refuse_all(None)
    rig.run(70.0)
    assert (rig.gateway.values(), rig.uplink.stats().dropped) == ([1, 2], {})


def test_a_spool_that_has_room_again_is_used_again_once_memory_is_empty() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.buffer.full = True
    rig.send(1)
    rig.run(0.5)
    rig.buffer.full = False
    rig.send(2)
    rig.run(0.5)
    assert rig.buffer.points == 0
    rig.gateway.refuse_all(None)
    rig.run(70.0)
    rig.gateway.break_links()
    rig.gateway.refuse_all()
    rig.send(3)
    rig.run(0.5)
    assert (rig.gateway.values(), rig.buffer.points) == ([1, 2], 1)


def test_a_spool_that_cannot_be_read_is_set_aside_and_counted() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.send(1)
    rig.run(0.5)
    rig.buffer.broken = True
    rig.send(2)
    rig.run(0.5)
    rig.gateway.refuse_all(None)
    rig.run(70.0)
    assert rig.buffer.closed
    assert (rig.gateway.values(), rig.uplink.stats().dropped) == ([2], {"spool_fault": 1})
    rig.gateway.break_links()
    rig.send(3)
    rig.run(5.0)
    assert rig.gateway.values() == [2, 3]


def test_a_release_that_fails_is_made_up_for_and_sends_nothing_again() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send(1)
    rig.run(0.3)
    rig.buffer.stuck = True
    rig.gateway.answers = True
    rig.run(0.3)
    assert (rig.uplink.waiting(), rig.buffer.points) == (0, 1)
    rig.gateway.answers = False
    rig.send(2)
    rig.run(0.3)
    rig.buffer.stuck = False
    rig.gateway.answers = True
    rig.run(0.3)
    stats = rig.uplink.stats()
    assert (rig.gateway.values(), rig.gateway.duplicates, stats.delivered, stats.dropped) == ([1, 2], 0, 2, {})
    assert rig.buffer.points == 0


def test_spools_that_others_left_are_drained_beside_the_own_one_and_closed() -> None:
    gateway = Gateway()
    spools = [ListBuffer(), ListBuffer()]
    for value, spool in enumerate(spools):
        dead = Rig(gateway, spool)
        gateway.refuse_all()
        dead.send(value)
        dead.run(0.5)
        dead.crash()
    gateway.refuse_all(None)
    own = ListBuffer()
    rig = Rig(gateway, own, adopted=spools)
    assert rig.uplink.waiting() == 2
    rig.send(2)
    rig.run(1.0)
    assert sorted(gateway.values(), key=int) == [0, 1, 2]  # type: ignore[arg-type]
    assert [spool.closed for spool in spools] == [True, True]
    assert not own.closed


def test_the_state_of_the_spool_is_in_the_stats_and_told_when_it_changes() -> None:
    rig = cut_off(connected(Rig()))
    assert rig.uplink.stats().spool == "disk"
    rig.buffer.full = True
    rig.send(1)
    rig.run(0.5)
    assert rig.uplink.stats().spool == "failing"
    rig.buffer.full = False
    rig.gateway.refuse_all(None)
    rig.run(70.0)
    assert rig.uplink.stats().spool == "disk"
    assert [line for line in rig.status.lines if "disk" in line] == [
        "! Cannot write to disk: points wait in memory only, and end with the program",
        "✓ Writing to disk again",
    ]


def test_a_spool_that_cannot_be_read_any_more_is_failing_for_good() -> None:
    rig = cut_off(connected(Rig()))
    rig.send(1)
    rig.run(0.5)
    rig.buffer.broken = True
    rig.gateway.refuse_all(None)
    rig.run(70.0)
    assert rig.uplink.stats().spool == "failing"


def test_a_buffer_in_memory_that_was_chosen_is_not_failing() -> None:
    rig = connected(Rig(buffer=ListBuffer(durable=False)))
    assert (rig.uplink.stats().spool, rig.uplink.stats().durability) == ("memory", "memory")


def test_what_waits_in_memory_for_want_of_a_disk_and_ends_with_the_process_is_counted() -> None:
    rig = cut_off(connected(Rig()))
    rig.buffer.full = True
    rig.send(1, 2)
    rig.run(0.5)
    rig.uplink.close(0.1)
    rig.run(0.5)
    assert rig.uplink.stats().dropped == {"closed": 2}


def test_a_buffer_that_lost_a_batch_on_its_way_passes_over_no_other() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    for value in range(3):
        rig.send(value)
        rig.run(0.3)
    # The second can no longer be read: it is gone from the buffer, and the gateway has it.
    second = list(rig.buffer.kept)[1]
    rig.buffer.release([rig.buffer.kept[second]])
    rig.buffer.lose([Loss("spool_damaged", 1)])
    rig.gateway.break_links()
    rig.send(3)
    rig.run(0.4)
    rig.gateway.answers = True
    rig.run(5.0)
    assert sorted(rig.gateway.values(), key=int) == [0, 2, 3]  # type: ignore[arg-type]
    assert [loss.reason for loss in rig.gateway.losses] == ["spool_damaged"]

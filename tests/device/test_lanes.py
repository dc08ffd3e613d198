"""The live lane and the backlog by themselves: order, counts, and what a failing buffer costs."""

from __future__ import annotations

import pytest

from plexus.device.backlog import Backlog
from plexus.device.counters import Counters
from plexus.device.lanes import LiveLane, key_of
from plexus.domain.errors import BufferFault
from plexus.protocol.batch import Batch
from tests.support.rig import ListBuffer

S = "5" * 32


def batch(n: int, stream: str = S, count: int = 1) -> Batch:
    return Batch(stream, n, count, b"[]", "d")


class Kept:
    def __init__(self, max_points: int = 100, *adopted: ListBuffer) -> None:
        self.buffer = ListBuffer(max_points)
        self.spare = ListBuffer(durable=False)
        self.counters = Counters()
        self.said: list[BufferFault] = []
        self.backlog = Backlog(self.buffer, adopted, lambda: self.spare, self.counters, self.said.append)

    def send_next(self) -> Batch:
        found = self.backlog.next()
        assert found is not None
        self.backlog.sent(found)
        return found


def test_the_live_lane_gives_out_the_oldest_that_is_not_on_its_way() -> None:
    lane = LiveLane()
    for n in (1, 2, 3):
        lane.add(batch(n), float(n))
    lane.sent(batch(1))
    assert lane.next() == lane.all()[0][1]
    assert (lane.oldest_born(), lane.first_n(S), lane.points) == (1.0, 1, 3)


def test_only_what_is_old_and_on_its_way_leaves_the_live_lane_alone() -> None:
    lane = LiveLane()
    for n in (1, 2, 3):
        lane.add(batch(n), float(n))
    for n in (1, 2):
        lane.sent(batch(n))
    old, sent = lane.older_than(1.5)
    assert [each.n for each in old] == [1]
    assert sent == {(S, 1)}


def test_an_old_batch_that_is_not_on_its_way_takes_all_with_it() -> None:
    lane = LiveLane()
    for n in (1, 2, 3):
        lane.add(batch(n), float(n))
    lane.sent(batch(1))
    old, sent = lane.older_than(2.5)
    assert [each.n for each in old] == [1, 2, 3]
    assert sent == {(S, 1)}


def test_the_backlog_is_sent_oldest_first() -> None:
    kept = Kept()
    kept.backlog.keep([batch(n) for n in (1, 2, 3)])
    assert [kept.send_next().n for _ in range(3)] == [1, 2, 3]
    assert kept.backlog.next() is None
    assert kept.backlog.waiting == 0


def test_what_came_in_on_its_way_is_not_sent_again_and_what_came_after_it_is() -> None:
    kept = Kept()
    kept.backlog.keep([batch(1), batch(2)], {(S, 1)})
    assert kept.send_next().n == 2
    kept.backlog.keep([batch(3)])
    assert kept.send_next().n == 3


def test_a_batch_that_is_taken_back_is_next_again_and_those_behind_it_stay_on_their_way() -> None:
    kept = Kept()
    kept.backlog.keep([batch(n) for n in (1, 2, 3, 4)])
    sent = [kept.send_next() for _ in range(3)]
    kept.backlog.unsend([sent[1]])
    assert kept.send_next().n == 2
    assert kept.send_next().n == 4
    assert kept.backlog.next() is None


def test_settled_batches_leave_the_buffer_in_any_order() -> None:
    kept = Kept()
    kept.backlog.keep([batch(n) for n in (1, 2, 3, 4)])
    sent = [kept.send_next() for _ in range(3)]
    kept.backlog.settle([sent[1]])
    kept.backlog.settle([sent[0], sent[2]])
    assert kept.send_next().n == 4
    assert kept.backlog.points == 1


def test_the_lowest_number_of_a_stream_on_its_way_is_known() -> None:
    kept = Kept()
    kept.backlog.keep([batch(7), batch(8), batch(1, "6" * 32)])
    for _ in range(3):
        kept.send_next()
    assert kept.backlog.first_n(S) == 7
    assert kept.backlog.first_n("6" * 32) == 1
    assert kept.backlog.first_n("7" * 32) is None


def test_eviction_of_what_waits_is_counted() -> None:
    kept = Kept(2)
    kept.backlog.keep([batch(n) for n in (1, 2, 3)])
    assert kept.counters.dropped() == {"buffer_full": 1}
    assert kept.backlog.points == 2


def test_eviction_of_what_is_on_its_way_is_counted_only_when_it_comes_back() -> None:
    kept = Kept(2)
    kept.backlog.keep([batch(1), batch(2)])
    first, second = kept.send_next(), kept.send_next()
    kept.backlog.keep([batch(3), batch(4)])
    assert (kept.counters.dropped(), kept.backlog.points, kept.backlog.waiting) == ({}, 4, 2)
    kept.backlog.settle([first])
    kept.backlog.unsend([second])
    assert kept.counters.dropped() == {"buffer_full": 1}
    assert kept.backlog.points == 2
    assert [kept.send_next().n for _ in range(2)] == [3, 4]


def test_an_adopted_buffer_is_drained_first_and_closed() -> None:
    left = ListBuffer()
    left.append([batch(1, "6" * 32)])
    kept = Kept(100, left)
    kept.backlog.keep([batch(1)])
    first = kept.send_next()
    assert first.stream == "6" * 32
    kept.backlog.settle([first])
    assert kept.send_next().stream == S
    assert left.closed
    assert not kept.buffer.closed


def test_a_buffer_that_cannot_be_read_leaves_what_is_on_its_way_in_memory() -> None:
    kept = Kept()
    kept.backlog.keep([batch(n) for n in (1, 2, 3)])
    first = kept.send_next()
    kept.buffer.broken = True
    assert kept.backlog.next() is None
    assert kept.counters.dropped() == {"spool_fault": 2}
    assert len(kept.said) == 1
    kept.backlog.unsend([first])
    assert kept.send_next() is first


def test_after_a_fault_order_within_a_stream_holds_across_memory_and_disk() -> None:
    kept = Kept()
    kept.buffer.full = True
    kept.backlog.keep([batch(1)])
    kept.buffer.full = False
    kept.backlog.keep([batch(2)])
    assert [kept.send_next().n for _ in range(2)] == [1, 2]
    assert kept.buffer.points == 0


def test_closing_tells_how_many_points_end_with_the_process() -> None:
    kept = Kept()
    kept.backlog.keep([batch(1, count=5)])
    kept.buffer.full = True
    kept.backlog.keep([batch(2, count=7)])
    assert kept.backlog.close() == 7
    assert kept.buffer.closed
    assert kept.spare.closed


def test_a_batch_that_is_discarded_unsent_leaves_the_buffer() -> None:
    kept = Kept()
    kept.backlog.keep([batch(1), batch(2)])
    found = kept.backlog.next()
    assert found is not None
    kept.backlog.discard(found)
    assert kept.send_next().n == 2
    assert kept.backlog.points == 1


def test_a_batch_that_is_renamed_is_kept_under_its_new_name_before_the_old_is_gone() -> None:
    kept = Kept()
    kept.backlog.keep([batch(1)])
    old = kept.send_next()
    new = batch(1, "9" * 32)
    kept.backlog.rename(old, new)
    assert list(kept.buffer.kept) == [key_of(new)]
    assert kept.send_next() is new


@pytest.mark.parametrize("fault", ["broken", "full"])
def test_a_fault_of_the_spare_buffer_is_nobodys_to_hide(fault: str) -> None:
    kept = Kept()
    setattr(kept.buffer, fault, True)
    setattr(kept.spare, fault, True)
    with pytest.raises(Exception, match=r"spool"):
        kept.backlog.keep([batch(1)])

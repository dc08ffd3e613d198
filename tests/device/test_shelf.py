"""A shelf by itself: what is next, what is put together, and what a full buffer means for what is on its way."""

from __future__ import annotations

import attrs
import pytest

from plexus.device.counters import Counters
from plexus.device.shelf import LOOK_AHEAD, Shelf
from plexus.domain.loss import Loss
from plexus.protocol.batch import Batch, Unsynced
from tests.support.rig import ListBuffer, losses


def batch(n: int, stream: str = "5", count: int = 1) -> Batch:
    return Batch(stream * 32, n, count, b"[]", "d")


def declaration() -> Batch:
    return attrs.evolve(batch(1, "d", 0), needs=frozenset({"gaps"}), losses=(Loss("malformed", 3),))


class Shelved:
    def __init__(self, max_points: int = 1_000, *kept: Batch) -> None:
        self.buffer = ListBuffer(max_points)
        self.buffer.append(kept)
        self.counters = Counters()
        self.shelf = Shelf(self.buffer, self.counters)

    def send_next(self) -> Batch:
        found = self.shelf.next(declarations=True)
        assert found is not None
        self.shelf.sent(found)
        return found

    def run(self) -> list[str]:
        """The names of what would be put together now."""
        assert self.shelf.next(declarations=True) is not None
        return [f"{each.stream[0]}{each.n}" for each in self.shelf.run(100, 10_000)]


# --- a full buffer ------------------------------------------------------------------------------------------


def test_what_is_on_its_way_when_it_makes_room_is_no_loss_unless_it_comes_back() -> None:
    shelved = Shelved(2)
    shelved.shelf.keep([batch(1), batch(2)], ())
    first, second = shelved.send_next(), shelved.send_next()
    shelved.shelf.keep([batch(3), batch(4)], ())
    shelved.shelf.settle([first])
    assert (losses(shelved.buffer), shelved.counters.dropped()) == ({"buffer_full": 1}, {})
    shelved.shelf.unsend(second)
    assert (losses(shelved.buffer), shelved.counters.dropped()) == ({"buffer_full": 1}, {"buffer_full": 1})
    assert not shelved.counters.unrecorded


def test_what_makes_room_on_its_way_is_on_the_record_at_once_and_declared_only_when_it_comes_back() -> None:
    shelved = Shelved(2)
    shelved.shelf.keep([batch(1), batch(2)], ())
    sent = shelved.send_next()
    shelved.shelf.keep([batch(3)], ())
    assert losses(shelved.buffer) == {"buffer_full": 1}
    assert shelved.shelf.losses() == []
    shelved.shelf.unsend(sent)
    assert [(loss.reason, loss.count) for loss in shelved.shelf.losses()] == [("buffer_full", 1)]


def test_what_waits_when_it_makes_room_is_recorded_by_the_buffer_alone() -> None:
    shelved = Shelved(2)
    shelved.shelf.keep([batch(n) for n in (1, 2, 3)], ())
    assert (losses(shelved.buffer), shelved.counters.dropped()) == ({"buffer_full": 1}, {"buffer_full": 1})
    assert not shelved.counters.unrecorded


def test_what_is_delivered_and_could_not_be_let_go_is_no_loss_when_it_makes_room() -> None:
    shelved = Shelved(2)
    shelved.shelf.keep([batch(1), batch(2)], ())
    first = shelved.send_next()
    shelved.buffer.stuck = True
    with pytest.raises(Exception, match="disk"):
        shelved.shelf.settle([first])
    shelved.shelf.keep([batch(3)], ())
    assert (losses(shelved.buffer), shelved.counters.dropped(), shelved.shelf.points) == ({}, {}, 2)


def test_a_declaration_stays_in_a_full_buffer() -> None:
    shelved = Shelved(2)
    shelved.shelf.declare(declaration())
    shelved.shelf.keep([batch(1, count=2)], ())
    shelved.shelf.keep([batch(2, count=2)], ())
    assert [bool(each.losses) for each in shelved.buffer.kept.values()] == [True, False]


# --- what is next -------------------------------------------------------------------------------------------


def test_a_declaration_is_next_only_where_the_link_takes_it() -> None:
    shelved = Shelved()
    shelved.shelf.declare(declaration())
    shelved.shelf.keep([batch(1)], ())
    found = shelved.shelf.next(declarations=False)
    assert found is not None
    assert not found.losses
    shelved.shelf.try_again()
    assert shelved.send_next().losses


def test_a_stream_that_is_held_is_passed_over_until_something_changes() -> None:
    shelved = Shelved()
    shelved.shelf.keep([batch(1), batch(2), batch(1, "6")], ())
    shelved.shelf.hold("5" * 32)
    assert shelved.send_next().stream == "6" * 32
    assert shelved.shelf.next(declarations=True) is None
    shelved.shelf.try_again()
    assert [shelved.send_next().n for _ in range(2)] == [1, 2]


def test_what_is_gone_from_the_buffer_hides_nothing_behind_it() -> None:
    shelved = Shelved()
    shelved.shelf.keep([batch(n) for n in (1, 2, 3)], ())
    sent = [shelved.send_next(), shelved.send_next()]
    shelved.buffer.release([sent[1]])
    assert shelved.shelf.next(declarations=True) is None
    shelved.shelf.settle(sent)
    assert shelved.send_next().n == 3


def test_a_shelf_is_drained_when_neither_points_nor_a_declaration_nor_a_loss_is_left() -> None:
    shelved = Shelved(10, batch(1))
    shelved.shelf.declare(declaration())
    shelved.buffer.lose([Loss("malformed", 1)])
    for _ in range(2):
        shelved.shelf.settle([shelved.send_next()])
    assert shelved.shelf.next(declarations=True) is None
    assert not shelved.shelf.is_drained()
    last = attrs.evolve(declaration(), n=2, losses=(Loss("malformed", 1),))
    shelved.shelf.declare(last)
    assert not shelved.shelf.is_drained()
    shelved.shelf.settle([shelved.send_next()])
    assert shelved.shelf.next(declarations=True) is None
    assert shelved.shelf.is_drained()


# --- what is put together -----------------------------------------------------------------------------------


def test_batches_that_were_never_sent_are_a_run() -> None:
    shelved = Shelved()
    shelved.shelf.keep([batch(1, "1"), batch(1, "2")], ())
    shelved.shelf.keep([batch(1, "3"), batch(2, "3")], ())
    assert shelved.run() == ["11", "21", "31", "32"]


def test_a_run_ends_before_the_first_that_was_sent() -> None:
    shelved = Shelved()
    shelved.shelf.keep([batch(1, "1"), batch(1, "2"), batch(1, "3")], ())
    sent = [shelved.send_next() for _ in range(3)]
    shelved.shelf.unsend(sent[2])
    shelved.shelf.keep([batch(1, "4")], ())
    assert shelved.run() == []
    shelved.send_next()
    assert shelved.run() == ["41"]


def test_a_run_cuts_no_stream() -> None:
    shelved = Shelved()
    shelved.shelf.keep([batch(1, "1", 40), batch(1, "2", 40), batch(2, "2", 40)], ())
    assert shelved.run() == ["11"]


def test_a_run_that_is_longer_than_is_looked_at_cuts_no_stream() -> None:
    shelved = Shelved()
    shelved.shelf.keep([batch(1, "1"), *(batch(n, "2") for n in range(1, LOOK_AHEAD + 2))], ())
    assert shelved.run() == ["11"]


def test_a_run_ends_before_a_declaration_and_before_stamps_that_are_to_be_put_right() -> None:
    for other in (declaration(), attrs.evolve(batch(1, "2"), unsynced=Unsynced("boot", 0.0))):
        shelved = Shelved()
        shelved.shelf.keep([batch(1, "1")], ())
        shelved.buffer.append([other])
        shelved.shelf.keep([batch(1, "3")], ())
        assert shelved.run() == ["11"]


def test_what_was_found_at_the_start_may_have_been_sent_and_is_in_no_run() -> None:
    shelved = Shelved(100, batch(1, "1"), batch(1, "2"))
    shelved.shelf.keep([batch(1, "3"), batch(1, "4")], ())
    assert shelved.run() == []
    for _ in range(2):
        shelved.send_next()
    assert shelved.run() == ["31", "41"]


def test_what_was_found_at_the_start_and_held_is_in_no_run_later() -> None:
    shelved = Shelved(100, batch(1, "1"), batch(1, "2"))
    shelved.shelf.keep([batch(1, "3")], ())
    for stream in "12":
        shelved.shelf.hold(stream * 32)
    shelved.send_next()
    shelved.shelf.try_again()
    assert shelved.run() == []


def test_a_batch_under_a_new_name_may_have_been_sent_under_it_before_and_is_in_no_run() -> None:
    shelved = Shelved()
    shelved.shelf.keep_tried(batch(1, "1"))
    shelved.shelf.keep([batch(1, "2")], ())
    assert shelved.run() == []


def test_a_run_takes_the_place_of_its_batches() -> None:
    shelved = Shelved()
    shelved.shelf.keep([batch(1, "1"), batch(1, "2"), batch(1, "3")], ())
    assert shelved.shelf.next(declarations=True) is not None
    old = shelved.shelf.run(2, 10_000)
    whole = batch(1, "9", 2)
    shelved.shelf.replace(old, whole)
    shelved.shelf.sent(whole)
    assert [name[0][0] for name in shelved.buffer.kept] == ["3", "9"]
    assert shelved.send_next().stream == "3" * 32
    assert shelved.shelf.next(declarations=True) is None
    assert (shelved.shelf.points, shelved.shelf.waiting) == (3, 0)

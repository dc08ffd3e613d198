"""The record of losses."""

from __future__ import annotations

import attrs

from plexus.domain.loss import Loss
from plexus.ports.buffer import BUFFER_FULL
from plexus.protocol.batch import Unsynced
from plexus.testing.contracts.buffer.batches import (
    BOUND,
    WithBuffer,
    a_batch,
    a_declaration,
    every,
    eviction,
    record,
    same,
)


class LosingContract(WithBuffer):
    """What is lost is on the record until a batch declares it."""

    # --- losses ---------------------------------------------------------------------------------------------

    def test_a_fresh_buffer_has_lost_nothing(self) -> None:
        with self.buffer() as buffer:
            assert record(buffer) == []

    def test_losses_of_one_reason_are_added_up_and_their_times_span_all(self) -> None:
        with self.buffer() as buffer:
            buffer.lose([Loss("malformed", 2, 20.5, 30.5), Loss("non_finite", 1)])
            buffer.lose([Loss("malformed", 3, 10.25, 25.0)])
            buffer.lose([Loss("malformed", 4)])
            assert record(buffer) == [Loss("malformed", 9, 10.25, 30.5), Loss("non_finite", 1)]

    def test_what_makes_room_is_on_the_record(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(n, count=BOUND // 10) for n in range(1, 11)])
            buffer.append([a_batch(11, count=BOUND // 10 + 1)])
            assert record(buffer) == [eviction(1, BOUND // 10).with_more(eviction(2, BOUND // 10))]

    def test_what_is_spared_makes_room_and_is_not_on_the_record(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, count=BOUND // 10) for n in range(1, 11)]
            buffer.append(kept)
            buffer.append([a_batch(11, count=BOUND // 10 + 1)], spared=[kept[0], kept[5]])
            assert record(buffer) == [eviction(2, BOUND // 10)]

    def test_what_is_released_is_not_lost(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1)])
            buffer.release([a_batch(1)])
            buffer.append([a_batch(2, count=BOUND)])
            assert record(buffer) == []

    def test_stamps_that_nobody_put_right_do_not_date_a_loss(self) -> None:
        with self.buffer() as buffer:
            buffer.append([attrs.evolve(a_batch(1), unsynced=Unsynced("a-boot", 0.0))])
            buffer.append([a_batch(2, count=BOUND)])
            assert record(buffer) == [Loss(BUFFER_FULL, 10)]

    def test_a_declaration_is_kept_and_what_it_says_leaves_the_record(self) -> None:
        with self.buffer() as buffer:
            buffer.lose([Loss("malformed", 2, 1.0, 2.0), Loss("non_finite", 1)])
            declaration = a_declaration(1, Loss("malformed", 2, 1.0, 2.0))
            assert buffer.declare(declaration) == []
            assert record(buffer) == [Loss("non_finite", 1)]
            assert same(every(buffer), [declaration])
            assert buffer.points == 0

    def test_what_was_lost_since_a_declaration_was_made_stays_on_the_record(self) -> None:
        with self.buffer() as buffer:
            buffer.lose([Loss("malformed", 2, 1.0, 2.0)])
            declaration = a_declaration(1, *buffer.losses())
            buffer.lose([Loss("malformed", 5, 3.0, 4.0)])
            buffer.declare(declaration)
            assert [(loss.reason, loss.count) for loss in record(buffer)] == [("malformed", 5)]

    def test_a_name_that_is_kept_is_not_declared_again(self) -> None:
        with self.buffer() as buffer:
            buffer.lose([Loss("malformed", 5)])
            buffer.declare(a_declaration(1, Loss("malformed", 2)))
            buffer.declare(a_declaration(1, Loss("malformed", 2)))
            assert record(buffer) == [Loss("malformed", 3)]
            assert len(every(buffer)) == 1

    def test_a_declaration_takes_no_room_and_makes_none(self) -> None:
        with self.buffer() as buffer:
            buffer.lose([Loss("malformed", 2, 1.0, 2.0)])
            declaration = a_declaration(1, *buffer.losses())
            buffer.declare(declaration)
            last = a_batch(3)
            assert same(buffer.append([a_batch(2, count=BOUND), last]), [a_batch(2, count=BOUND)])
            assert same(every(buffer), [declaration, last])
            assert record(buffer) == [eviction(2, BOUND)]

    def test_what_was_found_leaves_the_record_and_nothing_else_does(self) -> None:
        with self.buffer() as buffer:
            buffer.lose([Loss("malformed", 5), Loss("non_finite", 1)])
            buffer.found([Loss("malformed", 2), Loss("unheard_of", 3)])
            assert record(buffer) == [Loss("malformed", 3), Loss("non_finite", 1)]
            buffer.found([Loss("malformed", 4)])
            assert record(buffer) == [Loss("non_finite", 1)]

    def test_a_declaration_that_is_delivered_is_forgotten(self) -> None:
        with self.buffer() as buffer:
            buffer.lose([Loss("malformed", 2)])
            buffer.declare(a_declaration(1, *buffer.losses()))
            buffer.release(every(buffer))
            assert every(buffer) == []
            assert record(buffer) == []

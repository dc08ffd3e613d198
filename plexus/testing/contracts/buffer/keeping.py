"""Keeping batches: their order, their content, the bound."""

from __future__ import annotations

import attrs

from plexus.domain.loss import Loss
from plexus.protocol.batch import Unsynced
from plexus.testing.contracts.buffer.batches import (
    BOUND,
    OTHER,
    STREAM,
    WithBuffer,
    a_batch,
    a_declaration,
    every,
    eviction,
    record,
    same,
)


class KeepingContract(WithBuffer):
    """What is kept comes back, in order and whole, up to the bound."""

    # --- keeping --------------------------------------------------------------------------------------------

    def test_a_fresh_buffer_is_empty(self) -> None:
        with self.buffer() as buffer:
            assert buffer.points == 0
            assert every(buffer) == []

    def test_batches_come_back_whole_and_in_the_order_they_went_in(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, stream=stream) for n in (3, 1, 2) for stream in (OTHER, STREAM)]
            assert buffer.append(kept[:2]) == []
            assert buffer.append(kept[2:]) == []
            assert same(every(buffer), kept)

    def test_every_fact_of_a_batch_comes_back(self) -> None:
        with self.buffer() as buffer:
            rare = [
                attrs.evolve(a_batch(1), unsynced=Unsynced("a-boot", 1234.5)),
                attrs.evolve(a_batch(2), unsynced=Unsynced("b", -0.125, b"\x00\xff\x80")),
                attrs.evolve(a_batch(3), losses=(Loss("malformed", 3, 1.5, 2.5), Loss("non_finite", 1))),
                a_declaration(4, Loss("rate_limited", 7, None, 9.25)),
            ]
            buffer.append(rare)
            assert same(every(buffer), rare)

    def test_a_body_of_any_bytes_comes_back(self) -> None:
        with self.buffer() as buffer:
            bodies = [b"", b"x", bytes(range(256)), bytes(100_000), "wärme ☃".encode() * 50]
            kept = [a_batch(n, body=body) for n, body in enumerate(bodies, start=1)]
            buffer.append(kept)
            assert same(every(buffer), kept)

    def test_the_highest_number_comes_back(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(2**53)])
            assert every(buffer)[0].n == 2**53

    def test_points_are_the_points_kept(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1, count=3), a_batch(2, count=5)])
            assert buffer.points == 8
            buffer.append([a_batch(3, count=7)])
            assert buffer.points == 15

    def test_appending_nothing_changes_nothing(self) -> None:
        with self.buffer() as buffer:
            assert buffer.append([]) == []
            assert buffer.points == 0

    def test_any_iterable_can_be_appended_and_released(self) -> None:
        with self.buffer() as buffer:
            buffer.append(a_batch(n) for n in (1, 2))
            buffer.release(a_batch(n) for n in (1,))
            assert [batch.n for batch in every(buffer)] == [2]

    def test_a_name_that_is_kept_is_not_appended_again(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1), a_batch(1), a_batch(2)])
            assert buffer.append([a_batch(1)]) == []
            assert [batch.n for batch in every(buffer)] == [1, 2]
            assert buffer.points == 20

    def test_the_same_number_in_another_stream_is_another_batch(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1), a_batch(1, stream=OTHER)])
            assert len(every(buffer)) == 2

    # --- looking --------------------------------------------------------------------------------------------

    def test_oldest_gives_so_many_after_so_many(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n) for n in range(1, 11)]
            buffer.append(kept)
            for skip in (0, 1, 7, 3, 9, 10, 50, 0):
                for count in (0, 1, 3, 20):
                    assert same(buffer.oldest(skip, count), kept[skip : skip + count])

    def test_oldest_goes_on_over_what_is_appended_and_released_meanwhile(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(n) for n in range(1, 6)])
            assert [batch.n for batch in buffer.oldest(3, 2)] == [4, 5]
            buffer.release([a_batch(1), a_batch(4)])
            assert [batch.n for batch in buffer.oldest(1, 2)] == [3, 5]
            buffer.append([a_batch(6)])
            assert [batch.n for batch in buffer.oldest(2, 5)] == [5, 6]

    def test_looking_takes_nothing_away(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1)])
            assert same(buffer.oldest(0, 1), buffer.oldest(0, 1))
            assert buffer.points == 10

    # --- releasing ------------------------------------------------------------------------------------------

    def test_what_is_released_is_gone_and_the_rest_stays(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(n) for n in (1, 2, 3)])
            buffer.release([a_batch(2)])
            assert [batch.n for batch in every(buffer)] == [1, 3]
            assert buffer.points == 20

    def test_releasing_goes_by_stream_and_number(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1), a_batch(1, stream=OTHER)])
            buffer.release([a_batch(1, stream=OTHER)])
            assert [batch.stream for batch in every(buffer)] == [STREAM]

    def test_releasing_what_is_not_there_is_passed_over(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1)])
            buffer.release([a_batch(9), a_batch(1), a_batch(1)])
            buffer.release([a_batch(1)])
            assert buffer.points == 0

    def test_many_are_released_at_once(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, count=1) for n in range(1, 901)]
            buffer.append(kept)
            buffer.release(kept[:899])
            assert [batch.n for batch in every(buffer)] == [900]
            assert buffer.points == 1

    def test_what_was_released_can_be_appended_again_as_the_newest(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1), a_batch(2)])
            buffer.release([a_batch(1)])
            buffer.append([a_batch(1)])
            assert [batch.n for batch in every(buffer)] == [2, 1]
            assert buffer.points == 20

    # --- the bound ------------------------------------------------------------------------------------------

    def test_up_to_the_bound_nothing_makes_room(self) -> None:
        with self.buffer() as buffer:
            assert buffer.append([a_batch(n, count=BOUND // 10) for n in range(1, 11)]) == []
            assert buffer.points == BOUND

    def test_when_it_is_full_the_oldest_make_room_and_are_returned_whole(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, count=BOUND // 10) for n in range(1, 11)]
            buffer.append(kept)
            assert same(buffer.append([a_batch(11, count=BOUND // 10 + 1)]), kept[:2])
            assert [batch.n for batch in every(buffer)] == [3, 4, 5, 6, 7, 8, 9, 10, 11]
            assert buffer.points == BOUND - BOUND // 10 + 1

    def test_what_is_released_makes_room_of_its_own(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, count=BOUND // 10) for n in range(1, 11)]
            buffer.append(kept)
            buffer.release([kept[4]])
            assert buffer.append([a_batch(11, count=BOUND // 10)]) == []

    def test_the_oldest_makes_room_after_it_was_looked_at(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, count=BOUND // 10) for n in range(1, 11)]
            buffer.append(kept)
            buffer.oldest(0, 5)
            buffer.append([a_batch(11, count=BOUND // 5)])
            assert [batch.n for batch in buffer.oldest(0, 3)] == [3, 4, 5]

    def test_a_batch_larger_than_the_bound_is_returned_with_all_that_is_older(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(1), a_batch(2, count=BOUND + 1)]
            buffer.append(kept[:1])
            assert same(buffer.append(kept[1:]), kept)
            assert buffer.points == 0
            assert every(buffer) == []

    def test_one_that_is_spared_makes_room_all_the_same(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, count=BOUND // 2) for n in (1, 2)]
            buffer.append(kept)
            assert same(buffer.append([a_batch(3, count=1)], spared=kept), kept[:1])

    # --- other content --------------------------------------------------------------------------------------

    def test_a_rewritten_batch_has_the_new_content_in_the_old_place(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(n) for n in (1, 2, 3)])
            buffer.oldest(0, 3)
            other = attrs.evolve(a_batch(2, body=b"[other]"), first_ms=7.5, unsynced=None)
            buffer.rewrite([other])
            assert same(every(buffer), [a_batch(1), other, a_batch(3)])
            assert buffer.points == 30

    def test_rewriting_what_is_not_there_is_passed_over(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1), a_batch(2), a_batch(3, stream=OTHER)])
            buffer.release([a_batch(2)])
            buffer.rewrite([a_batch(2, body=b"[]"), a_batch(3, body=b"[]"), a_batch(1, body=b"[1]")])
            assert same(every(buffer), [a_batch(1, body=b"[1]"), a_batch(3, stream=OTHER)])

    def test_replacing_keeps_the_new_at_the_young_end_and_forgets_the_old(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(n) for n in (1, 2, 3)])
            buffer.oldest(0, 3)
            together = a_batch(1, count=20, stream=OTHER)
            assert buffer.replace([a_batch(1), a_batch(2), a_batch(9)], [together]) == []
            assert same(every(buffer), [a_batch(3), together])
            assert buffer.points == 30
            assert record(buffer) == []

    def test_what_must_make_room_for_a_replacement_is_returned_and_on_the_record(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, count=BOUND // 4) for n in (1, 2, 3, 4)]
            buffer.append(kept)
            larger = a_batch(1, count=BOUND // 4 + 1, stream=OTHER)
            assert same(buffer.replace([kept[3]], [larger]), kept[:1])
            assert record(buffer) == [eviction(1, BOUND // 4)]

    # --- the end --------------------------------------------------------------------------------------------

    def test_closing_twice_is_fine(self) -> None:
        with self.buffer() as buffer:
            buffer.close()
            buffer.close()

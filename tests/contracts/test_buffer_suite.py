"""The buffer's contract catches a buffer that does not keep it: one fault planted at a time."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import pytest

from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.domain.loss import Loss
from plexus.ports.buffer import Buffer
from plexus.protocol.batch import Batch
from plexus.testing.contracts import failures
from plexus.testing.contracts.buffer import BOUND, DurableBufferContract


class Remembered(MemoryBuffer):
    """Stands for a durable buffer: what it kept is found again under its place."""

    @property
    def durable(self) -> bool:
        return True

    def again(self) -> Remembered:
        other = type(self)(self._max_points)
        other._kept, other._points, other._losses = dict(self._kept), self._points, dict(self._losses)
        return other


class NewestFirst(Remembered):
    def oldest(self, skip: int, count: int) -> list[Batch]:
        return list(reversed(list(self._kept.values())))[skip : skip + count]


class Renumbering(Remembered):
    """Keeps the content and loses the name, as a queue of bodies does."""

    def oldest(self, skip: int, count: int) -> list[Batch]:
        return [attrs.evolve(batch, n=skip + place + 1) for place, batch in enumerate(super().oldest(skip, count))]


class Stamping(Remembered):
    """Keeps whole milliseconds."""

    def oldest(self, skip: int, count: int) -> list[Batch]:
        return [attrs.evolve(batch, first_ms=float(int(batch.first_ms))) for batch in super().oldest(skip, count)]


class Doubling(Remembered):
    """Counts a batch again when it is appended again."""

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        taken = list(batches)
        again = sum(batch.count for batch in taken if (batch.stream, batch.n) in self._kept)
        evicted = super().append(taken, spared)
        self._points += again
        return evicted


class OneStream(Remembered):
    """Takes the number for the whole name."""

    def release(self, batches: Iterable[Batch]) -> None:
        numbers = {batch.n for batch in batches}
        super().release([batch for batch in self._kept.values() if batch.n in numbers])


class Silent(Remembered):
    """Makes room without saying so."""

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        super().append(batches, spared)
        return []


class Boundless(Remembered):
    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        self._max_points = 10**9
        return super().append(batches, spared)


class Refusing(Remembered):
    """Turns the new away instead of the old."""

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        taken = list(batches)
        room = self._max_points - self._points
        evicted = [batch for batch in taken if batch.count > room]
        super().append([batch for batch in taken if batch.count <= room])
        return evicted


class Taking(Remembered):
    """Forgets what it hands out one by one, as a queue does."""

    def oldest(self, skip: int, count: int) -> list[Batch]:
        found = super().oldest(skip, count)
        if count == 1:
            super().release(found)
        return found


class Strict(Remembered):
    """Insists that what is released is there."""

    def release(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            del self._kept[batch.stream, batch.n]
            self._points -= batch.count


class Counting(Remembered):
    """Counts batches, not points."""

    @property
    def points(self) -> int:
        return len(self._kept)


class Forgetful(Remembered):
    """Says that it is durable and is not."""

    def again(self) -> Remembered:
        return type(self)(self._max_points)


class Undead(Remembered):
    """Brings back what was released before it was closed in good order."""

    def release(self, batches: Iterable[Batch]) -> None:
        gone = list(batches)
        self.released = [
            *getattr(self, "released", []),
            *(b for b in self._kept.values() if b.n in [g.n for g in gone]),
        ]
        super().release(gone)

    def again(self) -> Remembered:
        other = super().again()
        other.append(getattr(self, "released", []))
        return other


class Unrecorded(Remembered):
    """Makes room and forgets that it did."""

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        before = dict(self._losses)
        evicted = super().append(batches, spared)
        self._losses = before
        return evicted


class Sparing(Remembered):
    """Records what is on its way as lost."""

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        return super().append(batches)


class Doubly(Remembered):
    """Declares a loss and keeps it on the record."""

    def declare(self, batch: Batch) -> list[Batch]:
        return self.append([batch])


class Wholesale(Remembered):
    """Takes all off the record with any declaration."""

    def declare(self, batch: Batch) -> list[Batch]:
        self._losses.clear()
        return self.append([batch])


class Swallowing(Remembered):
    """Lets a declaration make room."""

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        evicted = super().append(batches, spared)
        if evicted:
            evicted += (gone := [batch for batch in self._kept.values() if not batch.count])
            self.release(gone)
        return evicted


class Unfinding(Remembered):
    """Keeps on the record what was found."""

    def found(self, losses: Iterable[Loss]) -> None:
        """Nothing."""


class Amnesiac(Remembered):
    """Keeps batches through a restart, and not what it lost."""

    def again(self) -> Remembered:
        other = super().again()
        other._losses.clear()
        return other


class Latest(Remembered):
    """Knows the last loss of a reason alone."""

    def lose(self, losses: Iterable[Loss]) -> None:
        for loss in losses:
            self._losses[loss.reason] = loss


class Reordering(Remembered):
    """Rewrites a batch by putting it at the young end."""

    def rewrite(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            if (batch.stream, batch.n) in self._kept:
                self.replace([batch], [batch])


class Adding(Remembered):
    """Keeps what it was asked to rewrite, whether it was there or not."""

    def rewrite(self, batches: Iterable[Batch]) -> None:
        taken = list(batches)
        super().rewrite(taken)
        self.append(taken)


class Hoarding(Remembered):
    """Keeps the old beside what replaces it."""

    def replace(self, old: Iterable[Batch], new: Iterable[Batch]) -> list[Batch]:
        return self.append(new)


class Stamped(Remembered):
    """Forgets that stamps are still to be put right."""

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        return super().append([attrs.evolve(batch, unsynced=None) for batch in batches], spared)


WHOLE = "test_batches_come_back_whole_and_in_the_order_they_went_in"
BODIES = "test_a_body_of_any_bytes_comes_back"
ONCE = "test_a_name_that_is_kept_is_not_appended_again"
ONCE_AFTER = "test_a_name_that_is_kept_is_known_after_a_restart"
SLICES = "test_oldest_gives_so_many_after_so_many"
GOES_ON = "test_oldest_goes_on_over_what_is_appended_and_released_meanwhile"
LOOKING = "test_looking_takes_nothing_away"
RELEASED = "test_what_is_released_is_gone_and_the_rest_stays"
AGAIN = "test_what_was_released_can_be_appended_again_as_the_newest"
FULL = "test_when_it_is_full_the_oldest_make_room_and_are_returned_whole"
LARGE = "test_a_batch_larger_than_the_bound_is_returned_with_all_that_is_older"
LOOKED_AT = "test_the_oldest_makes_room_after_it_was_looked_at"
RESTART = "test_what_is_kept_is_there_after_a_restart"
STAYS_RELEASED = "test_what_was_released_is_not_there_after_a_close"
ORDER_AFTER = "test_the_order_goes_on_after_a_restart"
BOUND_AFTER = "test_the_bound_holds_after_a_restart"
REPLACED = "test_replacing_keeps_the_new_at_the_young_end_and_forgets_the_old"
NOT_THERE = "test_rewriting_what_is_not_there_is_passed_over"
REWRITTEN = "test_a_rewritten_batch_has_the_new_content_in_the_old_place"
REWRITTEN_AFTER = "test_a_rewritten_batch_has_the_new_content_after_a_restart"
FACTS = "test_every_fact_of_a_batch_comes_back"
REPLACED_FULL = "test_what_must_make_room_for_a_replacement_is_returned_and_on_the_record"
SPARED = "test_one_that_is_spared_makes_room_all_the_same"
ON_ITS_WAY = "test_what_is_spared_makes_room_and_is_not_on_the_record"
ON_RECORD = "test_what_makes_room_is_on_the_record"
UNDATED = "test_stamps_that_nobody_put_right_do_not_date_a_loss"
LOSSES_AFTER = "test_losses_are_on_the_record_after_a_restart"
ROOMLESS = "test_a_declaration_takes_no_room_and_makes_none"
FOUND = "test_what_was_found_leaves_the_record_and_nothing_else_does"
DECLARED = "test_a_declaration_is_kept_and_what_it_says_leaves_the_record"
DECLARED_ONCE = "test_a_name_that_is_kept_is_not_declared_again"
SINCE = "test_what_was_lost_since_a_declaration_was_made_stays_on_the_record"
DECLARED_AFTER = "test_what_was_declared_is_not_on_the_record_after_a_restart"


@pytest.mark.parametrize(
    ("planted", "caught_by"),
    [
        (
            NewestFirst,
            {
                *(ROOMLESS, BODIES, ONCE, REWRITTEN_AFTER, REWRITTEN, WHOLE, FACTS, SLICES, GOES_ON, REPLACED),
                *(NOT_THERE, LOOKED_AT, ORDER_AFTER, RESTART, RELEASED, AGAIN, STAYS_RELEASED, FULL),
            },
        ),
        (
            Renumbering,
            {
                *(ROOMLESS, "test_any_iterable_can_be_appended_and_released", WHOLE),
                *("test_many_are_released_at_once", GOES_ON, REPLACED, NOT_THERE),
                *("test_the_highest_number_comes_back", LOOKED_AT, ORDER_AFTER, RESTART, RELEASED),
                *(AGAIN, STAYS_RELEASED, FULL),
            },
        ),
        (Stamping, {ROOMLESS, BODIES, REWRITTEN_AFTER, REWRITTEN, WHOLE, FACTS, SLICES, REPLACED, NOT_THERE, RESTART}),
        (Doubling, {ONCE_AFTER, ONCE}),
        (OneStream, {"test_releasing_goes_by_stream_and_number"}),
        (Silent, {ROOMLESS, LARGE, SPARED, BOUND_AFTER, REPLACED_FULL, FULL}),
        (
            Boundless,
            {
                *(LARGE, ROOMLESS, LOSSES_AFTER, SPARED, UNDATED, BOUND_AFTER, LOOKED_AT, ON_ITS_WAY),
                *(ON_RECORD, REPLACED_FULL, FULL),
            },
        ),
        (
            Refusing,
            {ROOMLESS, LARGE, SPARED, UNDATED, BOUND_AFTER, LOOKED_AT, ON_ITS_WAY, ON_RECORD, REPLACED_FULL, FULL},
        ),
        (Taking, {LOOKING, SLICES}),
        (Strict, {"test_releasing_what_is_not_there_is_passed_over", REPLACED}),
        (
            Counting,
            {
                *(DECLARED, ONCE_AFTER, ONCE, REWRITTEN, LOOKING, "test_points_are_the_points_kept"),
                *(REPLACED, "test_up_to_the_bound_nothing_makes_room", RESTART, RELEASED, AGAIN),
                *(STAYS_RELEASED, FULL),
            },
        ),
        (Forgetful, {REWRITTEN_AFTER, LOSSES_AFTER, BOUND_AFTER, ORDER_AFTER, RESTART, DECLARED_AFTER, STAYS_RELEASED}),
        (Undead, {ORDER_AFTER, STAYS_RELEASED}),
        (Unrecorded, {ROOMLESS, LOSSES_AFTER, UNDATED, ON_ITS_WAY, ON_RECORD, REPLACED_FULL}),
        (Sparing, {ON_ITS_WAY}),
        (
            Doubly,
            {
                DECLARED,
                "test_a_declaration_that_is_delivered_is_forgotten",
                ROOMLESS,
                DECLARED_ONCE,
                DECLARED_AFTER,
                SINCE,
            },
        ),
        (Wholesale, {DECLARED, DECLARED_ONCE, SINCE}),
        (Swallowing, {ROOMLESS}),
        (Unfinding, {FOUND}),
        (Amnesiac, {LOSSES_AFTER}),
        (Latest, {"test_losses_of_one_reason_are_added_up_and_their_times_span_all", SINCE}),
        (Reordering, {REWRITTEN_AFTER, REWRITTEN, NOT_THERE}),
        (Adding, {NOT_THERE}),
        (Hoarding, {REPLACED, REPLACED_FULL}),
        (Stamped, {FACTS, UNDATED}),
    ],
)
def test_a_planted_fault_is_caught(planted: type[Remembered], caught_by: set[str]) -> None:
    class Suite(DurableBufferContract):
        def make(self) -> Buffer:
            return planted(BOUND)

        def reopen(self, buffer: Buffer) -> Buffer:
            assert isinstance(buffer, Remembered)
            return buffer.again()

    assert set(failures(Suite)) == caught_by


def test_the_stand_in_without_a_fault_passes() -> None:
    class Suite(DurableBufferContract):
        def make(self) -> Buffer:
            return Remembered(BOUND)

        def reopen(self, buffer: Buffer) -> Buffer:
            assert isinstance(buffer, Remembered)
            return buffer.again()

    assert failures(Suite) == {}
